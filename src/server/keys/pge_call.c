/*
 * pge_call.c
 *	  The keeper's calls to providers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "keys/pge_call.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_provider_stat.h"
#include "providers/local/prov_local.h"

/* How long to remember a failure: seconds, never more. */
#define FAILURE_MEMORY_MS 2000

/*
 * How long to keep a result for the one backend that wants it.  The backend is
 * woken at once; if it has given up by then, the slot can be reused.
 */
#define UNCLAIMED_MS 10000

/* How long the result of a check serves other checks, too. */
#define CHECK_MEMORY_MS 5000

/* After how many failures in a row the circuit opens, and for how long. */
#define BREAKER_THRESHOLD 5
#define BREAKER_FIRST_MS 1000
#define BREAKER_LONGEST_MS 30000

/* Counts a failure or a success for the circuit breaker. */
static void
note_outcome(PgeProvider *provider, prov_category category)
{
	bool		pause = category == PROV_UNAVAILABLE ||
		category == PROV_THROTTLED;
	int			excess;

	if (category != PROV_OK)
		pg_atomic_fetch_add_u64(&pge_key_cache->counters.failures[category],
								1);
	if (!pause)
	{
		provider->failures = 0;
		return;
	}
	provider->failures++;
	excess = provider->failures - BREAKER_THRESHOLD;
	if (excess >= 0)
		provider->closed_until_ms = pge_clock_ms() +
			Min(BREAKER_FIRST_MS << Min(excess, 5), BREAKER_LONGEST_MS);
}

/* Counts the finished call for the statistics views. */
static void
count_call(const PgeProvider *provider, const prov_failure *failure)
{
	static const PgeCallKind kinds[] = {
		[PGE_STEP_SEAL] = PGE_CALL_SEAL,
		[PGE_STEP_PROVE] = PGE_CALL_UNSEAL,
		[PGE_STEP_UNSEAL] = PGE_CALL_UNSEAL,
		[PGE_STEP_CHECK] = PGE_CALL_CHECK,
	};
	const PgeCall *call = &provider->call;

	pge_provider_stat_count(provider->root.name, kinds[call->step],
							pge_clock_ms() - call->started_ms, failure);
}

/* Logs the provider's own words, which must appear in no other place. */
static void
log_failure(const PgeProvider *provider, const PgeCall *call,
			const prov_failure *failure)
{
	if (call->step == PGE_STEP_CHECK)
	{
		ereport(LOG,
				(errmsg("key provider \"%s\" did not pass a check: %s",
						provider->root.name,
						prov_category_name(failure->category)),
				 errdetail_internal("%s%s%s", failure->reason,
									failure->detail[0] != '\0' ? " " : "",
									failure->detail)));
		return;
	}
	ereport(LOG,
			(errmsg("key provider \"%s\" did not %s key \"%s\" version %u: %s",
					provider->root.name,
					call->step == PGE_STEP_UNSEAL ? "unseal" : "seal",
					call->key_name, call->kek.version,
					prov_category_name(failure->category)),
			 errdetail_internal("%s%s%s", failure->reason,
								failure->detail[0] != '\0' ? " " : "",
								failure->detail)));
}

/* What identifies a KEK.  Computed before the lock is taken. */
typedef struct Identity
{
	uint8		kcv[ENVL_KCV_LEN];
	uint8		digest[ENVL_KEK_DIGEST_LEN];
} Identity;

static bool
identify(const PgeCall *call, Identity *identity)
{
	envl_view	sealed = {call->sealed.bytes, call->sealed.len};

	return envl_key_check_value(&call->key, call->kek.key_id,
								call->kek.version, identity->kcv) == ENVL_OK &&
		envl_kek_digest(call->kek.key_id, call->kek.version, sealed,
						identity->digest) == ENVL_OK;
}

