/*
 * pge_tally.c
 *	  What all processes of the cluster share about a limited grant.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "rights/pge_tally.h"

/* A minute and a count in one word: when it began, in TICK_MS, above. */
#define COUNT_BITS 28
#define COUNT_MASK ((UINT64CONST(1) << COUNT_BITS) - 1)
#define TICK_MS 100

StaticAssertDecl(PGE_BUDGET_MAX <= COUNT_MASK, "a budget fits");

PgeTallies *pge_tallies;

void
pge_tally_request(void)
{
	RequestAddinShmemSpace(sizeof(PgeTallies));
	RequestNamedLWLockTranche("pgenvelope_tally", 1);
}

static void
initialize_shared(void)
{
	memset(pge_tallies, 0, sizeof(PgeTallies));
	pge_tallies->lock = &GetNamedLWLockTranche("pgenvelope_tally")->lock;
	pg_atomic_init_u64(&pge_tallies->lock_serial, 1);
	for (int i = 0; i < PGE_TALLY_COUNT; i++)
	{
		PgeTally   *tally = &pge_tallies->grants[i];

		pg_atomic_init_u32(&tally->locked, PGE_LOCK_NONE);
		pg_atomic_init_u64(&tally->opened, 0);
		for (int kind = 0; kind < PGE_ALERT_KINDS; kind++)
			pg_atomic_init_u64(&tally->alerts[kind], 0);
	}
	for (int i = 0; i < PGE_TRANSACTION_COUNT; i++)
		pg_atomic_init_u64(&pge_tallies->transactions[i].opened, 0);
}

void
pge_tally_attach(void)
{
	bool		found;

	pge_tallies = ShmemInitStruct("pgenvelope tallies", sizeof(PgeTallies),
								  &found);
	if (!found)
		initialize_shared();
}

/* ---------------------------------------------------------------- */
/* Counting                                                         */
/* ---------------------------------------------------------------- */

static bool
has_passed(uint64 minute, int64 now_ms)
{
	int64		began_ms = (int64) (minute >> COUNT_BITS) * TICK_MS;

	return minute == 0 || now_ms >= began_ms + PGE_MINUTE_MS;
}

uint32
pge_count_take(pg_atomic_uint64 *minute, uint32 allowed, uint32 want,
			   int64 now_ms, int64 *began_ms)
{
	uint64		was = pg_atomic_read_u64(minute);
	uint64		will_be;
	uint32		taken;

	do
	{
		uint64		began = was >> COUNT_BITS;
		uint32		count = (uint32) (was & COUNT_MASK);

		if (has_passed(was, now_ms))
		{
			began = (uint64) now_ms / TICK_MS;
			count = 0;
		}
		*began_ms = (int64) began * TICK_MS;
		if (count >= allowed)
			return 0;

		/* Leave some for other processes. */
		taken = Min(want, Max((allowed - count) / 8, 1));
		will_be = began << COUNT_BITS | (count + taken);
	} while (!pg_atomic_compare_exchange_u64(minute, &was, will_be));
	return taken;
}

void
pge_count_return(pg_atomic_uint64 *minute, uint32 count, int64 began_ms)
{
	uint64		was = pg_atomic_read_u64(minute);

	while ((int64) (was >> COUNT_BITS) * TICK_MS == began_ms &&
		   (was & COUNT_MASK) >= count)
	{
		if (pg_atomic_compare_exchange_u64(minute, &was, was - count))
			break;
	}
}

/* ---------------------------------------------------------------- */
/* Grants                                                           */
/* ---------------------------------------------------------------- */

static uint32
first_place(int64 grant_id)
{
	uint32		hash = murmurhash32((uint32) MyDatabaseId ^
									murmurhash32((uint32) grant_id));

	return hash & (PGE_TALLY_COUNT - 1) & ~(PGE_WAYS - 1);
}

/* Caller holds the lock. */
static PgeTally *
find(int64 grant_id)
{
	PgeTally   *ways = &pge_tallies->grants[first_place(grant_id)];

	for (int i = 0; i < PGE_WAYS; i++)
	{
		if (ways[i].grant_id == grant_id && ways[i].database == MyDatabaseId)
			return &ways[i];
	}
	return NULL;
}

