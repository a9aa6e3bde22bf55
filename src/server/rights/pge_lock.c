/*
 * pge_lock.c
 *	  Locked grants: decrypting by one is refused, everywhere and at once.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_spi.h"
#include "base/pge_commit.h"
#include "base/pge_wake.h"
#include "rights/pge_lock.h"
#include "rights/pge_tally.h"

/* What the worker has written, but not committed. */
static int64 saving[PGE_TALLY_COUNT];
static int	saving_count;

uint64
pge_lock_serial(void)
{
	return pg_atomic_read_u64(&pge_tallies->lock_serial);
}

/* Changes a grant's tally from one state to another, if it is in the first. */
static void
change_lock(PgeTally *tally, PgeLockState from, PgeLockState to)
{
	uint32		expected = from;

	(void) pg_atomic_compare_exchange_u32(&tally->locked, &expected, to);
}

/* Whether a grant is locked by its tally. */
static bool
is_locked_now(int64 grant_id)
{
	PgeTally   *tally = pge_tally_find(grant_id);
	bool		is_locked;

	if (tally == NULL)
		return false;
	is_locked = pg_atomic_read_u32(&tally->locked) != PGE_LOCK_NONE;
	pge_tally_release();
	return is_locked;
}

bool
pge_grant_is_locked(const PgeGrant *grant)
{
	return grant->locked || is_locked_now(grant->grant_id);
}

bool
pge_lock_grant(int64 grant_id)
{
	PgeTally   *tally = pge_tally_make(grant_id);

	if (tally != NULL)
	{
		change_lock(tally, PGE_LOCK_NONE, PGE_LOCK_UNSAVED);
		pge_tally_release();
	}
	pg_atomic_fetch_add_u64(&pge_tallies->lock_serial, 1);
	pge_wake_launcher();
	return tally != NULL;
}

static void
unlock_grant(int64 grant_id)
{
	PgeTally   *tally = pge_tally_find(grant_id);

	if (tally != NULL)
	{
		pg_atomic_write_u32(&tally->locked, PGE_LOCK_NONE);
		pge_tally_release();
	}
	pg_atomic_fetch_add_u64(&pge_tallies->lock_serial, 1);
}

void
pge_unlock_at_commit(int64 grant_id)
{
	pge_at_commit(unlock_grant, grant_id,
				  "cannot PREPARE a transaction that has unlocked a grant");
}

/* ---------------------------------------------------------------- */
/* Writing locks down                                               */
/* ---------------------------------------------------------------- */

static bool
is_pending(PgeTally *tally)
{
	return tally->database != InvalidOid &&
		pg_atomic_read_u32(&tally->locked) == PGE_LOCK_UNSAVED;
}

Oid
pge_lock_next_database(int *place)
{
	Oid			database = InvalidOid;

	LWLockAcquire(pge_tallies->lock, LW_SHARED);
	while (*place < PGE_TALLY_COUNT && database == InvalidOid)
	{
		PgeTally   *tally = &pge_tallies->grants[(*place)++];

		if (is_pending(tally))
			database = tally->database;
	}
	LWLockRelease(pge_tallies->lock);
	return database;
}

void
pge_lock_forget(Oid database)
{
	LWLockAcquire(pge_tallies->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGE_TALLY_COUNT; i++)
	{
		if (pge_tallies->grants[i].database == database)
			pge_tallies->grants[i].database = InvalidOid;
	}
	LWLockRelease(pge_tallies->lock);
}

static void
collect(void)
{
	saving_count = 0;
	LWLockAcquire(pge_tallies->lock, LW_SHARED);
	for (int i = 0; i < PGE_TALLY_COUNT; i++)
	{
		PgeTally   *tally = &pge_tallies->grants[i];

		if (tally->database == MyDatabaseId && is_pending(tally))
			saving[saving_count++] = tally->grant_id;
	}
	LWLockRelease(pge_tallies->lock);
}

/*
 * Writes a lock to its row, unless a session has unlocked the grant since.  A
 * session that unlocks holds the row until shared memory shows the unlock.  So
 * lock the row first, then check again.  False: another session holds the row.
 * Do not wait for it: otherwise a role that administers one grant could keep
 * the locks of all others from being written.
 */
static bool
save(int64 grant_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(grant_id)};

	if (pge_write_run("SELECT FROM pgenvelope.key_grant WHERE grant_id = $1"
					  " FOR UPDATE SKIP LOCKED",
					  lengthof(types), types, values, NULL) == 0)
		return pge_write_run("SELECT FROM pgenvelope.key_grant"
							 " WHERE grant_id = $1",
							 lengthof(types), types, values, NULL) == 0;
	if (is_locked_now(grant_id))
		pge_write_run("UPDATE pgenvelope.key_grant"
					  " SET locked_at = pg_catalog.clock_timestamp()"
					  " WHERE grant_id = $1 AND locked_at IS NULL",
					  lengthof(types), types, values, NULL);
	return true;
}

void
pge_lock_save(void)
{
	PgeWriter	writer;
	int			count;

	collect();
	if (saving_count == 0)
		return;
	count = saving_count;
	saving_count = 0;
	writer = pge_write_begin();
	for (int i = 0; i < count; i++)
	{
		if (save(saving[i]))
			saving[saving_count++] = saving[i];
	}
	pge_write_end(&writer);
	ForceSyncCommit();
}

/*
 * Sessions notice the changed rows with their next value, before the tally may
 * be given to another grant.
 */
int
pge_lock_saved(void)
{
	if (saving_count > 0)
		pge_destructions_bump();
	for (int i = 0; i < saving_count; i++)
	{
		PgeTally   *tally = pge_tally_find(saving[i]);

		if (tally == NULL)
			continue;
		change_lock(tally, PGE_LOCK_UNSAVED, PGE_LOCK_SAVED);
		pge_tally_release();
	}
	return saving_count;
}
