/*
 * pge_key_cache.c
 *	  The memory that backends and the keeper share.
 *
 * KEKs are in a mapping of their own, made before the first fork, so that it
 * can be locked and kept out of core dumps.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/shmem.h"

#include "base/pge_compat.h"
#include "base/pge_secret.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"

PgeKeyCache *pge_key_cache;

/* Mapped before the first fork, so that all processes share it. */
static envl_key *keys;
static bool keys_locked;

/* The size of PgeKeyCache with its slots, up to where the tags begin. */
static Size
slots_size(void)
{
	return MAXALIGN(add_size(offsetof(PgeKeyCache, slots),
							 mul_size(pge_key_cache_size, sizeof(PgeSlot))));
}

static Size
shared_size(void)
{
	return add_size(slots_size(),
					mul_size(pge_key_cache_size, sizeof(uint64)));
}

void
pge_key_cache_request(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("pgenvelope", 1);
}

static void
initialize_counters(PgeCounters *counters)
{
	pg_atomic_init_u64(&counters->hits, 0);
	pg_atomic_init_u64(&counters->misses, 0);
	pg_atomic_init_u64(&counters->seals, 0);
	pg_atomic_init_u64(&counters->unseals, 0);
	pg_atomic_init_u64(&counters->refreshes, 0);
	pg_atomic_init_u64(&counters->evictions, 0);
	pg_atomic_init_u64(&counters->keeper_starts, 0);
	for (int i = 0; i < PROV_CATEGORIES; i++)
		pg_atomic_init_u64(&counters->failures[i], 0);
}

static void
initialize(PgeKeyCache *cache)
{
	memset(cache, 0, shared_size());
	cache->lock = &GetNamedLWLockTranche("pgenvelope")->lock;
	ConditionVariableInit(&cache->turn);
	initialize_counters(&cache->counters);
	cache->memory_locked = keys_locked;
	cache->slot_count = pge_key_cache_size;
	cache->keys = keys;
	cache->tags = (uint64 *) ((char *) cache + slots_size());
	for (int i = 0; i < cache->slot_count; i++)
	{
		pg_atomic_init_u64(&cache->slots[i].used_ms, 0);
		ConditionVariableInit(&cache->slots[i].changed);
	}
}

static void
wipe_keys(int code, Datum arg)
{
	envl_wipe(keys, mul_size(pge_key_cache_size, sizeof(envl_key)));
}

/*
 * Wipe the KEKs when the postmaster exits, and when it starts over after a
 * crash: the slots that identify them are gone then.  Children do not inherit
 * this callback.
 */
void
pge_key_cache_attach(void)
{
	bool		found;

	pge_key_cache = ShmemInitStruct("pgenvelope keys", shared_size(), &found);
	if (found)
		return;
	initialize(pge_key_cache);
	on_shmem_exit(wipe_keys, (Datum) 0);
}

void
pge_key_cache_init(void)
{
	keys = pge_secret_map_shared(mul_size(pge_key_cache_size,
										  sizeof(envl_key)),
								 &keys_locked);
}
