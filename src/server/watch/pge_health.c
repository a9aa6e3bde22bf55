/*
 * pge_health.c
 *	  pgenvelope.health: what works, and what does not.
 *
 * There is a row for each component (docs/reference.md has the table).  The
 * function asks all providers at once and looks up the rest.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_catalog.h"
#include "keys/pge_check.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_provider_stat.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_rewrap_settings.h"
#include "watch/pge_health.h"
#include "watch/pge_health_catalog.h"

PG_FUNCTION_INFO_V1(pgenvelope_health);

/*
 * A key should be refreshed before its time is up.  It is reported as late
 * after this much more time.
 */
#define LATE_REFRESH_MS 5000

/* Columns as sql/parts/views.sql has them. */
enum
{
	HEALTH_COMPONENT,
	HEALTH_NAME,
	HEALTH_STATUS,
	HEALTH_CATEGORY,
	HEALTH_MESSAGE,
	HEALTH_LATENCY_MS,
	HEALTH_ROOT_KEY,
	HEALTH_CREDENTIAL_EXPIRES,
	HEALTH_LAST_ERROR,
	HEALTH_LAST_ERROR_AT,
	HEALTH_COLUMNS
};

/* A row that is being filled in; all columns are NULL at first. */
typedef struct Row
{
	Datum		values[HEALTH_COLUMNS];
	bool		nulls[HEALTH_COLUMNS];
} Row;

static void
set_column(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_text(Row *row, int column, const char *text)
{
	if (text != NULL && text[0] != '\0')
		set_column(row, column, CStringGetTextDatum(text));
}

static void
begin_row(Row *row, const char *component, const char *name,
		  const char *status, const char *message)
{
	memset(row->nulls, true, sizeof(row->nulls));
	set_text(row, HEALTH_COMPONENT, component);
	set_text(row, HEALTH_NAME, name);
	set_text(row, HEALTH_STATUS, status);
	set_text(row, HEALTH_MESSAGE, message);
}

static void
put_row(FunctionCallInfo fcinfo, Row *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, row->values,
						 row->nulls);
}

void
pge_health_report(FunctionCallInfo fcinfo, const char *component,
				  const char *name, const char *status, const char *message)
{
	Row			row;

	begin_row(&row, component, name, status, message);
	put_row(fcinfo, &row);
}

/* ---------------------------------------------------------------- */
/* Processes and memory                                             */
/* ---------------------------------------------------------------- */

static void
report_keeper(FunctionCallInfo fcinfo)
{
	bool		is_there;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	is_there = pge_key_cache->keeper_pid != 0;
	LWLockRelease(pge_key_cache->lock);
	if (is_there)
		pge_health_report(fcinfo, "keeper", NULL, OK, NULL);
	else
		pge_health_report(fcinfo, "keeper", NULL, UNAVAILABLE,
						  "It is not running; the server's log says why.");
}

static void
report_launcher(FunctionCallInfo fcinfo)
{
	bool		is_there;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	is_there = pge_rewrap_shared->launcher_pid != 0;
	LWLockRelease(pge_rewrap_shared->lock);
	if (RecoveryInProgress())
		pge_health_report(fcinfo, "launcher", NULL, OK,
						  "It starts when this standby is promoted.");
	else if (!is_there)
		pge_health_report(fcinfo, "launcher", NULL, DEGRADED,
						  "It is not running, so no job is; the server's log says why.");
	else if (pge_rewrap_workers == 0)
		pge_health_report(fcinfo, "launcher", NULL, OK,
						  "pgenvelope.rewrap_workers is 0: jobs are done by hand.");
	else
		pge_health_report(fcinfo, "launcher", NULL, OK, NULL);
}

/* The state of the cache. */
typedef struct CacheState
{
	int			used;			/* slots, for all databases */
	int			late;			/* this database's KEKs that were not
								 * refreshed */
	int64		first_end_ms;	/* when the first of them expires */
} CacheState;

static CacheState
look_at_cache(int64 now)
{
	CacheState	state = {.first_end_ms = PG_INT64_MAX};
	int64		grace_ms = (int64) pge_key_cache_grace * 1000;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	for (int i = 0; i < pge_key_cache->slot_count; i++)
	{
		const PgeSlot *slot = &pge_key_cache->slots[i];

		state.used += slot->state != PGE_SLOT_FREE;
		if (slot->state != PGE_SLOT_READY || slot->want != PGE_WANT_UNSEAL ||
			slot->database != MyDatabaseId ||
			slot->hard_ms - now >= grace_ms - LATE_REFRESH_MS)
			continue;
		state.late++;
		state.first_end_ms = Min(state.first_end_ms, slot->hard_ms);
	}
	LWLockRelease(pge_key_cache->lock);
	return state;
}

