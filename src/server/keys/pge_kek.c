/*
 * pge_kek.c
 *	  The KEKs that this backend uses, and the process's sealer.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "base/pge_secret.h"
#include "base/pge_shared.h"
#include "keys/pge_cache.h"
#include "keys/pge_kek.h"

/*
 * How many KEKs a backend holds at once.  One more replaces the oldest:
 * getting that one from the shared cache again costs a few microseconds.
 */
#define HELD_KEKS 64

/* A statement does not use a pool that was older than this when it started. */
#define POOL_AGE_US INT64CONST(1000000)

/* How often a backend reports to the cache that a KEK is in use. */
#define TOUCH_INTERVAL_MS 1000

static PgeKek *held[HELD_KEKS];
static int	next_victim;
static PgeKek *spare;			/* empty memory for the next one */

static envl_sealer *sealer;		/* in pge_secret memory */
static TimestampTz random_filled;

static void
drop(int i)
{
	PgeKek	   *kek = held[i];

	if (kek == NULL)
		return;
	held[i] = NULL;
	kek->version->kek = NULL;
	envl_kek_clear(&kek->kek);
	pge_secret_delete(kek, sizeof(PgeKek));
}

void
pge_kek_drop_all(void)
{
	for (int i = 0; i < HELD_KEKS; i++)
		drop(i);
}

static void
transaction_ended(XactEvent event, void *arg)
{
	if (pge_shared != NULL &&
		(event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		 event == XACT_EVENT_PREPARE ||
		 event == XACT_EVENT_PARALLEL_COMMIT ||
		 event == XACT_EVENT_PARALLEL_ABORT))
		pge_cache_flush_counts();
}

/* KEKs point to versions of the catalog, so they must be dropped first. */
void
pge_kek_init(void)
{
	pge_catalog_on_drop(pge_kek_drop_all);
	RegisterXactCallback(transaction_ended, NULL);
}

/* The process's exit frees the memory, but does not wipe it. */
static void
wipe_at_exit(int code, Datum arg)
{
	pge_kek_drop_all();
	if (sealer != NULL)
	{
		envl_engine_clear(&sealer->engine);
		envl_wipe(sealer, sizeof(envl_sealer));
	}
}

envl_sealer *
pge_sealer(void)
{
	envl_sealer *fresh;

	if (likely(sealer != NULL))
		return sealer;
	fresh = pge_secret_new(sizeof(envl_sealer));
	if (envl_engine_init(&fresh->engine) != ENVL_OK)
	{
		pge_secret_delete(fresh, sizeof(envl_sealer));
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not initialize the cryptographic library"),
				 errhint("See the server's OpenSSL configuration.")));
	}
	sealer = fresh;
	on_proc_exit(wipe_at_exit, (Datum) 0);
	return sealer;
}

/* Gets the KEK from the shared cache and makes libcrypto's keys from it. */
static PgeKek *
unseal(PgeKeyVersion *version, PgeProblem *problem)
{
	envl_sealer *with = pge_sealer();
	uint64		generation = pge_generation();
	PgeUnsealedKek unsealed;
	PgeKek	   *kek;
	envl_status status;

	/* Allocate first: if that fails, there must be no KEK left to wipe. */
	if (spare == NULL)
		spare = pge_secret_new(sizeof(PgeKek));
	if (!pge_cache_get(&version->sealed, &unsealed, problem))
		return NULL;
	drop(next_victim);
	kek = spare;
	status = envl_kek_init(&kek->kek, &with->engine, &unsealed.key);
	envl_wipe(&unsealed.key, sizeof(envl_key));
	if (status != ENVL_OK)
	{
		pge_problem_core(problem, status);
		return NULL;
	}
	spare = NULL;
	kek->version = version;

	/*
	 * Read before asking for the KEK, so that an eviction since then counts.
	 */
	kek->generation = generation;
	kek->hard_ms = unsealed.hard_ms;
	kek->slot = unsealed.slot;
	kek->touched_ms = pge_clock_ms();
	held[next_victim] = kek;
	next_victim = (next_victim + 1) % HELD_KEKS;
	version->kek = kek;
	return kek;
}

PgeKek *
pge_kek_get(PgeKeyVersion *version, PgeProblem *problem)
{
	PgeKek	   *kek = version->kek;
	int64		now;

	if (unlikely(kek == NULL))
		return unseal(version, problem);
	now = pge_clock_ms();
	if (unlikely(kek->generation != pge_generation() ||
				 now >= kek->hard_ms))
	{
		pge_kek_drop_all();
		return unseal(version, problem);
	}
	if (unlikely(now - kek->touched_ms >= TOUCH_INTERVAL_MS))
	{
		kek->touched_ms = now;
		pge_cache_touch(kek->slot, now);
	}
	pge_cache_count_hit();
	return kek;
}

/*
 * Whether a pool was filled more than a moment before this statement.  If so,
 * the server may have been cloned in between, together with the DEKs.
 */
static bool
is_old(TimestampTz filled)
{
	return GetCurrentStatementStartTimestamp() - filled > POOL_AGE_US;
}

void
pge_kek_prepare_seal(PgeKek *kek)
{
	envl_sealer *with = pge_sealer();

	if (unlikely(kek->pool.left == 0 || is_old(kek->pool_filled)))
	{
		envl_dek_pool_reset(&kek->pool);
		kek->pool_filled = GetCurrentTimestamp();
	}
	if (unlikely(with->random.left == 0 || is_old(random_filled)))
	{
		envl_random_reset(&with->random);
		random_filled = GetCurrentTimestamp();
	}
}