/* Puts an unsealed KEK into its slot.  Caller holds the lock exclusively. */
static void
publish_key(const PgeCall *call, const Identity *identity, int64 now)
{
	PgeSlot    *slot = &pge_key_cache->slots[call->slot];
	int64		ttl = (int64) pge_key_cache_ttl * 1000;

	pge_key_cache->keys[call->slot] = call->key;
	slot->state = PGE_SLOT_READY;
	slot->refreshing = false;
	slot->sealed = call->sealed;
	memcpy(slot->kcv, identity->kcv, ENVL_KCV_LEN);
	memcpy(slot->new_digest, identity->digest, ENVL_KEK_DIGEST_LEN);

	/* Jitter: keys that were loaded together must not fall due together. */
	slot->soft_ms = now + ttl - (int64) (pge_random_fraction() * 0.1 * ttl);
	slot->hard_ms = now + ttl + (int64) pge_key_cache_grace * 1000;
	if (slot->want != PGE_WANT_UNSEAL)
		slot->soft_ms = Min(slot->soft_ms, now + UNCLAIMED_MS);
}

/* Puts the result of a check into its slot.  Caller holds the lock. */
static void
publish_check(const PgeCall *call, int64 now)
{
	PgeSlot    *slot = &pge_key_cache->slots[call->slot];

	slot->state = PGE_SLOT_READY;
	slot->refreshing = false;
	slot->sealed = call->sealed;
	slot->latency_ms = now - call->started_ms;
	slot->expires = call->expires;
	slot->soft_ms = slot->hard_ms = now + CHECK_MEMORY_MS;
}

/* Whether the provider has answered, and refuses. */
static bool
is_refusal(prov_category category)
{
	return category == PROV_DENIED || category == PROV_NOT_FOUND ||
		category == PROV_DISABLED;
}

/* Puts a failure into its slot.  Caller holds the lock exclusively. */
static void
publish_failure(PgeCall *call, const prov_failure *failure, int64 now)
{
	PgeSlot    *slot = &pge_key_cache->slots[call->slot];

	if (call->refresh)
	{
		/*
		 * The KEK serves until its hard limit; ask again before that.  Grace
		 * is for a provider that does not answer.  A refusal may be a mistake,
		 * so the provider has one TTL to correct it.
		 */
		slot->refreshing = false;
		slot->soft_ms = now + FAILURE_MEMORY_MS;
		if (is_refusal(failure->category))
			slot->hard_ms = Min(slot->hard_ms,
								now + (int64) pge_key_cache_ttl * 1000);
		return;
	}
	slot->state = PGE_SLOT_FAILED;
	slot->category = failure->category;
	strlcpy(slot->reason, failure->reason, sizeof(slot->reason));
	slot->retry_ms = now + FAILURE_MEMORY_MS;
	if (call->want == PGE_WANT_CHECK)
		slot->retry_ms = now + CHECK_MEMORY_MS;
}

/* Whether the slot still waits for this call, and not for another key. */
static bool
still_wanted(const PgeCall *call)
{
	const PgeSlot *slot = &pge_key_cache->slots[call->slot];

	return slot->database == call->database &&
		memcmp(slot->digest, call->digest, ENVL_KEK_DIGEST_LEN) == 0 &&
		(slot->state == PGE_SLOT_WORKING ||
		 (slot->state == PGE_SLOT_READY && slot->refreshing));
}

void
pge_call_finish(PgeProvider *provider, prov_category category,
				const prov_failure *failure)
{
	PgeCall    *call = &provider->call;
	Identity	identity;
	prov_failure broken;
	int64		now = pge_clock_ms();

	if (category == PROV_OK && call->want != PGE_WANT_CHECK &&
		!identify(call, &identity))
	{
		category = prov_fail(&broken, PROV_UNAVAILABLE,
							 "The cryptographic library failed.", NULL);
		failure = &broken;
	}
	if (category == PROV_OK && call->refresh &&
		!envl_secret_equal(identity.kcv, call->kcv, ENVL_KCV_LEN))
	{
		/* Do not replace a KEK that works by another one. */
		category = prov_fail(&broken, PROV_INTEGRITY,
							 "The provider opened another key than before.",
							 NULL);
		failure = &broken;
	}
	note_outcome(provider, category);
	if (category != PROV_OK)
		log_failure(provider, call, failure);
	count_call(provider, category != PROV_OK ? failure : NULL);

	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	if (still_wanted(call))
	{
		if (category != PROV_OK)
			publish_failure(call, failure, now);
		else if (call->want == PGE_WANT_CHECK)
			publish_check(call, now);
		else
			publish_key(call, &identity, now);
	}
	LWLockRelease(pge_key_cache->lock);
	ConditionVariableBroadcast(&pge_key_cache->slots[call->slot].changed);
	ConditionVariableBroadcast(&pge_key_cache->turn);

	envl_wipe(&call->key, sizeof(call->key));
	call->step = PGE_STEP_IDLE;

	/* The provider is free: sweep again, since slots may wait for it. */
	SetLatch(MyLatch);
}