static void
report_cache(FunctionCallInfo fcinfo)
{
	int64		now = pge_clock_ms();
	CacheState	state = look_at_cache(now);

	if (state.late > 0)
		pge_health_report(fcinfo, "cache", NULL, DEGRADED,
						  psprintf("%d keys could not be refreshed; the first can be used for " INT64_FORMAT " s more.",
								   state.late,
								   Max(state.first_end_ms - now, 0) / 1000));
	else if (state.used >= pge_key_cache->slot_count)
		pge_health_report(fcinfo, "cache", NULL, DEGRADED,
						  "It is full, so keys are unsealed over and over; see pgenvelope.key_cache_size.");
	else
		pge_health_report(fcinfo, "cache", NULL, OK, NULL);
}

/* ---------------------------------------------------------------- */
/* Providers                                                        */
/* ---------------------------------------------------------------- */

/* The names of the providers that are listed for this database. */
static List *
list_providers(void)
{
	const char *database = get_database_name(MyDatabaseId);
	const char *cursor = pge_providers;
	prov_root	root;
	prov_failure failure;
	bool		found;
	List	   *names = NIL;

	while (prov_root_next(&cursor, &root, &found, &failure) == PROV_OK &&
		   found)
	{
		if (root.database[0] == '\0' || strcmp(root.database, database) == 0)
			names = lappend(names, makeString(pstrdup(root.name)));
	}
	return names;
}

/* Whether the cache has keys of this database that the provider sealed. */
static bool
has_cached_keys(const char *provider)
{
	int64		now = pge_clock_ms();
	bool		found = false;

	LWLockAcquire(pge_key_cache->lock, LW_SHARED);
	for (int i = 0; i < pge_key_cache->slot_count && !found; i++)
	{
		const PgeSlot *slot = &pge_key_cache->slots[i];

		found = slot->state == PGE_SLOT_READY &&
			slot->want == PGE_WANT_UNSEAL && now < slot->hard_ms &&
			slot->database == MyDatabaseId &&
			strcmp(slot->provider, provider) == 0;
	}
	LWLockRelease(pge_key_cache->lock);
	return found;
}

static void
report_provider(FunctionCallInfo fcinfo, const PgeCheck *check)
{
	bool		is_ok = check->category == PROV_OK;
	PgeProviderStat stat;
	Row			row;

	begin_row(&row, "provider", check->provider,
			  is_ok								   ? OK :
				  has_cached_keys(check->provider) ? DEGRADED :
													 UNAVAILABLE,
			  check->reason);
	set_text(&row, HEALTH_ROOT_KEY, check->root_key);
	if (is_ok)
		set_column(&row, HEALTH_LATENCY_MS, Int64GetDatum(check->latency_ms));
	else
		set_text(&row, HEALTH_CATEGORY, prov_category_name(check->category));
	if (check->expires != 0)
		set_column(&row, HEALTH_CREDENTIAL_EXPIRES,
				   TimestampTzGetDatum(
					   time_t_to_timestamptz((pg_time_t) check->expires)));
	if (pge_provider_stat_find(check->provider, &stat) && stat.failed_at != 0)
	{
		set_text(&row, HEALTH_LAST_ERROR,
				 psprintf("%s: %s", prov_category_name(stat.category),
						  stat.reason));
		set_column(&row, HEALTH_LAST_ERROR_AT,
				   TimestampTzGetDatum(stat.failed_at));
	}
	put_row(fcinfo, &row);
}

static void
report_providers(FunctionCallInfo fcinfo)
{
	List	   *names = list_concat_unique(list_providers(),
										   pge_health_used_providers());
	PgeCheck   *checks = palloc0(sizeof(PgeCheck) * (list_length(names) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, names)
		checks[count++].provider = strVal(lfirst(cell));
	pge_check_providers(checks, count);
	for (int i = 0; i < count; i++)
		report_provider(fcinfo, &checks[i]);
}

/* A failure that it should report must not be an error of its own. */
Datum
pgenvelope_health(PG_FUNCTION_ARGS)
{
	pge_init_materialized(fcinfo);
	if (pge_shared == NULL || !IsUnderPostmaster)
	{
		pge_health_report(fcinfo, "keeper", NULL, UNAVAILABLE,
						  "pgenvelope is not preloaded, or the server is in single-user mode.");
		PG_RETURN_NULL();
	}
	pge_catalog_begin();
	report_keeper(fcinfo);
	report_launcher(fcinfo);
	report_cache(fcinfo);
	pge_health_catalog(fcinfo);
	if (!RecoveryInProgress())
		pge_health_audit(fcinfo);
	report_providers(fcinfo);
	PG_RETURN_NULL();
}
