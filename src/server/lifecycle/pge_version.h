/*
 * pge_version.h
 *	  Making key versions, and moving them from state to state.
 *
 * Change a key's versions only between pge_change_begin and pge_change_end.
 * The key's name is locked until the transaction ends, so that what the caller
 * has read of its versions stays true.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_VERSION_H
#define PGE_VERSION_H

#include "catalog/pge_spi.h"
#include "keys/pge_cache.h"
#include "lifecycle/pge_escrow.h"

/* A key that is being changed, in its state before the change. */
typedef struct PgeChange
{
	uint64		key_id;
	char		name[ENVL_KEY_NAME_MAX + 1];
	int			active;			/* version; 0: none */
	int			pre_active;		/* version; 0: none */
	char		provider[PROV_NAME_SIZE];	/* of the active version; "" if
											 * there is none */
	char	   *role;			/* the role that changes it */
	PgeWriter	writer;
} PgeChange;

/*
 * Locks the key and becomes the tables' owner.  Raises unless the current user
 * holds the privilege on the key, and the transaction's snapshot is current
 * for its versions.  function is for error messages.  Raises if name is NULL.
 */
extern void pge_change_begin(const char *function, PgePrivilege privilege,
							 text *name, PgeChange *change);
extern void pge_change_end(const PgeChange *change);

/* The state of a version; raises PE001 if there is none. */
extern PgeState pge_change_state(const PgeChange *change, int version);

/* Raises 55000: the version's state does not allow the operation. */
pg_noreturn extern void pge_refuse_state(const PgeChange *change, int version,
										 PgeState state, const char *hint);

/*
 * Moves a version to a state and sets its times.  canary_percent counts only
 * for pre_active.  Destroying erases the sealed KEK.  Commits synchronously.
 */
extern void pge_change_move(const PgeChange *change, int version,
							PgeState state, int canary_percent);

/*
 * Writes the provider asked for, or the default one if asked is NULL, into
 * provider (PROV_NAME_SIZE bytes).  Raises if it is not listed for this
 * database.
 */
extern void pge_choose_provider(const char *asked, char *provider);

/* The canary_percent of a version that becomes active at once. */
#define PGE_NO_CANARY (-1)

/*
 * False fills in problem: what this provider has to open was sealed by another
 * root key than this seal.  Only root keys in files are checked, by their
 * fingerprint.  Needs the writer's rights.
 */
extern bool pge_is_root_expected(const char *provider, const PgeNewKek *made,
								 PgeProblem *problem);

/* A new version's KEK, sealed by its provider and by the escrow provider. */
typedef struct PgeNewVersion
{
	char		provider[PROV_NAME_SIZE];
	PgeNewKek	seal;
	PgeEscrow	escrow;
} PgeNewVersion;

/* Has a version's KEK made and sealed.  Raises on failure. */
extern void pge_seal_version(const char *provider, const char *key_name,
							 uint64 key_id, uint16 version,
							 PgeNewVersion *made);

/*
 * Inserts a version's rows, by the writer's rights (pge_spi.h), and forces a
 * synchronous commit.
 */
extern void pge_insert_version(uint64 key_id, uint16 version,
							   const PgeNewVersion *made, int canary_percent);

/*
 * Whether the change waits for a second person (pge_request.h): then it is
 * ended, and a request for it filed.
 */
extern bool pge_change_awaits_approval(FunctionCallInfo fcinfo,
									   const PgeChange *change);

#endif							/* PGE_VERSION_H */
