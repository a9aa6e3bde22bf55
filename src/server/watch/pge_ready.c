/*
 * pge_ready.c
 *	  pgenvelope.ready: whether this server can do the work of this database.
 *
 * Any role may call it at any rate, so it uses what is known already.  A
 * provider whose last call failed is asked again, at most every few seconds in
 * the whole server, and the function does not wait for it.  Otherwise a server
 * that gets no work would never learn that the provider is back.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "fmgr.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_try.h"
#include "catalog/pge_spi.h"
#include "keys/pge_check.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_provider.h"
#include "keys/pge_provider_stat.h"

PG_FUNCTION_INFO_V1(pgenvelope_ready);

/* How often a provider that fails is asked again. */
#define ASK_AGAIN_MS 15000

/* A key version as one number. */
static uint64
version_id(uint64 key_id, uint16 version)
{
	return key_id << 16 | version;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/* The cached versions of this database, sorted. */
typedef struct Cached
{
	uint64	   *ids;
	int			count;
	bool		is_read;
} Cached;

static void
read_cached(Cached *cached)
{
	int64		now = pge_clock_ms();

	cached->ids = palloc(sizeof(uint64) * pge_key_cache->slot_count);
	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		const PgeSlot *slot = &pge_key_cache->slots[i];

		if (slot->state == PGE_SLOT_READY && slot->want == PGE_WANT_UNSEAL &&
			slot->database == MyDatabaseId && now < slot->hard_ms)
			cached->ids[cached->count++] = version_id(slot->key_id,
													  slot->version);
	}
	LWLockRelease(pge_key_cache->lock);
	qsort(cached->ids, cached->count, sizeof(uint64), compare_ids);
	cached->is_read = true;
}

static bool
is_cached(Cached *cached, uint64 id)
{
	if (!cached->is_read)
		read_cached(cached);
	return bsearch(&id, cached->ids, cached->count, sizeof(uint64),
				   compare_ids) != NULL;
}

/* Whether a provider's last call succeeded, or there was none. */
static bool
is_answering(const char *provider)
{
	PgeProviderStat stat;

	if (!pge_provider_stat_find(provider, &stat) || !stat.is_failing)
		return true;
	if (pge_clock_ms() - stat.last_call_ms >= ASK_AGAIN_MS)
		pge_check_start(provider);
	return false;
}

/*
 * Sets *found, a bool: whether every active version is cached, or has a
 * provider that is listed and not known to fail.
 */
static void
look_for_keys(void *found)
{
	const char *database = get_database_name(MyDatabaseId);
	Cached		cached = {0};
	char		provider[PROV_NAME_SIZE] = "";
	bool		is_listed = false;
	bool		answers = false;
	prov_root	root;
	PgeWriter	writer = pge_write_begin();
	bool	   *can_be_had = found;
	uint64		count;

	count = pge_write_run("SELECT provider, key_id, version::bigint"
						  " FROM pgenvelope.key_version"
						  " WHERE state = 'active' ORDER BY provider",
						  0, NULL, NULL, NULL);
	*can_be_had = true;
	for (int i = 0; i < (int) count && *can_be_had; i++)
	{
		const char *name = pge_row_text(i, 1);
		uint64		id = version_id((uint64) pge_row_int(i, 2),
									(uint16) pge_row_int(i, 3));

		if (strcmp(name, provider) != 0)
		{
			strlcpy(provider, name, sizeof(provider));
			is_listed = pge_find_provider(name, database, &root);
			answers = is_listed && is_answering(name);
		}
		*can_be_had = is_listed && (answers || is_cached(&cached, id));
	}
	pge_write_end(&writer);
}

/* Returns false instead of an error, and waits for no lock for long. */
Datum
pgenvelope_ready(PG_FUNCTION_ARGS)
{
	bool		is_ready;

	if (pge_shared == NULL || !IsUnderPostmaster)
		PG_RETURN_BOOL(false);
	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	is_ready = pge_key_cache->keeper_pid != 0;
	LWLockRelease(pge_key_cache->lock);
	if (!is_ready || pge_schema(NULL) == PGE_SCHEMA_OTHER)
		PG_RETURN_BOOL(false);
	pge_catalog_begin();
	is_ready = false;
	PG_RETURN_BOOL(pge_try_soon(look_for_keys, &is_ready) == NULL && is_ready);
}