/* Whether the tally can be reused without losing anything. */
static bool
is_over(PgeTally *tally, int64 now_ms)
{
	if (tally->database == InvalidOid)
		return true;
	if (pg_atomic_read_u32(&tally->locked) == PGE_LOCK_UNSAVED ||
		!has_passed(pg_atomic_read_u64(&tally->opened), now_ms))
		return false;
	for (int kind = 0; kind < PGE_ALERT_KINDS; kind++)
	{
		if (!has_passed(pg_atomic_read_u64(&tally->alerts[kind]), now_ms))
			return false;
	}
	return true;
}

/* Caller holds the lock exclusively. */
static PgeTally *
make(int64 grant_id, int64 now_ms)
{
	PgeTally   *ways = &pge_tallies->grants[first_place(grant_id)];
	PgeTally   *place = find(grant_id);

	for (int i = 0; i < PGE_WAYS && place == NULL; i++)
	{
		if (!is_over(&ways[i], now_ms))
			continue;
		place = &ways[i];
		place->grant_id = grant_id;
		place->database = MyDatabaseId;
		pg_atomic_write_u32(&place->locked, PGE_LOCK_NONE);
		pg_atomic_write_u64(&place->opened, 0);
		for (int kind = 0; kind < PGE_ALERT_KINDS; kind++)
			pg_atomic_write_u64(&place->alerts[kind], 0);
	}
	return place;
}

PgeTally *
pge_tally_find(int64 grant_id)
{
	PgeTally   *tally;

	LWLockAcquire(pge_tallies->lock, LW_SHARED);
	tally = find(grant_id);
	if (tally == NULL)
		pge_tally_release();
	return tally;
}

PgeTally *
pge_tally_make(int64 grant_id)
{
	PgeTally   *tally = pge_tally_find(grant_id);
	int64		now_ms;

	if (tally != NULL)
		return tally;
	now_ms = pge_clock_ms();
	LWLockAcquire(pge_tallies->lock, LW_EXCLUSIVE);
	tally = make(grant_id, now_ms);
	if (tally == NULL)
		pge_tally_release();
	return tally;
}

void
pge_tally_release(void)
{
	LWLockRelease(pge_tallies->lock);
}

/* ---------------------------------------------------------------- */
/* Transactions                                                     */
/* ---------------------------------------------------------------- */

/* Whether the transaction that a tally is of is still going on. */
static bool
is_current(const PgeTransactionTally *tally)
{
	const PGPROC *process = &ProcGlobal->allProcs[tally->process];

	return tally->grant_id != 0 && process->pid == tally->pid &&
		pge_local_transaction(process) == tally->transaction;
}

/* Caller holds the lock exclusively. */
static PgeTransactionTally *
find_transaction(int64 grant_id, const PGPROC *leader)
{
	int			process = pge_process_number(leader);
	uint32		hash = murmurhash32((uint32) process ^
									murmurhash32((uint32) grant_id));
	PgeTransactionTally *ways =
		&pge_tallies->transactions[hash & (PGE_TRANSACTION_COUNT - 1) &
								   ~(PGE_WAYS - 1)];
	PgeTransactionTally *place = NULL;

	for (int i = 0; i < PGE_WAYS; i++)
	{
		if (!is_current(&ways[i]))
			place = &ways[i];
		else if (ways[i].grant_id == grant_id && ways[i].process == process)
			return &ways[i];
	}
	if (place == NULL)
		return NULL;
	place->grant_id = grant_id;
	place->process = process;
	place->pid = leader->pid;
	place->transaction = pge_local_transaction(leader);
	pg_atomic_write_u64(&place->opened, 0);
	return place;
}

PgeTransactionTally *
pge_transaction_tally(int64 grant_id)
{
	const PGPROC *leader = MyProc->lockGroupLeader != NULL ?
		MyProc->lockGroupLeader :
		MyProc;
	PgeTransactionTally *tally;

	LWLockAcquire(pge_tallies->lock, LW_EXCLUSIVE);
	tally = find_transaction(grant_id, leader);
	LWLockRelease(pge_tallies->lock);
	return tally;
}
