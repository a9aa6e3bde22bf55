/*
 * pge_catalog.h
 *	  The key tables as a backend sees them: keys, versions, grants.
 *
 * Rows are read with a fresh catalog snapshot, never the transaction's: a
 * REPEATABLE READ snapshot may be older than the key of a value it can see
 * (by way of a function that reads anew), and parallel workers and standbys
 * must find what their leader and primary found.
 *
 * What was read is kept until a change to one of the tables is announced.
 * The announcement (a relcache invalidation sent by the guard trigger) is
 * transactional: it reaches other backends when the change commits, and is
 * undone here when a savepoint is.
 *
 * pge_row.c reads the rows; pge_entitlement.c finds out which of a key's
 * grants a role holds.
 *
 * Pointers handed out live until the next pge_catalog_begin, which every
 * SQL-callable function calls first and once.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CATALOG_H
#define PGE_CATALOG_H

#include "utils/jsonb.h"

#include "catalog/pge_table.h"
#include "context/pge_context.h"
#include "core/envl_wrap.h"
#include "providers/prov.h"

typedef enum PgeState
{
	PGE_STATE_PRE_ACTIVE,
	PGE_STATE_ACTIVE,
	PGE_STATE_DEACTIVATED,
	PGE_STATE_RETIRED,
	PGE_STATE_DESTROYED
} PgeState;

/* Privileges on a key.  What they allow: pge_privilege.c. */
typedef enum PgePrivilege
{
	PGE_NO_PRIVILEGE = 0,
	PGE_ENCRYPT,
	PGE_DECRYPT,
	PGE_REWRAP,
	PGE_ROTATE,
	PGE_RETIRE,
	PGE_GRANT,
	PGE_AUDIT,
	PGE_ADMIN
} PgePrivilege;

#define PGE_PRIVILEGES (PGE_ADMIN + 1)

struct		PgeKek;				/* pge_kek.h */
struct		PgeRights;			/* pge_entitlement.h */
struct		PgeHoney;			/* pge_honey.h */

/* A row of pgenvelope.key_grant. */
typedef struct PgeGrant
{
	int64		grant_id;
	PgePrivilege privilege;
	Oid			grantee;
	Jsonb	   *context;		/* the contexts it is limited to, or NULL */
	PgePattern *pattern;		/* the same, understood */
	bool		definer;		/* also through SECURITY DEFINER functions */
	bool		only_reports;	/* of its budget: deny nothing */
	bool		locked;			/* by its row */
	bool		is_locked;		/* by its row, or since: pge_limit.c */
	int			per_minute;		/* values; 0: no limit */
	int			per_transaction;
} PgeGrant;

static inline bool
pge_grant_has_budget(const PgeGrant *grant)
{
	return grant->per_minute > 0 || grant->per_transaction > 0;
}

struct		PgeKey;

/* A KEK as the catalog knows it: enough to have it unsealed. */
typedef struct PgeSealedKek
{
	const char *key_name;
	uint64		key_id;
	uint16		version;
	const char *provider;
	const char *root_key;		/* as the provider named it when it sealed */
	envl_view	sealed;			/* at most PROV_SEALED_MAX */
	const uint8 *kcv;			/* ENVL_KCV_LEN bytes; NULL: not known yet */
	uint8		digest[ENVL_KEK_DIGEST_LEN];	/* envl_kek_digest of these */
} PgeSealedKek;

typedef struct PgeKeyVersion
{
	uint64		key_id;			/* hash key: id and version */
	uint64		version;
	struct PgeKey *key;
	PgeState	state;
	int			canary_percent; /* share of new values, if pre_active */
	char		provider[PROV_NAME_SIZE];
	char		root_key[PROV_ROOT_KEY_MAX];
	uint8		kcv[ENVL_KCV_LEN];
	PgeSealedKek sealed;		/* views into this struct and the context */
	struct PgeKek *kek;			/* unsealed here, or NULL */
} PgeKeyVersion;

typedef struct PgeKey
{
	uint64		key_id;			/* hash key */
	char		name[ENVL_KEY_NAME_MAX + 1];
	bool		is_audit;		/* it chains the audit, and seals no value */
	bool		dual_control;	/* a second person approves */
	PgePolicy	policy;			/* the required context */
	PgeKeyVersion *active;		/* NULL: not looked for yet, or none */
	PgeKeyVersion *pre_active;	/* found with active; NULL: none */
	uint64		weyl;			/* place in the canary's sequence; 0: none */
	PgeKeyVersion *last;		/* what pge_key_version last found */
	int			grant_count;
	PgeGrant   *grants;			/* in the order of their ids */
	bool		has_budget;		/* one of them has */
	bool		has_lock;		/* one of them is locked, */
	uint64		lock_serial;	/* as of this pge_lock_serial */
	int			honey_count;
	struct PgeHoney *honey;		/* by mark; NULL: not read yet */
	struct PgeRights *rights;	/* what some roles have of them; or NULL */
} PgeKey;

extern void pge_catalog_init(void);

/*
 * Registers a function to be called just before everything that was read is
 * dropped; for code that keeps pointers into it.  Called from _PG_init.
 */
extern void pge_catalog_on_drop(void (*callback)(void));

/*
 * Forgets what is out of date.  Moves pge_catalog_epoch if anything was.
 * Raises 55000 if the schema is not of this library's version.
 */
extern void pge_catalog_begin(void);
extern uint64 pge_catalog_epoch;

/*
 * The key of that id or name; NULL if there is none.  Raises 55000 if the
 * extension's tables do not exist.
 */
extern PgeKey *pge_key_by_id(uint64 key_id);
extern PgeKey *pge_key_by_name(const char *name, size_t len);

/* The key that chains the audit, as the tables have it now; NULL: none. */
extern PgeKey *pge_key_of_audit(void);

/* A version of it, by number or state; NULL if there is none. */
extern PgeKeyVersion *pge_key_version(PgeKey *key, uint16 version);
extern PgeKeyVersion *pge_key_active(PgeKey *key);
extern PgeKeyVersion *pge_key_pre_active(PgeKey *key);

/*
 * The version for the next new value: the active one or, for its share of the
 * calls, the pre_active one.  A Weyl sequence decides; each key has its own in
 * each session, with a random start.  So the share is right for one session of
 * many values as well as for many sessions of one.  NULL if none is active.
 */
extern PgeKeyVersion *pge_key_writer(PgeKey *key);

/*
 * Moves whenever results about rights may be out of date: with the epoch, and
 * when roles or their memberships change.
 */
extern uint64 pge_rights_epoch;

/* Memory that lives as long as what was read. */
extern MemoryContext pge_catalog_memory(void);

/* Announces a change to the key tables, to take effect at commit. */
extern void pge_catalog_changed(Oid relation);

/*
 * Whether this transaction has announced such a change; then what it reads may
 * still be rolled back.
 */
extern bool pge_catalog_changed_here(void);

/*
 * Binds a context to a key, if it meets what the key requires; NULL fills in
 * problem.  See pge_context_bind.
 */
static inline const envl_bound_context *
pge_key_bind(const PgeKey *key, PgeContext *context, PgeProblem *problem)
{
	return pge_context_bind(context, &key->policy, pge_catalog_epoch, problem);
}

#endif							/* PGE_CATALOG_H */