/*
 * Asks the provider for the call's current step.  A local one answers at once.
 */
static void run_step(PgeProvider *provider);

/* The new KEK is sealed: have it unsealed before it is relied on. */
static void
take_sealed(PgeProvider *provider, const prov_sealed *sealed)
{
	count_call(provider, NULL);
	provider->call.sealed = *sealed;
	provider->call.step = PGE_STEP_PROVE;
	run_step(provider);
}

/* A KEK is unsealed: check that it is the one that the call is about. */
static void
take_unsealed(PgeProvider *provider, const uint8 *plaintext)
{
	PgeCall    *call = &provider->call;
	envl_key	key;
	prov_failure failure;
	prov_category category = prov_kek_check(&call->kek, plaintext, &key,
											&failure);

	if (category == PROV_OK && call->step == PGE_STEP_PROVE &&
		!envl_secret_equal(&key, &call->key, sizeof(key)))
		category = prov_fail(&failure, PROV_INTEGRITY,
							 "The provider did not give back the key that it had sealed.",
							 NULL);
	if (category == PROV_OK)
		call->key = key;
	envl_wipe(&key, sizeof(key));
	pge_call_finish(provider, category, &failure);
}

/* Handles a provider's answer to a check. */
static void
take_check(PgeProvider *provider, const char *root_key, int64 expires)
{
	PgeCall    *call = &provider->call;

	strlcpy(call->sealed.root_key, root_key, PROV_ROOT_KEY_MAX);
	call->expires = expires;
	pge_call_finish(provider, PROV_OK, NULL);
}

static void
run_local_check(PgeProvider *provider)
{
	char		root_key[PROV_ROOT_KEY_MAX];
	prov_failure failure;

	if (prov_local_check(&provider->root, DataDir, root_key,
						 &failure) == PROV_OK)
		take_check(provider, root_key, 0);
	else
		pge_call_finish(provider, failure.category, &failure);
}

static void
run_local(PgeProvider *provider, const uint8 *plaintext)
{
	PgeCall    *call = &provider->call;
	prov_sealed sealed;
	uint8		opened[ENVL_SEALED_PLAINTEXT_LEN];
	prov_failure failure;
	prov_category category;

	if (call->step == PGE_STEP_SEAL)
	{
		category = prov_local_seal(&provider->root, DataDir, &call->kek,
								   plaintext, &sealed, &failure);
		if (category == PROV_OK)
			take_sealed(provider, &sealed);
		else
			pge_call_finish(provider, category, &failure);
		return;
	}
	category = prov_local_unseal(&provider->root, DataDir, &call->kek,
								 &call->sealed, opened, &failure);
	if (category == PROV_OK)
		take_unsealed(provider, opened);
	else
		pge_call_finish(provider, category, &failure);
	envl_wipe(opened, sizeof(opened));
}

/*
 * Starts the helper with its time limit, so that it gives up in time by
 * itself.
 */
static prov_category
start_helper(PgeProvider *provider, const prov_root *root,
			 prov_failure *failure)
{
	char		timeout[12];

	provider->told_timeout = pge_provider_timeout;
	snprintf(timeout, sizeof(timeout), "%d", pge_provider_timeout);
	(void) setenv("PGENVELOPE_PROVIDER_TIMEOUT", timeout, 1);
	return prov_helper_start(&provider->helper, root, pkglib_path, failure);
}

/*
 * Sends a request.  An idle helper may exit, and we may not have noticed that
 * yet: then start a new one and ask again.
 */
