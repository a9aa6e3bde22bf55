/*
 * pge_cache.c
 *	  Getting an unsealed KEK, or a new one, from the keeper.
 *
 * A backend looks for the slot that bears the digest of what it wants.  If
 * the KEK is there it is copied out under the lock.  If nobody has asked yet,
 * the backend claims a slot and wakes the keeper.  Either way it then sleeps
 * on that slot, in steps of at most a second, because a keeper that dies
 * tells nobody.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "utils/lsyscache.h"

#include "pge_cache.h"
#include "pge_compat.h"
#include "pge_guc.h"

/* How long a KEK that fails its check is kept.  Seconds, as any failure. */
#define MISMATCH_MS 2000

static uint64 hits;				/* not yet added to the shared counter */

void
pge_cache_count_hit(void)
{
	hits++;
}

void
pge_cache_flush_counts(void)
{
	if (hits > 0)
		pg_atomic_fetch_add_u64(&pge_shared->counters.hits, hits);
	hits = 0;
}

void
pge_cache_touch(int slot, int64 now)
{
	/* If the slot has changed hands, another KEK lives a little longer. */
	pg_atomic_write_u64(&pge_shared->slots[slot].used_ms, now);
}

void
pge_slot_clear(int slot)
{
	Assert(LWLockHeldByMeInMode(pge_shared->lock, LW_EXCLUSIVE));
	envl_wipe(&pge_shared->keys[slot], sizeof(envl_key));
	pge_shared->slots[slot].state = PGE_SLOT_FREE;
	pge_shared->slots[slot].refreshing = false;
}

static uint64
digest_tag(const uint8 *digest)
{
	uint64		tag;

	memcpy(&tag, digest, sizeof(tag));
	return tag;
}

/* The slot with this digest in this database, or -1. */
static int
find_slot(const uint8 *digest)
{
	uint64		tag = digest_tag(digest);

	for (int i = 0; i < pge_shared->slot_count; i++)
	{
		PgeSlot    *slot = &pge_shared->slots[i];

		if (pge_shared->tags[i] == tag && slot->state != PGE_SLOT_FREE &&
			slot->database == MyDatabaseId &&
			memcmp(slot->digest, digest, ENVL_KEK_DIGEST_LEN) == 0)
			return i;
	}
	return -1;
}

static void
name_slot(int i, const uint8 *digest)
{
	memcpy(pge_shared->slots[i].digest, digest, ENVL_KEK_DIGEST_LEN);
	pge_shared->tags[i] = digest_tag(digest);
}

/*
 * A free slot, made free if need be by evicting the KEK that was not used for
 * longest; -1 if every slot is being worked on.
 */
static int
take_slot(void)
{
	int			oldest = -1;
	uint64		oldest_used_ms = 0;

	for (int i = 0; i < pge_shared->slot_count; i++)
	{
		PgeSlot    *slot = &pge_shared->slots[i];
		uint64		used_ms;

		if (slot->state == PGE_SLOT_FREE)
			return i;
		if (slot->state != PGE_SLOT_READY && slot->state != PGE_SLOT_FAILED)
			continue;
		used_ms = pg_atomic_read_u64(&slot->used_ms);
		if (oldest < 0 || used_ms < oldest_used_ms)
		{
			oldest = i;
			oldest_used_ms = used_ms;
		}
	}
	if (oldest >= 0)
	{
		pge_slot_clear(oldest);
		pg_atomic_fetch_add_u64(&pge_shared->counters.evictions, 1);
	}
	return oldest;
}

/* Makes a slot ask for a KEK.  Caller holds the lock exclusively. */
static void
fill_slot(int i, const PgeSealedKek *kek, const char *database_name)
{
	PgeSlot    *slot = &pge_shared->slots[i];

	slot->state = PGE_SLOT_WANTED;
	slot->seal = kek->sealed.len == 0;
	slot->refreshing = false;
	slot->database = MyDatabaseId;
	name_slot(i, kek->digest);
	strlcpy(slot->database_name, database_name, NAMEDATALEN);
	strlcpy(slot->provider, kek->provider, PROV_NAME_SIZE);
	strlcpy(slot->key_name, kek->key_name, sizeof(slot->key_name));
	slot->key_id = kek->key_id;
	slot->version = kek->version;
	slot->sealed.len = kek->sealed.len;
	slot->sealed.root_key[0] = '\0';
	if (kek->sealed.len > 0)
	{
		memcpy(slot->sealed.bytes, kek->sealed.data, kek->sealed.len);
		strlcpy(slot->sealed.root_key, kek->root_key, PROV_ROOT_KEY_MAX);
	}
	pg_atomic_write_u64(&slot->used_ms, pge_clock_ms());
}

