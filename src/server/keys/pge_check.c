/*
 * pge_check.c
 *	  Asking providers whether their root keys are usable.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "keys/pge_check.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_slot.h"

/* As in pge_cache.c: a keeper that dies wakes no waiter, and is restarted. */
#define KEEPER_PATIENCE_MS 3000
#define LONGEST_SLEEP_MS 1000

/* The digest that names the check.  It has key id 0, which no key has. */
static void
check_digest(const char *provider, uint8 *digest)
{
	envl_view	name = {(const uint8 *) provider, strlen(provider)};

	if (envl_kek_digest(0, 0, name, digest) != ENVL_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the cryptographic library failed")));
}

/* Copies the result from a slot.  Caller holds the lock. */
static void
take_result(const PgeSlot *slot, PgeCheck *check)
{
	check->is_over = true;
	if (slot->state == PGE_SLOT_FAILED)
	{
		check->category = slot->category;
		strlcpy(check->reason, slot->reason, sizeof(check->reason));
		return;
	}
	check->category = PROV_OK;
	strlcpy(check->root_key, slot->sealed.root_key, PROV_ROOT_KEY_MAX);
	check->latency_ms = slot->latency_ms;
	check->expires = slot->expires;
}

/*
 * Looks for the result, and files a request if there is none.  Returns false
 * if no keeper is running.
 */
static bool
look_or_ask(PgeCheck *check, const char *database_name)
{
	uint8		digest[ENVL_KEK_DIGEST_LEN];
	bool		has_keeper;
	PgeSlotState state;
	int			i;

	check_digest(check->provider, digest);
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	has_keeper = pge_key_cache->keeper_pid != 0;
	i = pge_slot_find(digest, MyDatabaseId);
	state = pge_slot_state(i);
	if (state == PGE_SLOT_READY || state == PGE_SLOT_FAILED)
		take_result(&pge_key_cache->slots[i], check);
	else if (state == PGE_SLOT_FREE)
	{
		if (i >= 0)
			pge_slot_clear(i);
		else
			i = pge_slot_take();
		if (i >= 0)
			pge_slot_ask(i, PGE_WANT_CHECK, digest, check->provider,
						 database_name);
		if (pge_key_cache->keeper_latch != NULL)
			SetLatch(pge_key_cache->keeper_latch);
	}
	LWLockRelease(pge_key_cache->lock);
	return has_keeper;
}

/* Returns how many checks are not over yet. */
static int
look_or_ask_all(PgeCheck *checks, int count, const char *database_name,
				bool *has_keeper)
{
	int			pending = 0;

	for (int i = 0; i < count; i++)
	{
		if (!checks[i].is_over)
			*has_keeper = look_or_ask(&checks[i], database_name);
		pending += !checks[i].is_over;
	}
	return pending;
}

static void
give_up(PgeCheck *checks, int count, bool has_keeper)
{
	for (int i = 0; i < count; i++)
	{
		if (checks[i].is_over)
			continue;
		checks[i].category = PROV_UNAVAILABLE;
		strlcpy(checks[i].reason,
				has_keeper ? "The provider did not answer in time." :
							 "The keeper is not running.",
				sizeof(checks[i].reason));
	}
}

void
pge_check_providers(PgeCheck *checks, int count)
{
	const char *database_name = get_database_name(MyDatabaseId);
	int64		now = pge_clock_ms();
	int64		deadline = now + pge_key_timeout;
	int64		alone_since = now;
	bool		has_keeper = true;

	for (int i = 0; i < count; i++)
		checks[i] = (PgeCheck) {.provider = checks[i].provider};

	/* This is broadcast at the end of every call. */
	ConditionVariablePrepareToSleep(&pge_key_cache->turn);
	while (look_or_ask_all(checks, count, database_name, &has_keeper) > 0)
	{
		now = pge_clock_ms();
		if (has_keeper)
			alone_since = now;
		if (now >= deadline || now - alone_since >= KEEPER_PATIENCE_MS)
			break;
		ConditionVariableTimedSleep(&pge_key_cache->turn,
									Min(deadline - now, LONGEST_SLEEP_MS),
									pge_wait_event());
	}
	ConditionVariableCancelSleep();
	give_up(checks, count, has_keeper);
}

void
pge_check_start(const char *provider)
{
	PgeCheck	check = {.provider = provider};

	(void) look_or_ask(&check, get_database_name(MyDatabaseId));
}
