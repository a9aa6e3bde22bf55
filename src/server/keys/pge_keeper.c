/*
 * pge_keeper.c
 *	  The keeper: the one process that talks to key providers.
 *
 * A background worker without a database connection.  It is started with the
 * postmaster, so that keys are available during recovery and on standbys.  It
 * sweeps over the slots (pge_key_cache.h), starts calls for those that are
 * wanted or due, and sleeps until a backend wakes it, a helper answers, or
 * something falls due.
 *
 * It handles an error by exiting: the postmaster starts it again a second
 * later, and the cache outlives it.  A crash restarts the whole server, as it
 * does for any process attached to shared memory; that is why only our own
 * code runs in the keeper.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/pge_compat.h"
#include "base/pge_secret.h"
#include "base/pge_shared.h"
#include "keys/pge_call.h"
#include "keys/pge_keeper.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_slot.h"

/* Wake up at least this often: clocks and files change silently. */
#define LONGEST_SLEEP_MS 60000

static List *providers;			/* of PgeProvider */
static int64 next_event_ms;		/* when the sweep must run again */
static int	first_slot;			/* where the next sweep begins */

static void
due(int64 when)
{
	next_event_ms = Min(next_event_ms, when);
}

/* ---------------------------------------------------------------- */
/* Providers                                                        */
/* ---------------------------------------------------------------- */

static PgeProvider *
find_provider(const char *name)
{
	ListCell   *cell;

	foreach(cell, providers)
	{
		PgeProvider *provider = lfirst(cell);

		if (strcmp(provider->root.name, name) == 0)
			return provider;
	}
	return NULL;
}

/* Ends what the provider does, because the setting has changed. */
static void
reset_provider(PgeProvider *provider)
{
	prov_failure failure;

	prov_fail(&failure, PROV_UNAVAILABLE,
			  "The provider's entry in pgenvelope.providers has changed.",
			  NULL);
	pge_call_abandon(provider, &failure);
	provider->failures = 0;
	provider->closed_until_ms = 0;
}

static void
list_provider(const prov_root *root)
{
	PgeProvider *provider = find_provider(root->name);

	if (provider == NULL)
	{
		/*
		 * Secret memory, since it will hold KEKs, and lines that spell them.
		 */
		provider = pge_secret_new(sizeof(PgeProvider));
		providers = lappend(providers, provider);
	}
	else if (provider->root.kind != root->kind ||
			 strcmp(provider->root.location, root->location) != 0 ||
			 strcmp(provider->root.database, root->database) != 0)
		reset_provider(provider);
	provider->root = *root;
	provider->listed = true;
}

/* The provider of a slot's key, if it is listed for the slot's database. */
static PgeProvider *
provider_of(const PgeSlot *slot)
{
	PgeProvider *provider = find_provider(slot->provider);

	if (provider != NULL && provider->root.database[0] != '\0' &&
		strcmp(provider->root.database, slot->database_name) != 0)
		return NULL;
	return provider;
}

/*
 * Wipes a cached KEK, and makes every backend of its database drop what it
 * derived from that.  Caller holds the lock exclusively.
 */
static void
let_go(int i)
{
	Oid			database = pge_key_cache->slots[i].database;

	pge_slot_clear(i);
	pge_generation_bump(database);
	pg_atomic_fetch_add_u64(&pge_key_cache->counters.evictions, 1);
}

/*
 * Drops what came from providers that are no longer listed: we must not rely
 * on their keys any more, and the results of checks may no longer be true.
 */
static void
let_go_of_unlisted(void)
{
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];

		if (slot->state != PGE_SLOT_READY && slot->state != PGE_SLOT_FAILED)
			continue;
		if (slot->want == PGE_WANT_CHECK)
			pge_slot_clear(i);
		else if (slot->state == PGE_SLOT_READY && provider_of(slot) == NULL)
			let_go(i);
	}
	LWLockRelease(pge_key_cache->lock);
}