/* The failure in a slot, for the client.  Caller holds the lock. */
static void
slot_problem(const PgeSlot *slot, PgeProblem *problem)
{
	bool		retry = slot->category == PROV_UNAVAILABLE ||
		slot->category == PROV_THROTTLED;

	pge_problem(problem, retry ? PGE_KEY_UNAVAILABLE : PGE_PROVIDER,
				retry ? "Try again; the server's log says more." :
						"The server's log says more.",
				"could not get key \"%s\" version %u from provider \"%s\": %s",
				slot->key_name, slot->version, slot->provider,
				prov_category_name(slot->category));
	pge_problem_detail(problem, "%s", slot->reason);
}

/*
 * Lets a new KEK be found under its own digest from now on, so that its first
 * use costs no provider call.  Caller holds the lock exclusively.
 */
static void
adopt_new_kek(int i)
{
	PgeSlot    *slot = &pge_shared->slots[i];
	uint8		digest[ENVL_KEK_DIGEST_LEN];

	slot->seal = false;
	slot->soft_ms = slot->hard_ms - (int64) pge_key_cache_grace * 1000;
	if (envl_kek_digest(slot->key_id, slot->version,
						(envl_view) {slot->sealed.bytes, slot->sealed.len},
						digest) == ENVL_OK)
		name_slot(i, digest);
	else
		pge_slot_clear(i);
}

/*
 * Copies a KEK out if it is the catalog's.  If it is not, row or provider is
 * wrong, and the provider is asked again in a moment.  Caller holds the lock
 * exclusively.
 */
static bool
take_kek(int i, const PgeSealedKek *kek, PgeUnsealedKek *out)
{
	PgeSlot    *slot = &pge_shared->slots[i];
	int64		now = pge_clock_ms();

	if (!envl_secret_equal(slot->kcv, kek->kcv, ENVL_KCV_LEN))
	{
		slot->hard_ms = Min(slot->hard_ms, now + MISMATCH_MS);
		return false;
	}
	out->key = pge_shared->keys[i];

	/* The slot may be somebody else's soon, and not be refreshed any more. */
	out->hard_ms = Min(slot->hard_ms, now + (int64) pge_key_cache_ttl * 1000);
	out->slot = i;
	pg_atomic_write_u64(&slot->used_ms, now);
	return true;
}

/*
 * Looks at the wanted KEK, claiming a slot for it when there is none.
 * Returns the slot, or -1 when all are busy; *state is what it is in, and for
 * READY and FAILED the result has been copied.
 */
static int
look(const PgeSealedKek *kek, const char *database_name, PgeSlotState *state,
	 PgeUnsealedKek *out, PgeNewKek *made, PgeProblem *problem)
{
	int64		now = pge_clock_ms();
	int			i;
	PgeSlot    *slot;

	LWLockAcquire(pge_shared->lock, LW_EXCLUSIVE);
	i = find_slot(kek->digest);
	if (i >= 0)
	{
		slot = &pge_shared->slots[i];
		if ((slot->state == PGE_SLOT_READY && now >= slot->hard_ms) ||
			(slot->state == PGE_SLOT_FAILED && now >= slot->retry_ms))
		{
			pge_slot_clear(i);
			i = -1;
		}
	}
	if (i < 0)
	{
		i = take_slot();
		if (i >= 0)
		{
			fill_slot(i, kek, database_name);
			if (pge_shared->keeper_latch != NULL)
				SetLatch(pge_shared->keeper_latch);
		}
	}
	if (i < 0)
	{
		LWLockRelease(pge_shared->lock);
		return -1;
	}
	slot = &pge_shared->slots[i];
	*state = slot->state;
	if (slot->state == PGE_SLOT_FAILED)
		slot_problem(slot, problem);
	else if (slot->state == PGE_SLOT_READY && made != NULL)
	{
		made->sealed = slot->sealed;
		memcpy(made->kcv, slot->kcv, ENVL_KCV_LEN);
		adopt_new_kek(i);
	}
	else if (slot->state == PGE_SLOT_READY && !take_kek(i, kek, out))
	{
		*state = PGE_SLOT_FAILED;
		pge_problem(problem, PGE_PROVIDER,
					"The row of pgenvelope.key_version was altered, or restored from elsewhere.",
					"key \"%s\" version %u does not match its key-check value",
					kek->key_name, kek->version);
	}
	LWLockRelease(pge_shared->lock);
	return i;
}

