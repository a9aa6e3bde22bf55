/*
 * pge_slot.c
 *	  The slots in pge_key_cache.h: finding them, and dividing them among
 *	  databases.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/pge_shared.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_slot.h"

void
pge_slot_clear(int slot)
{
	Assert(LWLockHeldByMeInMode(pge_key_cache->lock, LW_EXCLUSIVE));
	envl_wipe(&pge_key_cache->keys[slot], sizeof(envl_key));
	pge_key_cache->slots[slot].state = PGE_SLOT_FREE;
	pge_key_cache->slots[slot].refreshing = false;
}

static uint64
digest_tag(const uint8 *digest)
{
	uint64		tag;

	memcpy(&tag, digest, sizeof(tag));
	return tag;
}

int
pge_slot_find(const uint8 *digest, Oid database)
{
	uint64		tag = digest_tag(digest);

	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];

		if (pge_key_cache->tags[i] == tag && slot->state != PGE_SLOT_FREE &&
			slot->database == database &&
			memcmp(slot->digest, digest, ENVL_KEK_DIGEST_LEN) == 0)
			return i;
	}
	return -1;
}

void
pge_slot_name(int i, const uint8 *digest)
{
	memcpy(pge_key_cache->slots[i].digest, digest, ENVL_KEK_DIGEST_LEN);
	pge_key_cache->tags[i] = digest_tag(digest);
}

/* ---------------------------------------------------------------- */
/* Which slot to take                                               */
/* ---------------------------------------------------------------- */

/*
 * Databases whose oids are equal modulo this number have one share together.
 */
#define SHARERS 64

/* How the slots are divided. */
typedef struct Shares
{
	int			free;			/* a free slot, or -1 */
	int			held[SHARERS];	/* slots that each has */
	int			busy;			/* our database's: still waiting */
	int			fair;			/* slots for each, if divided evenly */
} Shares;

static int
sharer(Oid database)
{
	return database % SHARERS;
}

/*
 * Whether a result is final.  Backends may still use it, but none waits for
 * it.
 */
static bool
is_settled(const PgeSlot *slot)
{
	return slot->state == PGE_SLOT_READY || slot->state == PGE_SLOT_FAILED;
}

static void
count_shares(Shares *shares)
{
	int			sharers = 0;

	memset(shares, 0, sizeof(*shares));
	shares->free = -1;
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];

		if (slot->state == PGE_SLOT_FREE)
		{
			shares->free = i;
			continue;
		}
		sharers += shares->held[sharer(slot->database)]++ == 0;
		shares->busy += slot->database == MyDatabaseId && !is_settled(slot);
	}
	sharers += shares->held[sharer(MyDatabaseId)] == 0;
	shares->fair = pge_key_cache->slot_count / sharers;
}

/*
 * The slot to evict, or -1.  It is the least recently used one: of this
 * database if that has its fair share already, otherwise of the databases that
 * have more than theirs.
 */
static int
find_victim(const Shares *shares)
{
	int			mine = sharer(MyDatabaseId);
	bool		own = shares->held[mine] >= shares->fair;
	int			oldest = -1;
	uint64		oldest_used_ms = 0;

	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		PgeSlot    *slot = &pge_key_cache->slots[i];
		int			whose = sharer(slot->database);
		uint64		used_ms = pg_atomic_read_u64(&slot->used_ms);

		if (!is_settled(slot) ||
			(own ? whose != mine : shares->held[whose] <= shares->fair))
			continue;
		if (oldest < 0 || used_ms < oldest_used_ms)
		{
			oldest = i;
			oldest_used_ms = used_ms;
		}
	}
	return oldest;
}

/*
 * Returns a free slot, evicting one if necessary, or -1 if none is available
 * now.  The waiting requests of one database get at most three quarters of the
 * slots.  Otherwise its hanging provider would block other databases.
 */
int
pge_slot_take(void)
{
	Shares		shares;
	int			victim;

	count_shares(&shares);
	if (shares.busy >=
		pge_key_cache->slot_count - pge_key_cache->slot_count / 4)
		return -1;
	if (shares.free >= 0)
		return shares.free;
	victim = find_victim(&shares);
	if (victim >= 0)
	{
		pge_slot_clear(victim);
		pg_atomic_fetch_add_u64(&pge_key_cache->counters.evictions, 1);
	}
	return victim;
}

PgeSlotState
pge_slot_state(int i)
{
	int64		now = pge_clock_ms();
	PgeSlot    *slot;

	if (i < 0)
		return PGE_SLOT_FREE;
	slot = &pge_key_cache->slots[i];
	if ((slot->state == PGE_SLOT_READY && now >= slot->hard_ms) ||
		(slot->state == PGE_SLOT_FAILED && now >= slot->retry_ms))
		return PGE_SLOT_FREE;
	return slot->state;
}

void
pge_slot_ask(int i, PgeWant want, const uint8 *digest, const char *provider,
			 const char *database_name)
{
	PgeSlot    *slot = &pge_key_cache->slots[i];

	Assert(slot->state == PGE_SLOT_FREE);
	slot->state = PGE_SLOT_WANTED;
	slot->want = want;
	slot->refreshing = false;
	slot->database = MyDatabaseId;
	pge_slot_name(i, digest);
	strlcpy(slot->database_name, database_name, NAMEDATALEN);
	strlcpy(slot->provider, provider, PROV_NAME_SIZE);
	slot->key_name[0] = '\0';
	slot->key_id = 0;
	slot->version = 0;
	slot->sealed.len = 0;
	slot->sealed.root_key[0] = '\0';
	pg_atomic_write_u64(&slot->used_ms, pge_clock_ms());
}
