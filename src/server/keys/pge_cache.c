/*
 * pge_cache.c
 *	  Getting an unsealed KEK, or a new one, from the keeper.
 *
 * A backend looks for the slot with the digest of what it wants.  If the KEK
 * is there, it copies the KEK out under the shared lock.  If there is no
 * request yet, it claims a slot under the exclusive lock and wakes the keeper.
 * Then it sleeps on that slot, for at most a second at a time, because a
 * keeper that dies wakes no waiter.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "utils/lsyscache.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "keys/pge_cache.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_slot.h"

/* How long to keep a KEK that fails its check: seconds, like any failure. */
#define MISMATCH_MS 2000

/*
 * How long a backend waits while no keeper is running.  A keeper is restarted
 * a second after it ended.
 */
#define KEEPER_PATIENCE_MS 3000

/* How often a waiting backend checks whether a keeper is running. */
#define LONGEST_SLEEP_MS 1000

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
		pg_atomic_fetch_add_u64(&pge_key_cache->counters.hits, hits);
	hits = 0;
}

void
pge_cache_touch(int slot, int64 now)
{
	/*
	 * If the slot was reused, the only effect is that another KEK lives
	 * longer.
	 */
	pg_atomic_write_u64(&pge_key_cache->slots[slot].used_ms, now);
}

/* ---------------------------------------------------------------- */
/* Requests and answers                                             */
/* ---------------------------------------------------------------- */

/* What a backend wants, and where to put the answer. */
typedef struct Request
{
	PgeWant		want;
	const PgeSealedKek *kek;
	const uint8 *source;		/* RESEAL */
	PgeUnsealedKek *out;		/* UNSEAL; may be NULL */
	PgeNewKek  *made;			/* NEW, RESEAL */
	PgeProblem *problem;
	uint8		digest[ENVL_KEK_DIGEST_LEN];	/* the slot's name */
	int			slot;			/* where it was last found, or -1 */
	bool		mismatch;		/* there is a KEK, but not the row's */
	bool		keeper;			/* a keeper was running */
} Request;

/*
 * Fills a slot with a request for a KEK.  Caller holds the lock exclusively.
 */
static void
fill_slot(int i, const Request *request, const char *database_name)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];
	const PgeSealedKek *kek = request->kek;

	pge_slot_ask(i, request->want, request->digest, kek->provider,
				 database_name);
	if (request->source != NULL)
		memcpy(slot->source, request->source, ENVL_KEK_DIGEST_LEN);
	strlcpy(slot->key_name, kek->key_name, sizeof(slot->key_name));
	slot->key_id = kek->key_id;
	slot->version = kek->version;
	slot->sealed.len = kek->sealed.len;
	if (kek->sealed.len > 0)
	{
		memcpy(slot->sealed.bytes, kek->sealed.data, kek->sealed.len);
		strlcpy(slot->sealed.root_key, kek->root_key, PROV_ROOT_KEY_MAX);
	}
}

/* Reports a slot's failure to the client.  Caller holds the lock. */
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

/* Copies a KEK out.  Caller holds the lock. */
static void
take_kek(int i, PgeUnsealedKek *out)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];
	int64		now = pge_clock_ms();

	pg_atomic_write_u64(&slot->used_ms, now);
	if (out == NULL)
		return;
	out->key = pge_key_cache->keys[i];

	/* The slot may be reused soon, and then is not refreshed any more. */
	out->hard_ms = Min(slot->hard_ms, now + (int64) pge_key_cache_ttl * 1000);
	out->slot = i;
}

/* Copies the answer in a READY slot.  Caller holds the lock. */
static void
take_answer(Request *request)
{
	const PgeSlot *slot = &pge_key_cache->slots[request->slot];

	request->mismatch = request->kek->kcv != NULL &&
		!envl_secret_equal(slot->kcv, request->kek->kcv, ENVL_KCV_LEN);
	if (request->mismatch)
		return;
	if (request->want == PGE_WANT_UNSEAL)
		take_kek(request->slot, request->out);
	else if (request->made != NULL)
	{
		request->made->sealed = slot->sealed;
		memcpy(request->made->kcv, slot->kcv, ENVL_KCV_LEN);
	}
}

