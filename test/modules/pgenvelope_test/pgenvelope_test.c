/*
 * pgenvelope_test.c
 *	  Levers for tests: the clock, the keeper's fault points, a look at the
 *	  memory of keys.
 *
 * A module of its own, so that what is tested is what is shipped.  It finds
 * pgenvelope's shared memory by name.  Never install it on a server that
 * holds anything of worth.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/pge_shared.h"
#include "keys/pge_key_cache.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_rewrap_settings.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pgenvelope_test_advance_clock);
PG_FUNCTION_INFO_V1(pgenvelope_test_point);
PG_FUNCTION_INFO_V1(pgenvelope_test_unwiped_slots);
PG_FUNCTION_INFO_V1(pgenvelope_test_held_keys);

/* A part of pgenvelope's shared memory, by the name and size it has there. */
static void *
part(const char *name, Size size)
{
	bool		found;
	void	   *at;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	at = ShmemInitStruct(name, size, &found);
	LWLockRelease(AddinShmemInitLock);
	if (!found)
		elog(ERROR, "shared memory of pgenvelope not found");
	return at;
}

static PgeShared *
shared(void)
{
	if (GetConfigOption("pgenvelope.key_cache_size", true, false) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pgenvelope is not preloaded")));
	return part("pgenvelope", sizeof(PgeShared));
}

/* The size is computed as in keys/pge_key_cache.c. */
static PgeKeyCache *
key_cache(void)
{
	Size		slots = atoi(GetConfigOption("pgenvelope.key_cache_size",
											 false, false));

	return part("pgenvelope keys",
				MAXALIGN(offsetof(PgeKeyCache, slots) +
						 slots * sizeof(PgeSlot)) +
					slots * sizeof(uint64));
}

/* Who sleeps by the clock is to look at it. */
static void
wake_launcher(void)
{
	PgeRewrapShared *at = part("pgenvelope rewrap", sizeof(PgeRewrapShared));

	if (shared()->launcher_latch != NULL)
		SetLatch(shared()->launcher_latch);
	LWLockAcquire(at->lock, LW_SHARED);
	for (int i = 0; i < PGE_REWRAP_WORKERS_MAX; i++)
	{
		if (at->workers[i].latch != NULL)
			SetLatch(at->workers[i].latch);
	}
	LWLockRelease(at->lock);
}

static void
wake_keeper(void)
{
	PgeKeyCache *at = key_cache();

	LWLockAcquire(at->lock, LW_SHARED);
	if (at->keeper_latch != NULL)
		SetLatch(at->keeper_latch);
	LWLockRelease(at->lock);
}

/* Moves the clock of pgenvelope forward by so many milliseconds. */
Datum
pgenvelope_test_advance_clock(PG_FUNCTION_ARGS)
{
	PgeShared  *at = shared();

	pg_atomic_fetch_add_u64(&at->clock_offset_ms, PG_GETARG_INT64(0));
	wake_keeper();
	wake_launcher();
	PG_RETURN_VOID();
}

/*
 * Sets what happens at a point, action 'pass', 'error', 'exit', 'abort' or
 * 'hang': 'loop' and 'call' are the keeper's, 'version' is in the making of
 * one, 'batch', 'cursor', 'page', 'count' and 'proof' are in a job.
 */
Datum
pgenvelope_test_point(PG_FUNCTION_ARGS)
{
	static const char *const points[] = {"loop", "call", "version", "batch",
										 "cursor", "page", "count", "proof"};
	static const char *const actions[] = {"pass", "error", "exit", "abort",
										  "hang"};
	char	   *point = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PgeShared  *at = shared();

	for (int i = 0; i < (int) lengthof(points); i++)
	{
		for (int j = 0; j < (int) lengthof(actions); j++)
		{
			if (strcmp(point, points[i]) == 0 &&
				strcmp(action, actions[j]) == 0)
			{
				pg_atomic_write_u32(&at->points[i], j);
				wake_keeper();
				PG_RETURN_VOID();
			}
		}
	}
	elog(ERROR, "no such point or action");
}

/* Slots that hold no key but whose key memory is not zero: must be 0. */
Datum
pgenvelope_test_unwiped_slots(PG_FUNCTION_ARGS)
{
	static const envl_key zero;
	PgeKeyCache *at = key_cache();
	int			unwiped = 0;

	LWLockAcquire(at->lock, LW_SHARED);
	for (int i = 0; i < at->slot_count; i++)
		unwiped += at->slots[i].state != PGE_SLOT_READY &&
			memcmp(&at->keys[i], &zero, sizeof(zero)) != 0;
	LWLockRelease(at->lock);
	PG_RETURN_INT32(unwiped);
}

/* The unsealed keys themselves, for leak tests that look for them. */
Datum
pgenvelope_test_held_keys(PG_FUNCTION_ARGS)
{
	PgeKeyCache *at = key_cache();
	bytea	   *keys = palloc(VARHDRSZ + at->slot_count * sizeof(envl_key));
	int			count = 0;

	LWLockAcquire(at->lock, LW_SHARED);
	for (int i = 0; i < at->slot_count; i++)
	{
		if (at->slots[i].state == PGE_SLOT_READY)
			memcpy(VARDATA(keys) + count++ * sizeof(envl_key), &at->keys[i],
				   sizeof(envl_key));
	}
	LWLockRelease(at->lock);
	SET_VARSIZE(keys, VARHDRSZ + count * sizeof(envl_key));
	PG_RETURN_BYTEA_P(keys);
}
