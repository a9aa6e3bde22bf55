/*
 * pge_activity.c
 *	  What the launcher, the rewrap workers and everybody who watches them
 *	  share.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "storage/shmem.h"

#include "pge_activity.h"
#include "pge_compat.h"

PgeRewrapShared *pge_rewrap_shared;

static shmem_startup_hook_type previous_startup_hook;
#if PGE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request_hook;
#endif

static void
request_shared_memory(void)
{
#if PGE_SHMEM_REQUEST_HOOK
	if (previous_request_hook)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(sizeof(PgeRewrapShared));
	RequestNamedLWLockTranche("pgenvelope_rewrap", 1);
}

static void
attach_shared_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	pge_rewrap_shared = ShmemInitStruct("pgenvelope rewrap",
										sizeof(PgeRewrapShared), &found);
	if (!found)
	{
		memset(pge_rewrap_shared, 0, sizeof(PgeRewrapShared));
		pge_rewrap_shared->lock =
			&GetNamedLWLockTranche("pgenvelope_rewrap")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
pge_activity_init(void)
{
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_shared_memory;
#if PGE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
#else
	request_shared_memory();
#endif
}

static bool
is_wanted(Oid database)
{
	if (pge_rewrap_shared->all_wanted)
		return true;
	for (int i = 0; i < pge_rewrap_shared->wanted_count; i++)
	{
		if (pge_rewrap_shared->wanted[i] == database)
			return true;
	}
	return false;
}

void
pge_activity_want(Oid database)
{
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	if (!is_wanted(database))
	{
		if (pge_rewrap_shared->wanted_count < PGE_WANTED_MAX)
			pge_rewrap_shared->wanted[pge_rewrap_shared->wanted_count++] =
				database;
		else
			pge_rewrap_shared->all_wanted = true;
	}
	if (pge_rewrap_shared->launcher_latch != NULL)
		SetLatch(pge_rewrap_shared->launcher_latch);
	LWLockRelease(pge_rewrap_shared->lock);
}