/* Looks for the answer.  FREE: there is no request, or only an old one. */
static PgeSlotState
look(Request *request)
{
	PgeSlotState state;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	request->keeper = pge_key_cache->keeper_pid != 0;
	request->slot = pge_slot_find(request->digest, MyDatabaseId);
	state = pge_slot_state(request->slot);
	if (state == PGE_SLOT_FAILED)
		slot_problem(&pge_key_cache->slots[request->slot], request->problem);
	else if (state == PGE_SLOT_READY)
		take_answer(request);
	LWLockRelease(pge_key_cache->lock);
	return state;
}

/*
 * Files a request for the keeper, unless another backend was faster; then the
 * caller has to look again.  False if no slot is available.
 */
static bool
claim(Request *request, const char *database_name)
{
	int			i;

	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	i = pge_slot_find(request->digest, MyDatabaseId);
	if (i >= 0 && pge_slot_state(i) == PGE_SLOT_FREE)
		pge_slot_clear(i);
	else if (i < 0)
		i = pge_slot_take();
	if (i >= 0 && pge_key_cache->slots[i].state == PGE_SLOT_FREE)
	{
		fill_slot(i, request, database_name);
		if (pge_key_cache->keeper_latch != NULL)
			SetLatch(pge_key_cache->keeper_latch);
	}
	LWLockRelease(pge_key_cache->lock);
	request->slot = i;
	return i >= 0;
}

/*
 * Updates the slot after its answer was taken.  A new seal is found under its
 * own digest from now on, so that its first use costs no provider call.  The
 * slot of a proof is not needed any more.  If a KEK does not match the
 * catalog, the row or the provider is wrong, so it will soon be asked for
 * again.
 */
static void
settle(const Request *request)
{
	int			i;
	PgeSlot    *slot;

	if (request->want == PGE_WANT_UNSEAL && !request->mismatch)
		return;
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	i = pge_slot_find(request->digest, MyDatabaseId);
	slot = &pge_key_cache->slots[Max(i, 0)];
	if (i < 0 || slot->state != PGE_SLOT_READY)
		/* it has gone, or has a new request */;
	else if (request->want == PGE_WANT_UNSEAL)
		slot->hard_ms = Min(slot->hard_ms, pge_clock_ms() + MISMATCH_MS);
	else if (request->want == PGE_WANT_PROOF || request->mismatch)
		pge_slot_clear(i);
	else
	{
		slot->want = PGE_WANT_UNSEAL;
		slot->soft_ms = slot->hard_ms - (int64) pge_key_cache_grace * 1000;
		pge_slot_name(i, slot->new_digest);
	}
	LWLockRelease(pge_key_cache->lock);
}

/* The database's name, for providers that serve only one database. */
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

/* Reports that the KEK is not the one that the row describes. */
static bool
mismatch_problem(const Request *request)
{
	return pge_problem(request->problem, PGE_PROVIDER,
					   "The row of pgenvelope.key_version was altered, or restored from elsewhere.",
					   "key \"%s\" version %u does not match its key-check value",
					   request->kek->key_name, request->kek->version);
}

/* Whether to give up now; if so, fills in problem. */
static bool
is_patience_over(const Request *request, int64 deadline, int64 alone_since)
{
	const PgeSealedKek *kek = request->kek;
	int64		now = pge_clock_ms();

	if (!request->keeper && now - alone_since >= KEEPER_PATIENCE_MS)
	{
		pge_problem(request->problem, PGE_KEY_UNAVAILABLE,
					"The server's log says why the worker \"pgenvelope keeper\" does not run; max_worker_processes must leave room for it.",
					"key \"%s\" version %u cannot be had: the keeper is not running",
					kek->key_name, kek->version);
		return true;
	}
	if (now < deadline)
		return false;
	pge_problem(request->problem, PGE_KEY_UNAVAILABLE,
				"Try again; see keeper_pid in the view pgenvelope.stat, and the server's log.",
				"key \"%s\" version %u was not unsealed within %d ms",
				kek->key_name, kek->version, pge_key_timeout);
	return true;
}

/* Where to wait for a change: in our slot, or until a slot is available. */
static ConditionVariable *
what_to_wait_for(const Request *request)
{
	return request->slot >= 0 ? &pge_key_cache->slots[request->slot].changed :
								&pge_key_cache->turn;
}

/*
 * Looks and sleeps until there is a result or the time is over.  The first
 * sleep on a condition variable returns at once, so a change between the look
 * and the sleep is not missed.
 */
