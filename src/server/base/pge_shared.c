/*
 * pge_shared.c
 *	  What all processes of the server share, whatever their task.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"

PgeShared  *pge_shared;

void
pge_shared_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(PgeShared)));
}

void
pge_shared_attach(void)
{
	bool		found;

	pge_shared = ShmemInitStruct("pgenvelope", sizeof(PgeShared), &found);
	if (found)
		return;
	memset(pge_shared, 0, sizeof(PgeShared));
	pg_atomic_init_u64(&pge_shared->destructions, 0);
	for (int i = 0; i < PGE_GENERATIONS; i++)
		pg_atomic_init_u64(&pge_shared->generations[i], 1);
	pg_atomic_init_u64(&pge_shared->clock_offset_ms, 0);
	for (int i = 0; i < PGE_POINTS; i++)
		pg_atomic_init_u32(&pge_shared->points[i], PGE_POINT_PASS);
	SpinLockInit(&pge_shared->launcher_mutex);
	pge_shared->started_at = GetCurrentTimestamp();
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