/* The name of the database, for providers that serve only one. */
static const char *
current_database(void)
{
	static char name[NAMEDATALEN];

	if (name[0] == '\0')
	{
		char	   *found = get_database_name(MyDatabaseId);

		if (found != NULL)
			strlcpy(name, found, NAMEDATALEN);
	}
	return name;
}

/* Looks, and sleeps, until there is a result or no time is left. */
static bool
wait_for(const PgeSealedKek *kek, PgeUnsealedKek *out, PgeNewKek *made,
		 PgeProblem *problem)
{
	const char *database_name = current_database();
	int64		deadline = pge_clock_ms() + pge_key_timeout;
	bool		asked = false;

	for (;;)
	{
		PgeSlotState state = PGE_SLOT_FREE;
		int			i = look(kek, database_name, &state, out, made, problem);
		int64		left = deadline - pge_clock_ms();

		if (state == PGE_SLOT_READY || state == PGE_SLOT_FAILED)
		{
			ConditionVariableCancelSleep();
			if (!asked)
				pge_cache_count_hit();
			return state == PGE_SLOT_READY;
		}
		if (!asked)
			pg_atomic_fetch_add_u64(&pge_shared->counters.misses, 1);
		asked = true;
		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			return pge_problem(problem, PGE_KEY_UNAVAILABLE,
							   "Try again; see whether the worker \"pgenvelope keeper\" runs, and the server's log.",
							   "key \"%s\" version %u was not unsealed within %d ms",
							   kek->key_name, kek->version, pge_key_timeout);
		}

		/*
		 * The first sleep on a condition variable returns at once, so a
		 * change between the look and the sleep is not missed.  With all
		 * slots busy any of them will do to wait on.
		 */
		ConditionVariableTimedSleep(&pge_shared->slots[Max(i, 0)].changed,
									Min(left, 1000), pge_wait_event());
	}
}

bool
pge_cache_get(const PgeSealedKek *kek, PgeUnsealedKek *out,
			  PgeProblem *problem)
{
	return wait_for(kek, out, NULL, problem);
}

void
pge_cache_seal(const char *provider, const char *key_name, uint64 key_id,
			   uint16 version, PgeNewKek *out)
{
	PgeSealedKek wanted = {0};
	PgeProblem	problem;

	wanted.key_name = key_name;
	wanted.key_id = key_id;
	wanted.version = version;
	wanted.provider = provider;
	if (!pg_strong_random(wanted.digest, ENVL_KEK_DIGEST_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	if (!wait_for(&wanted, NULL, out, &problem))
		pge_raise(&problem);
}

int
pge_cache_evict(uint64 key_id)
{
	int			evicted = 0;

	LWLockAcquire(pge_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pge_shared->slot_count; i++)
	{
		PgeSlot    *slot = &pge_shared->slots[i];

		bool		unsealing = slot->state == PGE_SLOT_WORKING && !slot->seal;

		/*
		 * A call that is under way was made before, so its result is not
		 * wanted; who waits for it finds no slot and asks again.
		 */
		if ((slot->state == PGE_SLOT_READY ||
			 slot->state == PGE_SLOT_FAILED || unsealing) &&
			slot->database == MyDatabaseId &&
			(key_id == 0 || slot->key_id == key_id))
		{
			evicted += slot->state == PGE_SLOT_READY;
			pge_slot_clear(i);
		}
	}
	LWLockRelease(pge_shared->lock);
	pg_atomic_fetch_add_u64(&pge_shared->counters.evictions, evicted);
	pge_generation_bump();
	return evicted;
}