static bool
wait_for(Request *request)
{
	const char *database_name = current_database();
	int64		deadline = pge_clock_ms() + pge_key_timeout;
	int64		alone_since = pge_clock_ms();
	int64		sleep_ms;
	bool		asked = false;
	PgeSlotState state;

	for (;;)
	{
		state = look(request);
		if (state == PGE_SLOT_READY || state == PGE_SLOT_FAILED)
			break;
		if (!asked)
			pg_atomic_fetch_add_u64(&pge_key_cache->counters.misses, 1);
		asked = true;
		if (request->keeper)
			alone_since = pge_clock_ms();
		if (is_patience_over(request, deadline, alone_since))
		{
			ConditionVariableCancelSleep();
			return false;
		}
		if (state == PGE_SLOT_FREE)
			(void) claim(request, database_name);
		sleep_ms = Min(deadline - pge_clock_ms(), LONGEST_SLEEP_MS);
		ConditionVariableTimedSleep(what_to_wait_for(request),
									Max(sleep_ms, 1), pge_wait_event());
	}
	ConditionVariableCancelSleep();
	if (!asked)
		pge_cache_count_hit();
	if (state == PGE_SLOT_FAILED)
		return false;
	settle(request);
	return !request->mismatch || mismatch_problem(request);
}

/* Gives a request a digest that no other request has. */
static void
name_randomly(Request *request)
{
	if (!pg_strong_random(request->digest, ENVL_KEK_DIGEST_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
}

bool
pge_cache_get(const PgeSealedKek *kek, PgeUnsealedKek *out,
			  PgeProblem *problem)
{
	Request		request = {
		.want = PGE_WANT_UNSEAL, .kek = kek, .out = out, .problem = problem};

	memcpy(request.digest, kek->digest, ENVL_KEK_DIGEST_LEN);
	return wait_for(&request);
}

void
pge_cache_seal(const char *provider, const char *key_name, uint64 key_id,
			   uint16 version, PgeNewKek *out)
{
	PgeSealedKek wanted = {.provider = provider};
	PgeProblem	problem;
	Request		request = {.want = PGE_WANT_NEW, .kek = &wanted};

	wanted.key_name = key_name;
	wanted.key_id = key_id;
	wanted.version = version;
	request.made = out;
	request.problem = &problem;
	name_randomly(&request);
	if (!wait_for(&request))
		pge_raise(&problem);
}

bool
pge_cache_reseal(const PgeSealedKek *old, const char *provider,
				 PgeNewKek *made, PgeProblem *problem)
{
	PgeSealedKek wanted = {.provider = provider};
	Request		request = {.want = PGE_WANT_RESEAL, .kek = &wanted};

	wanted.key_name = old->key_name;
	wanted.key_id = old->key_id;
	wanted.version = old->version;
	wanted.kcv = old->kcv;
	request.source = old->digest;
	request.made = made;
	request.problem = problem;

	/* It must be in the cache, since the keeper takes it from there. */
	if (!pge_cache_get(old, NULL, problem))
		return false;
	name_randomly(&request);
	return wait_for(&request);
}

bool
pge_cache_prove(const PgeSealedKek *kek, PgeProblem *problem)
{
	Request		request = {
		.want = PGE_WANT_PROOF, .kek = kek, .problem = problem};

	name_randomly(&request);
	return wait_for(&request);
}

int
pge_cache_evict(uint64 key_id)
{
	int			evicted = 0;

	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];

		bool		unsealing = slot->state == PGE_SLOT_WORKING &&
			slot->want == PGE_WANT_UNSEAL;

		/*
		 * A call in progress started before the eviction, so its result is not
		 * wanted.  The backend that waits for it finds no slot and asks again.
		 */
		if ((slot->state == PGE_SLOT_READY ||
			 slot->state == PGE_SLOT_FAILED || unsealing) &&
			slot->database == MyDatabaseId &&
			(key_id == 0 || slot->key_id == key_id))
		{
			evicted += slot->state == PGE_SLOT_READY &&
				slot->want != PGE_WANT_CHECK;
			pge_slot_clear(i);
		}
	}
	LWLockRelease(pge_key_cache->lock);
	pg_atomic_fetch_add_u64(&pge_key_cache->counters.evictions, evicted);
	pge_generation_bump(MyDatabaseId);
	return evicted;
}