/*
 * Updates the list of providers from the setting, and the cache from the list.
 */
static void
read_settings(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	const char *cursor = pge_providers;
	prov_root	root;
	prov_failure failure;
	bool		found;
	ListCell   *cell;

	foreach(cell, providers)
		((PgeProvider *) lfirst(cell))->listed = false;
	while (prov_root_next(&cursor, &root, &found, &failure) == PROV_OK &&
		   found)
		list_provider(&root);
	foreach(cell, providers)
	{
		PgeProvider *provider = lfirst(cell);

		if (provider->listed)
			continue;
		reset_provider(provider);
		pge_secret_delete(provider, sizeof(PgeProvider));
		providers = foreach_delete_current(providers, cell);
	}
	MemoryContextSwitchTo(old_context);
	let_go_of_unlisted();
}

/* ---------------------------------------------------------------- */
/* The sweep                                                        */
/* ---------------------------------------------------------------- */

/* Fails a wanted slot without calling a provider.  Caller holds the lock. */
static void
refuse(PgeSlot *slot, prov_category category, const char *reason, int64 until)
{
	slot->state = PGE_SLOT_FAILED;
	slot->category = category;
	strlcpy(slot->reason, reason, sizeof(slot->reason));
	slot->retry_ms = until;
	pg_atomic_fetch_add_u64(&pge_key_cache->counters.failures[category], 1);
	due(until);
}

/* Whether the provider can take work in this sweep. */
static bool
is_free(const PgeProvider *provider)
{
	return provider->call.step == PGE_STEP_IDLE && !provider->had_turn;
}

/* Copies a slot's request into its provider.  Caller holds the lock. */
static void
assign(PgeProvider *provider, int i)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];
	PgeCall    *call = &provider->call;

	static const PgeStep first_steps[] = {
		[PGE_WANT_UNSEAL] = PGE_STEP_UNSEAL,
		[PGE_WANT_NEW] = PGE_STEP_SEAL,
		[PGE_WANT_RESEAL] = PGE_STEP_SEAL,
		[PGE_WANT_PROOF] = PGE_STEP_UNSEAL,
		[PGE_WANT_CHECK] = PGE_STEP_CHECK,
	};

	call->want = slot->want;
	call->step = first_steps[slot->want];
	call->slot = i;
	call->refresh = slot->state == PGE_SLOT_READY;
	call->database = slot->database;
	memcpy(call->digest, slot->digest, ENVL_KEK_DIGEST_LEN);
	strlcpy(call->key_name, slot->key_name, sizeof(call->key_name));
	call->kek.name = call->key_name;
	call->kek.key_id = slot->key_id;
	call->kek.version = slot->version;
	call->sealed = slot->sealed;
	memcpy(call->kcv, slot->kcv, ENVL_KCV_LEN);
	if (call->refresh)
	{
		slot->refreshing = true;
		pg_atomic_fetch_add_u64(&pge_key_cache->counters.refreshes, 1);
	}
	else
		slot->state = PGE_SLOT_WORKING;

	/* A passphrase keeps the keeper busy, so other providers go first. */
	provider->had_turn = provider->root.kind == PROV_PASSPHRASE;
}

/*
 * Takes the KEK to be resealed from the slot into which the backend had it
 * unsealed.  Caller holds the lock.
 */
static bool
take_source(PgeProvider *provider, const PgeSlot *wanted)
{
	int			i = pge_slot_find(wanted->source, wanted->database);
	const PgeSlot *source = &pge_key_cache->slots[Max(i, 0)];

	if (i < 0 || source->state != PGE_SLOT_READY ||
		source->want != PGE_WANT_UNSEAL ||
		pge_clock_ms() >= source->hard_ms ||
		source->key_id != wanted->key_id ||
		source->version != wanted->version)
		return false;
	provider->call.key = pge_key_cache->keys[i];
	return true;
}

