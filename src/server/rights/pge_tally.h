/*
 * pge_tally.h
 *	  What all processes of the cluster share about a limited grant: how many
 *	  values it has opened in this minute, and in a transaction; whether it is
 *	  locked; how many alerts it has raised.
 *
 * The tables in shared memory have a fixed size.  A grant's tally is in one of
 * PGE_WAYS places that follow from its database and id.  A tally that holds
 * nothing any more is given to the next grant that finds no free place.  If
 * there is no place, the caller gets NULL and must fail closed.
 *
 * Locking protocol.  PgeTallies.lock covers whose an element is: exclusive to
 * change that, shared (or exclusive) while one is read or counted in.  What is
 * counted is atomic.  The lock is held for a few instructions; code under it
 * neither waits nor allocates.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TALLY_H
#define PGE_TALLY_H

#include "port/atomics.h"
#include "storage/lwlock.h"

#include "base/pge_shared.h"
#include "rights/pge_alert.h"

/* Grants with a tally at a time, in the whole cluster; a power of 2. */
#define PGE_TALLY_COUNT 1024

/* Transactions with one; a power of 2. */
#define PGE_TRANSACTION_COUNT 1024

/* Places that a grant, or a transaction, may have. */
#define PGE_WAYS 16

/* The largest budget, so that a count fits beside its minute. */
#define PGE_BUDGET_MAX 100000000

typedef enum PgeLockState
{
	PGE_LOCK_NONE = 0,
	PGE_LOCK_UNSAVED,			/* not in pgenvelope.key_grant yet */
	PGE_LOCK_SAVED				/* there, too: every session knows it */
} PgeLockState;

typedef struct PgeTally
{
	int64		grant_id;
	Oid			database;		/* InvalidOid: free */
	pg_atomic_uint32 locked;	/* PgeLockState */
	pg_atomic_uint64 opened;	/* a minute, and the values in it */
	pg_atomic_uint64 alerts[PGE_ALERT_KINDS];	/* a minute, and the alerts in
												 * it */
} PgeTally;

/* A transaction that opens values by a grant. */
typedef struct PgeTransactionTally
{
	int64		grant_id;		/* 0: free */
	int			process;		/* the leader's number */
	pid_t		pid;			/* and its pid */
	uint32		transaction;	/* its local transaction id */
	pg_atomic_uint64 opened;	/* a count without minutes */
} PgeTransactionTally;

typedef struct PgeTallies
{
	LWLock	   *lock;
	pg_atomic_uint64 lock_serial;	/* moves when a grant has been locked or
									 * unlocked */
	PgeTally	grants[PGE_TALLY_COUNT];
	PgeTransactionTally transactions[PGE_TRANSACTION_COUNT];
} PgeTallies;

/* NULL unless the library was preloaded. */
extern PgeTallies *pge_tallies;

/* Called with the other shared memory, in pge_shared.c. */
extern void pge_tally_request(void);
extern void pge_tally_attach(void);

/*
 * The tally of a grant, if it has one.  It is the caller's, with the lock
 * held, until pge_tally_release; NULL: there is none, and nothing to release.
 */
extern PgeTally *pge_tally_find(int64 grant_id);

/* The same, but makes it if there is none.  NULL: there is no place for it. */
extern PgeTally *pge_tally_make(int64 grant_id);

extern void pge_tally_release(void);

/*
 * Takes up to want, and no more than an eighth, of what is left of allowed in
 * the current minute, which begins with the first that is taken after the last
 * one has passed.  Returns how many it took, and says when the minute began;
 * 0: nothing is left.  A count for which now_ms is always 0 has no minutes.
 */
extern uint32 pge_count_take(pg_atomic_uint64 *minute, uint32 allowed,
							 uint32 want, int64 now_ms, int64 *began_ms);

/* Gives back what was taken in the minute that began then. */
extern void pge_count_return(pg_atomic_uint64 *minute, uint32 count,
							 int64 began_ms);

#define PGE_MINUTE_MS 60000

/*
 * The tally of a grant in the current transaction, the leader's if this is a
 * parallel worker; NULL: there was no place.  It stays where it is until the
 * transaction ends.
 */
extern PgeTransactionTally *pge_transaction_tally(int64 grant_id);

#endif							/* PGE_TALLY_H */
