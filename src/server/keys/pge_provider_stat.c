/*
 * pge_provider_stat.c
 *	  The outcome of the calls to each provider.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_provider_stat.h"

PG_FUNCTION_INFO_V1(pgenvelope_stat_providers);

/* The number of columns in sql/parts/views.sql. */
#define STAT_COLUMNS (3 + PROV_CATEGORIES - 1 + 6)

static const char *const kind_names[] = {
	[PGE_CALL_SEAL] = "seal",
	[PGE_CALL_UNSEAL] = "unseal",
	[PGE_CALL_CHECK] = "check",
};

/*
 * Upper bounds in milliseconds.  A bucket counts the calls that took no longer
 * than its bound, but longer than the bound before.
 */
static const int bounds_ms[PGE_LATENCY_BUCKETS] = {
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};

/* ---------------------------------------------------------------- */
/* The keeper's side                                                */
/* ---------------------------------------------------------------- */

/*
 * The provider's element.  A new one replaces the element whose last call is
 * the longest ago.  Caller holds the lock exclusively.
 */
static PgeProviderStat *
element_of(const char *provider)
{
	PgeProviderStat *all = pge_key_cache->provider_stats;
	PgeProviderStat *place = &all[0];

	for (int i = 0; i < PGE_COUNTED_PROVIDERS; i++)
	{
		if (strcmp(all[i].provider, provider) == 0)
			return &all[i];
		if (all[i].last_call_ms < place->last_call_ms)
			place = &all[i];
	}
	memset(place, 0, sizeof(*place));
	strlcpy(place->provider, provider, PROV_NAME_SIZE);
	return place;
}

static void
count_latency(PgeCallStat *stat, int64 latency_ms)
{
	uint64		took_ms = (uint64) Max(latency_ms, 0);

	stat->calls++;
	stat->total_ms += took_ms;
	stat->longest_ms = Max(stat->longest_ms, took_ms);
	for (int i = 0; i < PGE_LATENCY_BUCKETS; i++)
	{
		if (took_ms <= (uint64) bounds_ms[i])
		{
			stat->buckets[i]++;
			break;
		}
	}
}

void
pge_provider_stat_count(const char *provider, PgeCallKind kind,
						int64 latency_ms, const prov_failure *failure)
{
	TimestampTz now = GetCurrentTimestamp();
	PgeProviderStat *stat;

	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	stat = element_of(provider);
	stat->last_call_ms = pge_clock_ms();
	count_latency(&stat->calls[kind], latency_ms);
	if (failure == NULL)
	{
		stat->calls[kind].last_success = now;
		stat->is_failing = false;
	}
	else
	{
		stat->calls[kind].failures[failure->category]++;
		stat->calls[kind].last_failure = stat->failed_at = now;
		stat->category = failure->category;
		strlcpy(stat->reason, failure->reason, sizeof(stat->reason));

		/*
		 * A seal that does not open is the fault of that key, not the
		 * provider's.
		 */
		if (failure->category != PROV_INTEGRITY)
			stat->is_failing = true;
	}
	LWLockRelease(pge_key_cache->lock);
}

/* ---------------------------------------------------------------- */
/* The readers' side                                                */
/* ---------------------------------------------------------------- */

bool
pge_provider_stat_find(const char *provider, PgeProviderStat *stat)
{
	bool		is_known = false;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	for (int i = 0; i < PGE_COUNTED_PROVIDERS && !is_known; i++)
	{
		*stat = pge_key_cache->provider_stats[i];
		is_known = strcmp(stat->provider, provider) == 0;
	}
	LWLockRelease(pge_key_cache->lock);
	return is_known;
}

/* The bounds in seconds, as Prometheus wants them. */
static Datum
bounds_datum(void)
{
	Datum		bounds[PGE_LATENCY_BUCKETS];

	for (int i = 0; i < PGE_LATENCY_BUCKETS; i++)
		bounds[i] = Float8GetDatum(bounds_ms[i] / 1000.0);
	return PointerGetDatum(construct_array(bounds, PGE_LATENCY_BUCKETS,
										   FLOAT8OID, sizeof(float8),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* How many calls took no longer than each bound. */
static Datum
counts_datum(const PgeCallStat *stat)
{
	Datum		counts[PGE_LATENCY_BUCKETS];
	uint64		sum = 0;

	for (int i = 0; i < PGE_LATENCY_BUCKETS; i++)
	{
		sum += stat->buckets[i];
		counts[i] = Int64GetDatum((int64) sum);
	}
	return PointerGetDatum(construct_array(counts, PGE_LATENCY_BUCKETS,
										   INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
put_row(ReturnSetInfo *result, const char *provider, PgeCallKind kind,
		const PgeCallStat *stat)
{
	Datum		values[STAT_COLUMNS];
	bool		nulls[STAT_COLUMNS] = {0};
	int			n = 0;

	values[n++] = CStringGetTextDatum(provider);
	values[n++] = CStringGetTextDatum(kind_names[kind]);
	values[n++] = Int64GetDatum((int64) stat->calls);
	for (int category = PROV_OK + 1; category < PROV_CATEGORIES; category++)
		values[n++] = Int64GetDatum((int64) stat->failures[category]);
	values[n++] = Int64GetDatum((int64) stat->total_ms);
	values[n++] = Int64GetDatum((int64) stat->longest_ms);
	values[n++] = bounds_datum();
	values[n++] = counts_datum(stat);
	nulls[n] = stat->last_success == 0;
	values[n++] = TimestampTzGetDatum(stat->last_success);
	nulls[n] = stat->last_failure == 0;
	values[n++] = TimestampTzGetDatum(stat->last_failure);
	Assert(n == STAT_COLUMNS && n == result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Returns a row for each provider and kind of call made so far. */
Datum
pgenvelope_stat_providers(PG_FUNCTION_ARGS)
{
	PgeProviderStat *all;

	pge_require_preload();
	pge_init_materialized(fcinfo);
	all = palloc(sizeof(pge_key_cache->provider_stats));
	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	memcpy(all, pge_key_cache->provider_stats,
		   sizeof(pge_key_cache->provider_stats));
	LWLockRelease(pge_key_cache->lock);
	for (int i = 0; i < PGE_COUNTED_PROVIDERS; i++)
	{
		for (int kind = 0; kind < PGE_CALL_KINDS; kind++)
		{
			if (all[i].calls[kind].calls > 0)
				put_row((ReturnSetInfo *) fcinfo->resultinfo,
						all[i].provider, (PgeCallKind) kind,
						&all[i].calls[kind]);
		}
	}
	PG_RETURN_NULL();
}