/*
 * Finds work in a wanted slot.  Returns true if the slot's state changed.
 * Sets *start to the provider whose call has to be started.
 */
static bool
examine_wanted(int i, int64 now, PgeProvider **start)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];
	PgeProvider *provider = provider_of(slot);

	if (provider == NULL)
	{
		refuse(slot, PROV_MISCONFIGURED,
			   "The setting pgenvelope.providers lists no such provider for this database.",
			   now + 1000);
		return true;
	}
	if (!is_free(provider))
		return false;
	if (now < provider->closed_until_ms)
	{
		refuse(slot, PROV_UNAVAILABLE,
			   "The provider has failed repeatedly and is being left alone for some seconds.",
			   Min(provider->closed_until_ms, now + 2000));
		return true;
	}
	if (slot->want == PGE_WANT_RESEAL && !take_source(provider, slot))
	{
		refuse(slot, PROV_UNAVAILABLE,
			   "The key was dropped from the cache before it could be sealed.",
			   now + 1000);
		return true;
	}
	assign(provider, i);
	*start = provider;
	return true;
}

/* Refreshes or drops a cached KEK.  Returns as examine_wanted does. */
static bool
examine_ready(int i, int64 now, PgeProvider **start)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];
	PgeProvider *provider = provider_of(slot);
	int64		idle_ms = now - (int64) pg_atomic_read_u64(&slot->used_ms);

	if (slot->want == PGE_WANT_CHECK)
	{
		/* There is no KEK, so no backend has to drop anything. */
		if (now >= slot->hard_ms)
			pge_slot_clear(i);
		else
			due(slot->hard_ms);
		return false;
	}
	if (now >= slot->hard_ms || provider == NULL)
	{
		/* Fail closed, in every backend. */
		let_go(i);
		return true;
	}
	due(slot->hard_ms);
	if (slot->refreshing)
		return false;
	if (now < slot->soft_ms)
	{
		due(slot->soft_ms);
		return false;
	}
	if (idle_ms > (int64) pge_key_cache_ttl * 1000 ||
		slot->want != PGE_WANT_UNSEAL)
	{
		/*
		 * It was not used for a while, so do not keep it.  A backend that was
		 * idle meanwhile must not go on with its own copy, either.
		 */
		let_go(i);
		return true;
	}
	if (!is_free(provider))
		return false;			/* look again when that call is over */
	if (now < provider->closed_until_ms)
	{
		due(provider->closed_until_ms);
		return false;
	}
	assign(provider, i);
	*start = provider;
	return true;
}

/* Looks at one slot.  Returns and sets *start as examine_wanted does. */
static bool
examine(int i, int64 now, PgeProvider **start)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];

	switch (slot->state)
	{
		case PGE_SLOT_WANTED:
			return examine_wanted(i, now, start);
		case PGE_SLOT_READY:
			return examine_ready(i, now, start);
		case PGE_SLOT_FAILED:
			if (now >= slot->retry_ms)
				pge_slot_clear(i);
			else
				due(slot->retry_ms);
			return false;
		default:
			return false;
	}
}

/*
 * Looks at every slot once and starts the calls that are needed.  Begins where
 * the last sweep found work: a provider takes one slot at a time, so low
 * numbers would otherwise always go first.
 */
static void
sweep_slots(void)
{
	int64		now = pge_clock_ms();
	int			count = pge_key_cache->slot_count;
	int			first = first_slot;
	ListCell   *cell;

	foreach(cell, providers)
		((PgeProvider *) lfirst(cell))->had_turn = false;
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	for (int n = 0; n < count; n++)
	{
		int			i = (first + n) % count;
		PgeProvider *start = NULL;

		if (!examine(i, now, &start))
			continue;

		/* Wake no backend and call no provider while holding the lock. */
		LWLockRelease(pge_key_cache->lock);
		if (start != NULL)
		{
			pge_call_start(start);
			first_slot = (i + 1) % count;
		}
		else
		{
			ConditionVariableBroadcast(&pge_key_cache->slots[i].changed);
			ConditionVariableBroadcast(&pge_key_cache->turn);
		}
		now = pge_clock_ms();
		LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	}
	LWLockRelease(pge_key_cache->lock);
}

