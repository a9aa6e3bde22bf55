/*
 * pge_shared.c
 *	  What backends and the keeper share.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <sys/mman.h>

#include "storage/pmsignal.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "audit/pge_anchor.h"
#include "audit/pge_statistics.h"
#include "base/pge_compat.h"
#include "base/pge_secret.h"
#include "base/pge_shared.h"
#include "context/pge_replay.h"
#include "pge_guc.h"
#include "rewrap/pge_activity.h"
#include "rights/pge_tally.h"

PgeShared  *pge_shared;

/* Mapped before the first fork, so that it is one for all processes. */
static envl_key *keys;
static bool keys_locked;

static shmem_startup_hook_type previous_startup_hook;
#if PGE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request_hook;
#endif

/* PgeShared with its slots, up to where the tags begin. */
static Size
slots_size(void)
{
	return MAXALIGN(add_size(offsetof(PgeShared, slots),
							 mul_size(pge_key_cache_size, sizeof(PgeSlot))));
}

static Size
shared_size(void)
{
	return add_size(slots_size(),
					mul_size(pge_key_cache_size, sizeof(uint64)));
}

static void
request_shared_memory(void)
{
#if PGE_SHMEM_REQUEST_HOOK
	if (previous_request_hook)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("pgenvelope", 1);
	pge_activity_request();
	pge_statistics_request();
	pge_replay_request();
	pge_anchor_request();
	pge_tally_request();
	pge_alert_request();
}

static void
initialize_shared(void)
{
	memset(pge_shared, 0, shared_size());
	pge_shared->lock = &GetNamedLWLockTranche("pgenvelope")->lock;
	pg_atomic_init_u64(&pge_shared->destructions, 0);
	for (int i = 0; i < PGE_GENERATIONS; i++)
		pg_atomic_init_u64(&pge_shared->generations[i], 1);
	ConditionVariableInit(&pge_shared->turn);
	pg_atomic_init_u64(&pge_shared->clock_offset_ms, 0);
	for (int i = 0; i < PGE_POINTS; i++)
		pg_atomic_init_u32(&pge_shared->points[i], PGE_POINT_PASS);
	pg_atomic_init_u64(&pge_shared->counters.hits, 0);
	pg_atomic_init_u64(&pge_shared->counters.misses, 0);
	pg_atomic_init_u64(&pge_shared->counters.seals, 0);
	pg_atomic_init_u64(&pge_shared->counters.unseals, 0);
	pg_atomic_init_u64(&pge_shared->counters.refreshes, 0);
	pg_atomic_init_u64(&pge_shared->counters.evictions, 0);
	pg_atomic_init_u64(&pge_shared->counters.keeper_starts, 0);
	for (int i = 0; i < PROV_CATEGORIES; i++)
		pg_atomic_init_u64(&pge_shared->counters.failures[i], 0);
	pge_shared->started_at = GetCurrentTimestamp();
	pge_shared->memory_locked = keys_locked;
	pge_shared->slot_count = pge_key_cache_size;
	pge_shared->keys = keys;
	pge_shared->tags = (uint64 *) ((char *) pge_shared + slots_size());
	for (int i = 0; i < pge_shared->slot_count; i++)
	{
		pg_atomic_init_u64(&pge_shared->slots[i].used_ms, 0);
		ConditionVariableInit(&pge_shared->slots[i].changed);
	}
}

static void
wipe_keys(int code, Datum arg)
{
	envl_wipe(keys, mul_size(pge_key_cache_size, sizeof(envl_key)));
}

/*
 * Runs at server start, and again when the postmaster starts over after a
 * crash.  KEKs are wiped when it exits, and when it starts over: the slots
 * that said whose they are have gone.  Children do not inherit that.
 */
static void
attach_shared_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	pge_shared = ShmemInitStruct("pgenvelope", shared_size(), &found);
	if (!found)
	{
		initialize_shared();
		on_shmem_exit(wipe_keys, (Datum) 0);
	}
	pge_activity_attach();
	pge_statistics_attach();
	pge_replay_attach();
	pge_anchor_attach();
	pge_tally_attach();
	pge_alert_attach();
	LWLockRelease(AddinShmemInitLock);
}

void
pge_shared_init(void)
{
	keys = pge_secret_map_shared(mul_size(pge_key_cache_size,
										  sizeof(envl_key)),
								 &keys_locked);
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_shared_memory;
#if PGE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
#else
	request_shared_memory();
#endif
}

void
pge_require_preload(void)
{
	if (likely(pge_shared != NULL && IsUnderPostmaster))
		return;
	if (pge_shared != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pgenvelope does not work in single-user mode"),
				 errhint("Start the server normally: keys are unsealed by a background worker.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pgenvelope is not preloaded"),
			 errhint("Add \"pgenvelope\" to shared_preload_libraries and restart the server.")));
}

int64
pge_clock_ms(void)
{
	struct timespec now;

	clock_gettime(PGE_CLOCK, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000 +
		(int64) pg_atomic_read_u64(&pge_shared->clock_offset_ms);
}

int
pge_backoff_ms(int failures, int longest_ms)
{
	return (int) Min(INT64CONST(1000) << Min(Max(failures, 0), 20),
					 longest_ms);
}

static pg_atomic_uint64 *
generation_of(Oid database)
{
	return &pge_shared->generations[database % PGE_GENERATIONS];
}

uint64
pge_generation(void)
{
	return pg_atomic_read_u64(generation_of(MyDatabaseId));
}

void
pge_generation_bump(Oid database)
{
	pg_atomic_fetch_add_u64(generation_of(database), 1);
}

uint64
pge_destructions(void)
{
	return pg_atomic_read_u64(&pge_shared->destructions);
}

void
pge_destructions_bump(void)
{
	pg_atomic_fetch_add_u64(&pge_shared->destructions, 1);
}

/* Takes the action if it still stands, so that it happens once. */
static bool
take_action(PgePoint point, uint32 action)
{
	return pg_atomic_compare_exchange_u32(&pge_shared->points[point], &action,
										  PGE_POINT_PASS);
}

void
pge_point(PgePoint point)
{
	uint32		action = pg_atomic_read_u32(&pge_shared->points[point]);

	if (likely(action == PGE_POINT_PASS))
		return;
	if (action == PGE_POINT_ERROR && take_action(point, action))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("error at test point %d", point)));
	if (action == PGE_POINT_EXIT && take_action(point, action))
		proc_exit(1);
	if (action == PGE_POINT_ABORT && take_action(point, action))
		abort();
	while (pg_atomic_read_u32(&pge_shared->points[point]) == PGE_POINT_HANG &&
		   PostmasterIsAlive())
		pg_usleep(10000);
}
