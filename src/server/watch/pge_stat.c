/*
 * pge_stat.c
 *	  The counters of the key cache, the keeper, the rewrap workers and alerts.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "base/pge_shared.h"
#include "keys/pge_cache.h"
#include "keys/pge_key_cache.h"
#include "rewrap/pge_activity.h"
#include "rights/pge_alert.h"

PG_FUNCTION_INFO_V1(pgenvelope_stat);

/* Columns as sql/parts/views.sql has them. */
#define STAT_COLUMNS (11 + PROV_CATEGORIES - 1 + 11 + PGE_ALERT_KINDS + 1)

static int
count_ready(pid_t *keeper_pid)
{
	int			ready = 0;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	*keeper_pid = pge_key_cache->keeper_pid;
	for (int i = 0; i < pge_key_cache->slot_count; i++)
		ready += pge_key_cache->slots[i].state == PGE_SLOT_READY &&
			pge_key_cache->slots[i].want != PGE_WANT_CHECK;
	LWLockRelease(pge_key_cache->lock);
	return ready;
}

static Datum
read_counter(pg_atomic_uint64 *value)
{
	return Int64GetDatum((int64) pg_atomic_read_u64(value));
}

/* Fills in the launcher's and workers' columns; returns their number. */
static int
put_rewrap_columns(Datum *values, bool *nulls)
{
	PgeRewrapCounters *counters = &pge_rewrap_shared->counters;
	uint64		paced_us = pg_atomic_read_u64(&counters->paced_us);
	pid_t		launcher_pid;
	int			n = 0;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	launcher_pid = pge_rewrap_shared->launcher_pid;
	LWLockRelease(pge_rewrap_shared->lock);
	values[n] = Int32GetDatum(launcher_pid);
	nulls[n++] = launcher_pid == 0;
	values[n++] = read_counter(&counters->worker_starts);
	values[n++] = read_counter(&counters->batches);
	values[n++] = read_counter(&counters->rows_seen);
	values[n++] = read_counter(&counters->rewrapped);
	values[n++] = read_counter(&counters->in_place);
	values[n++] = read_counter(&counters->failed);
	values[n++] = read_counter(&counters->busy);
	values[n++] = read_counter(&counters->bytes);
	values[n++] = Int64GetDatum((int64) (paced_us / 1000));
	values[n++] = read_counter(&counters->lag_waits);
	return n;
}

/*
 * Fills in raised alerts by kind and lost alerts; returns the number of
 * columns.
 */
static int
put_alert_columns(Datum *values)
{
	uint64		raised[PGE_ALERT_KINDS];
	uint64		lost;
	int			n = 0;

	pge_alert_counts(raised, &lost);
	while (n < PGE_ALERT_KINDS)
	{
		values[n] = Int64GetDatum((int64) raised[n]);
		n++;
	}
	values[n++] = Int64GetDatum((int64) lost);
	return n;
}

Datum
pgenvelope_stat(PG_FUNCTION_ARGS)
{
	PgeCounters *counters;
	TupleDesc	descriptor;
	Datum		values[STAT_COLUMNS] = {0};
	bool		nulls[STAT_COLUMNS] = {0};
	pid_t		keeper_pid;
	int			n = 0;

	pge_require_preload();
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pge_cache_flush_counts();
	counters = &pge_key_cache->counters;
	values[2] = Int32GetDatum(count_ready(&keeper_pid));
	values[n] = Int32GetDatum(keeper_pid);
	nulls[n++] = keeper_pid == 0;
	values[n++] = read_counter(&counters->keeper_starts);
	n++;
	values[n++] = Int32GetDatum(pge_key_cache->slot_count);
	values[n++] = BoolGetDatum(pge_key_cache->memory_locked);
	values[n++] = read_counter(&counters->hits);
	values[n++] = read_counter(&counters->misses);
	values[n++] = read_counter(&counters->evictions);
	values[n++] = read_counter(&counters->seals);
	values[n++] = read_counter(&counters->unseals);
	values[n++] = read_counter(&counters->refreshes);
	for (int category = PROV_OK + 1; category < PROV_CATEGORIES; category++)
		values[n++] = read_counter(&counters->failures[category]);
	n += put_rewrap_columns(values + n, nulls + n);
	n += put_alert_columns(values + n);
	Assert(n == STAT_COLUMNS && n == descriptor->natts);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor),
											 values, nulls));
}