/* Ends the calls that have taken too long, and reads the replies. */
static void
attend_calls(void)
{
	ListCell   *cell;

	foreach(cell, providers)
	{
		PgeProvider *provider = lfirst(cell);

		if (provider->helper.pid != 0)
			pge_call_continue(provider);
		if (provider->call.step == PGE_STEP_IDLE)
			continue;
		if (pge_clock_ms() >= provider->call.deadline_ms)
			pge_call_expire(provider);
		else
			due(provider->call.deadline_ms);
	}
}

/* Sleeps until a wakeup, a reply, or the next event. */
static void
wait_for_event(void)
{
	WaitEventSet *set = pge_create_wait_event_set(2 + list_length(providers));
	WaitEvent	event;
	int64		timeout = next_event_ms - pge_clock_ms();
	ListCell   *cell;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	foreach(cell, providers)
	{
		PgeProvider *provider = lfirst(cell);

		if (provider->helper.pid != 0)
			AddWaitEventToSet(set, WL_SOCKET_READABLE,
							  provider->helper.from_fd, NULL, NULL);
	}
	WaitEventSetWait(set, Max(timeout, 0), &event, 1, pge_wait_event());
	FreeWaitEventSet(set);
}

/* ---------------------------------------------------------------- */
/* The worker                                                       */
/* ---------------------------------------------------------------- */

/*
 * Leaves no helper and no stale address behind, for whatever reason we exit.
 */
static void
detach(int code, Datum arg)
{
	ListCell   *cell;

	LWLockReleaseAll();
	foreach(cell, providers)
	{
		PgeProvider *provider = lfirst(cell);

		if (provider->helper.pid != 0)
			prov_helper_stop(&provider->helper);
		envl_wipe(provider, sizeof(PgeProvider));
	}
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	pge_key_cache->keeper_pid = 0;
	pge_key_cache->keeper_latch = NULL;
	LWLockRelease(pge_key_cache->lock);
}

/*
 * Takes over from an earlier keeper.  Fails what that one was working on, so
 * that a request which makes the keeper exit is not tried for ever.
 */
static void
attach(void)
{
	int64		now = pge_clock_ms();

	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	pge_key_cache->keeper_pid = MyProcPid;
	pge_key_cache->keeper_latch = MyLatch;
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];

		slot->refreshing = false;
		if (slot->state == PGE_SLOT_WORKING)
			refuse(slot, PROV_UNAVAILABLE,
				   "The keeper stopped while it was asking the provider.",
				   now + 1000);
	}
	LWLockRelease(pge_key_cache->lock);
	for (int i = 0; i < pge_key_cache->slot_count; i++)
		ConditionVariableBroadcast(&pge_key_cache->slots[i].changed);
	pg_atomic_fetch_add_u64(&pge_key_cache->counters.keeper_starts, 1);
}

void
pgenvelope_keeper_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

#ifdef __linux__
	/* We handle root keys: no core file, and no debugger except for root. */
	(void) prctl(PR_SET_DUMPABLE, 0);
#endif
	before_shmem_exit(detach, (Datum) 0);
	attach();
	read_settings();

	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();

		/* Not 0, which would mean: do not restart. */
		if (ShutdownRequestPending)
			proc_exit(1);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			read_settings();
		}
		pge_point(PGE_POINT_KEEPER_LOOP);
		next_event_ms = pge_clock_ms() + LONGEST_SLEEP_MS;
		attend_calls();
		sweep_slots();
		attend_calls();
		wait_for_event();
	}
}

void
pge_keeper_init(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "pgenvelope keeper", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgenvelope keeper", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pgenvelope", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgenvelope_keeper_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
