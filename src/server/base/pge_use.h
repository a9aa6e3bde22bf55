/*
 * pge_use.h
 *	  Records what the current statement did with keys.
 *
 * Code that uses a key says so: pge_use_begin with the operation, then the
 * key, the version and the context as each becomes known, then pge_use_end
 * with the outcome.  pge_raise ends what is under way.  So does an error of
 * PostgreSQL's own; the outcome is then PGE_INTERRUPTED.
 *
 * Uses that are alike add up to one entry.  Entries outlive an aborted
 * transaction; they are handed to the consumers (the audit, statistics) when
 * the statement that the client sent ends or fails, when a transaction ends,
 * when there are too many, and when the session does.  A parallel worker
 * hands over its own.
 *
 * Consumers are called in aborted transactions and dying sessions: they read
 * no catalog and raise nothing.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_USE_H
#define PGE_USE_H

#include "miscadmin.h"

#include "base/pge_report.h"
#include "core/envl_key.h"

typedef enum PgeOperation
{
	PGE_USE_NONE = 0,
	PGE_USE_ENCRYPT,
	PGE_USE_DECRYPT,
	PGE_USE_VERIFY,
	PGE_USE_REWRAP,
	PGE_USE_REENCRYPT,			/* the opening half; the other encrypts */
	PGE_USE_REBIND,				/* so, too */
	PGE_USE_BIND				/* of a session, by a token: no key is used */
} PgeOperation;

/* Uses that are alike. */
typedef struct PgeUseEntry
{
	PgeOperation operation;
	PgeOutcome	outcome;
	uint16		version;		/* 0: none was known */
	Oid			role;			/* the current user then */
	uint64		key_id;			/* 0: none was known */
	uint64		count;
	const char *subject;		/* audited members, as in pge_subject.h */
	size_t		subject_len;	/* 0: none */
	uint32		subject_hash;
	char		key_name[ENVL_KEY_NAME_MAX + 1];	/* "": not in this
													 * database */
	char		role_name[NAMEDATALEN];
} PgeUseEntry;

/* What a statement did. */
typedef struct PgeUses
{
	const PgeUseEntry *entries;
	int			count;			/* at least one */
	bool		more;			/* the statement goes on */
	TimestampTz statement_start;
} PgeUses;

/* Called from _PG_init where the library is preloaded. */
extern void pge_use_init(void);

/* Adds a consumer; called from _PG_init. */
extern void pge_use_consumer(void (*consumer)(const PgeUses *uses));

/* Hands over all entries; for processes that run no statements. */
extern void pge_use_flush(void);

/* What is under way. */
typedef struct PgeUse
{
	PgeOperation operation;		/* PGE_USE_NONE: nothing */
	uint16		version;
	Oid			role;
	uint64		key_id;
	const char *key_name;		/* NULL: not known */
	envl_view	subject;		/* valid until the next context is bound */
} PgeUse;

extern PgeUse pge_use;

/* pge_use_begin and pge_use_end, where they are not inlined. */
extern void pge_use_interrupted(void);
extern void pge_use_learn_role(Oid role);
extern void pge_use_add(PgeOutcome outcome, uint64 count);
extern PgeUseEntry *pge_use_last;	/* NULL: none */
extern Oid	pge_use_role;		/* whose name is known */

static inline void
pge_use_begin(PgeOperation operation)
{
	Oid			role = GetUserId();

	if (unlikely(pge_use.operation != PGE_USE_NONE))
		pge_use_interrupted();
	if (unlikely(role != pge_use_role))
		pge_use_learn_role(role);
	pge_use.operation = operation;
	pge_use.version = 0;
	pge_use.role = role;
	pge_use.key_id = 0;
	pge_use.key_name = NULL;
	pge_use.subject.len = 0;
}

/* Harmless if nothing is under way, as are the next two. */
static inline void
pge_use_key(uint64 key_id, const char *name)
{
	pge_use.key_name = name;
	pge_use.key_id = key_id;
}

/* A version by number, of a key that may not be in this database. */
static inline void
pge_use_version(uint64 key_id, uint16 version)
{
	pge_use.key_id = key_id;
	pge_use.version = version;
}

static inline void
pge_use_subject(const char *subject, size_t len)
{
	pge_use.subject = (envl_view) {(const uint8 *) subject, len};
}

/* Ends count uses of one kind. */
static inline void
pge_use_end_many(PgeOutcome outcome, uint64 count)
{
	PgeUseEntry *last = pge_use_last;

	if (likely(last != NULL && last->key_id == pge_use.key_id &&
			   last->version == pge_use.version &&
			   last->operation == pge_use.operation &&
			   last->outcome == outcome && last->role == pge_use.role &&
			   last->subject_len == pge_use.subject.len &&
			   memcmp(last->subject, pge_use.subject.data,
					  last->subject_len) == 0))
		last->count += count;
	else if (pge_use.operation != PGE_USE_NONE && count > 0)
		pge_use_add(outcome, count);
	pge_use.operation = PGE_USE_NONE;
}

static inline void
pge_use_end(PgeOutcome outcome)
{
	pge_use_end_many(outcome, 1);
}

/* It came to nothing: no key was used. */
static inline void
pge_use_none(void)
{
	pge_use.operation = PGE_USE_NONE;
}

/* The operation's name: "decrypt". */
extern const char *pge_operation_name(PgeOperation operation);

/* Whether it opens values. */
extern bool pge_operation_opens(PgeOperation operation);

#endif							/* PGE_USE_H */
