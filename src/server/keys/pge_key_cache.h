/*
 * pge_key_cache.h
 *	  What backends and the keeper share: the key cache's slots, how to reach
 *	  the keeper, counters.
 *
 * A slot is both a request to the keeper and the cache entry that answers it,
 * so any number of backends that want the same KEK make one provider call.
 * The 32 bytes of the KEK itself are not in the slot, but in a mapping of
 * their own.  That is kept out of core dumps and, as far as the process's
 * limit allows, out of swap.
 *
 * Locking protocol.  PgeKeyCache.lock covers the KEKs and every field of every
 * slot, except those marked atomic: exclusive to change, shared to read.  Do
 * not wait, allocate or talk to a provider while holding it.
 * After changing a slot's state, release the lock and then broadcast the
 * slot's condition variable.  A process that slept on it has to find its slot
 * again by digest, since slots are reused.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_KEY_CACHE_H
#define PGE_KEY_CACHE_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "base/pge_shared.h"
#include "providers/prov.h"

typedef enum PgeSlotState
{
	PGE_SLOT_FREE = 0,
	PGE_SLOT_WANTED,			/* a backend waits for the keeper */
	PGE_SLOT_WORKING,			/* the keeper has asked the provider */
	PGE_SLOT_READY,				/* the KEK is there */
	PGE_SLOT_FAILED				/* there is a failure, until retry_ms */
} PgeSlotState;

/* What a slot was claimed for. */
typedef enum PgeWant
{
	PGE_WANT_UNSEAL,			/* an entry of the cache */
	PGE_WANT_NEW,				/* a KEK to be generated and sealed */
	PGE_WANT_RESEAL,			/* the KEK of another slot, resealed */
	PGE_WANT_PROOF,				/* a KEK unsealed by its provider now, for its
								 * key-check value */
	PGE_WANT_CHECK				/* whether the provider is usable */
} PgeWant;

typedef struct PgeSlot
{
	PgeSlotState state;
	PgeWant		want;			/* all but UNSEAL wait for one backend, under
								 * a random digest */
	bool		refreshing;		/* READY, and the keeper asks again */
	Oid			database;
	uint8		digest[ENVL_KEK_DIGEST_LEN];	/* names the KEK, or the
												 * request */
	uint8		source[ENVL_KEK_DIGEST_LEN];	/* RESEAL: the KEK's slot */
	uint8		new_digest[ENVL_KEK_DIGEST_LEN];	/* of the new seal */
	char		database_name[NAMEDATALEN];
	char		provider[PROV_NAME_SIZE];
	char		key_name[ENVL_KEY_NAME_MAX + 1];
	uint64		key_id;
	uint16		version;
	uint8		kcv[ENVL_KCV_LEN];	/* of the KEK, once READY */
	prov_category category;		/* FAILED: why */
	char		reason[160];	/* FAILED: the sentence for the client */
	int64		soft_ms;		/* READY: unseal again from then on */
	int64		hard_ms;		/* READY: do not use from then on */
	int64		retry_ms;		/* FAILED: forget it from then on */
	int64		latency_ms;		/* CHECK, once READY: how long it took */
	int64		expires;		/* CHECK, once READY: when the credential
								 * expires, in seconds since 1970, or 0 */
	pg_atomic_uint64 used_ms;	/* atomic: when a backend last used it */
	ConditionVariable changed;	/* broadcast when state changes */
	prov_sealed sealed;			/* to unseal, or what sealing returned */
} PgeSlot;

/* Why a provider is called. */
typedef enum PgeCallKind
{
	PGE_CALL_SEAL,
	PGE_CALL_UNSEAL,
	PGE_CALL_CHECK,
	PGE_CALL_KINDS
} PgeCallKind;

/* Calls are counted by duration.  The bounds are in pge_provider_stat.c. */
#define PGE_LATENCY_BUCKETS 12

typedef struct PgeCallStat
{
	uint64		calls;			/* finished ones */
	uint64		failures[PROV_CATEGORIES];
	uint64		total_ms;
	uint64		longest_ms;
	uint64		buckets[PGE_LATENCY_BUCKETS];	/* longer ones are in none */
	TimestampTz last_success;	/* 0: never */
	TimestampTz last_failure;
} PgeCallStat;

/* How many providers have counters; under lock. */
#define PGE_COUNTED_PROVIDERS 32

typedef struct PgeProviderStat
{
	char		provider[PROV_NAME_SIZE];	/* "": unused */
	PgeCallStat calls[PGE_CALL_KINDS];
	int64		last_call_ms;	/* when the last one ended */
	bool		is_failing;		/* it failed, and not because of one key */
	TimestampTz failed_at;		/* the last failure; 0: none */
	prov_category category;		/* why */
	char		reason[160];	/* the sentence for clients */
} PgeProviderStat;

/* All atomic. */
typedef struct PgeCounters
{
	pg_atomic_uint64 hits;		/* values served by a KEK already unsealed */
	pg_atomic_uint64 misses;	/* times a backend had to ask the keeper */
	pg_atomic_uint64 seals;		/* provider calls */
	pg_atomic_uint64 unseals;	/* provider calls */
	pg_atomic_uint64 refreshes; /* including unseals ahead of use */
	pg_atomic_uint64 evictions;
	pg_atomic_uint64 keeper_starts;
	pg_atomic_uint64 failures[PROV_CATEGORIES];
} PgeCounters;

typedef struct PgeKeyCache
{
	LWLock	   *lock;
	ConditionVariable turn;		/* broadcast when a call ends, for backends
								 * that found no slot */
	pid_t		keeper_pid;		/* 0 if there is none; under lock */
	Latch	   *keeper_latch;	/* under lock */
	bool		memory_locked;	/* set at start: mlock worked */
	PgeCounters counters;
	PgeProviderStat provider_stats[PGE_COUNTED_PROVIDERS];	/* under lock */

	/*
	 * Set at start.  Both arrays have an element for each slot and are at the
	 * same address in every process.  Their contents are under lock.
	 */
	int			slot_count;
	envl_key   *keys;			/* the KEKs, in a mapping of their own */
	uint64	   *tags;			/* the first bytes of the digests, side by
								 * side, so that a search reads little */
	PgeSlot		slots[FLEXIBLE_ARRAY_MEMBER];
} PgeKeyCache;

/* NULL unless the library was preloaded. */
extern PgeKeyCache *pge_key_cache;

/*
 * Called in the postmaster: from _PG_init, to map the memory of the KEKs; when
 * shared memory is requested; and when it exists.
 */
extern void pge_key_cache_init(void);
extern void pge_key_cache_request(void);
extern void pge_key_cache_attach(void);

#endif							/* PGE_KEY_CACHE_H */
