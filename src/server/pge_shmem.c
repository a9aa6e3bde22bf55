/*
 * pge_shmem.c
 *	  The shared memory of all folders that have some.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "audit/pge_anchor.h"
#include "audit/pge_statistics.h"
#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "context/pge_replay.h"
#include "keys/pge_key_cache.h"
#include "pge_shmem.h"
#include "rewrap/pge_activity.h"
#include "rights/pge_alert.h"
#include "rights/pge_tally.h"

/* How each folder requests its shared memory, and attaches to it. */
static const struct
{
	void (*request)(void);
	void (*attach)(void);
} parts[] = {
	{pge_shared_request, pge_shared_attach},
	{pge_key_cache_request, pge_key_cache_attach},
	{pge_activity_request, pge_activity_attach},
	{pge_statistics_request, pge_statistics_attach},
	{pge_replay_request, pge_replay_attach},
	{pge_anchor_request, pge_anchor_attach},
	{pge_tally_request, pge_tally_attach},
	{pge_alert_request, pge_alert_attach},
};

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
	for (int i = 0; i < (int) lengthof(parts); i++)
		parts[i].request();
}

/* Runs at server start, and again when the postmaster starts over. */
static void
attach_shared_memory(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < (int) lengthof(parts); i++)
		parts[i].attach();
	LWLockRelease(AddinShmemInitLock);
}

void
pge_shmem_init(void)
{
	pge_key_cache_init();
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_shared_memory;
#if PGE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
#else
	request_shared_memory();
#endif
}