static prov_category
send_request(PgeProvider *provider, envl_view bytes, prov_failure *failure)
{
	static const prov_verb verbs[] = {
		[PGE_STEP_SEAL] = PROV_SEAL,
		[PGE_STEP_PROVE] = PROV_UNSEAL,
		[PGE_STEP_UNSEAL] = PROV_UNSEAL,
		[PGE_STEP_CHECK] = PROV_CHECK,
	};
	PgeCall    *call = &provider->call;
	prov_verb	verb = verbs[call->step];
	prov_category category;

	/* Use a copy: the provider's memory is empty in a forked child. */
	prov_root	root = provider->root;

	if (provider->told_timeout != pge_provider_timeout)
		prov_helper_stop(&provider->helper);
	if (provider->helper.pid != 0)
	{
		category = prov_helper_send(&provider->helper, verb, &root,
									&call->kek, bytes, failure);
		if (!provider->helper.broken)
			return category;
		prov_helper_stop(&provider->helper);
	}
	category = start_helper(provider, &root, failure);
	if (category == PROV_OK)
		category = prov_helper_send(&provider->helper, verb, &root,
									&call->kek, bytes, failure);
	return category;
}

static void
run_helper(PgeProvider *provider, const uint8 *plaintext)
{
	PgeCall    *call = &provider->call;
	envl_view	bytes = {call->sealed.bytes, call->sealed.len};
	prov_failure failure;

	if (call->step == PGE_STEP_SEAL)
		bytes = (envl_view) {plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	else if (call->step == PGE_STEP_CHECK)
		bytes.len = 0;
	if (send_request(provider, bytes, &failure) != PROV_OK)
		pge_call_abandon(provider, &failure);
}

static void
run_step(PgeProvider *provider)
{
	PgeCall    *call = &provider->call;
	bool		seal = call->step == PGE_STEP_SEAL;
	uint8		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	prov_failure failure;

	pge_point(PGE_POINT_KEEPER_CALL);
	if (call->step != PGE_STEP_CHECK)
		pg_atomic_fetch_add_u64(seal ? &pge_key_cache->counters.seals :
									   &pge_key_cache->counters.unseals,
								1);
	call->started_ms = pge_clock_ms();
	call->deadline_ms = call->started_ms + pge_provider_timeout;
	if (seal &&
		prov_kek_bind(&call->kek, &call->key, plaintext, &failure) != PROV_OK)
		pge_call_finish(provider, failure.category, &failure);
	else if (prov_kind_is_helper(provider->root.kind))
		run_helper(provider, plaintext);
	else if (call->step == PGE_STEP_CHECK)
		run_local_check(provider);
	else
		run_local(provider, plaintext);
	envl_wipe(plaintext, sizeof(plaintext));
}

void
pge_call_start(PgeProvider *provider)
{
	PgeCall    *call = &provider->call;

	call->started_ms = pge_clock_ms();
	if (call->want == PGE_WANT_NEW &&
		!pg_strong_random(call->key.bytes, ENVL_KEY_LEN))
	{
		prov_failure failure;

		prov_fail(&failure, PROV_UNAVAILABLE,
				  "The server could not generate random bytes.", NULL);
		pge_call_finish(provider, failure.category, &failure);
		return;
	}
	run_step(provider);
}

void
pge_call_continue(PgeProvider *provider)
{
	PgeStep		step = provider->call.step;
	prov_reply	reply;
	prov_failure failure;
	prov_category category;
	bool		done;

	category = prov_helper_receive(&provider->helper, &done, &reply,
								   &failure);
	if (!done && category == PROV_OK)
		return;
	if (provider->helper.broken)
		pge_call_abandon(provider, &failure);
	else if (step == PGE_STEP_IDLE)
		/* a reply that came too late: no call waits for it now */;
	else if (category != PROV_OK)
		pge_call_finish(provider, category, &failure);
	else if (step == PGE_STEP_SEAL)
		take_sealed(provider, &reply.sealed);
	else if (step == PGE_STEP_CHECK)
		take_check(provider, reply.sealed.root_key, reply.expires);
	else
		take_unsealed(provider, reply.plaintext);
	envl_wipe(&reply, sizeof(reply));
}

void
pge_call_expire(PgeProvider *provider)
{
	prov_failure failure;

	prov_fail(&failure, PROV_UNAVAILABLE,
			  "The provider did not answer in time.",
			  "It was given %d ms.", pge_provider_timeout);
	pge_call_abandon(provider, &failure);
}

void
pge_call_abandon(PgeProvider *provider, const prov_failure *failure)
{
	if (provider->helper.pid != 0)
		prov_helper_stop(&provider->helper);
	if (provider->call.step != PGE_STEP_IDLE)
		pge_call_finish(provider, failure->category, failure);
}
