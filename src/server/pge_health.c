/*
 * pge_health.c
 *	  env_health: what works, and what does not.
 *
 * A row for each component (docs/reference.md has the table).  Providers are
 * asked, all at once; the rest is looked up.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pge_activity.h"
#include "pge_anchor.h"
#include "pge_check.h"
#include "pge_compat.h"
#include "pge_guc.h"
#include "pge_provider_stat.h"
#include "pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_health);

/*
 * A key should be refreshed before its time is up.  So long afterwards it is
 * said that it was not.
 */
#define LATE_REFRESH_MS 5000

/* Columns as sql/parts/statistics.sql has them. */
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

/* The statuses.  Degraded: what was asked for is done, or will be. */
#define OK "ok"
#define DEGRADED "degraded"
#define UNAVAILABLE "unavailable"

/* A row that is being put together; all is NULL at first. */
typedef struct Row
{
	Datum		values[HEALTH_COLUMNS];
	bool		nulls[HEALTH_COLUMNS];
} Row;

static void
set(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_text(Row *row, int column, const char *text)
{
	if (text != NULL && text[0] != '\0')
		set(row, column, CStringGetTextDatum(text));
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

static void
report(FunctionCallInfo fcinfo, const char *component, const char *name,
	   const char *status, const char *message)
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

	LWLockAcquire(pge_shared->lock, LW_SHARED);
	is_there = pge_shared->keeper_pid != 0;
	LWLockRelease(pge_shared->lock);
	if (is_there)
		report(fcinfo, "keeper", NULL, OK, NULL);
	else
		report(fcinfo, "keeper", NULL, UNAVAILABLE,
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
		report(fcinfo, "launcher", NULL, OK,
			   "It starts when this standby is promoted.");
	else if (!is_there)
		report(fcinfo, "launcher", NULL, DEGRADED,
			   "It is not running, so no job is; the server's log says why.");
	else if (pge_rewrap_workers == 0)
		report(fcinfo, "launcher", NULL, OK,
			   "pgenvelope.rewrap_workers is 0: jobs are done by hand.");
	else
		report(fcinfo, "launcher", NULL, OK, NULL);
}

/* What is in the cache. */
typedef struct CacheState
{
	int			used;			/* slots, of all databases */
	int			late;			/* KEKs of ours that were not refreshed */
	int64		first_end_ms;	/* when the first of these ends */
} CacheState;

static CacheState
look_at_cache(int64 now)
{
	CacheState	state = {.first_end_ms = PG_INT64_MAX};
	int64		grace_ms = (int64) pge_key_cache_grace * 1000;

	LWLockAcquire(pge_shared->lock, LW_SHARED);
	for (int i = 0; i < pge_shared->slot_count; i++)
	{
		const PgeSlot *slot = &pge_shared->slots[i];

		state.used += slot->state != PGE_SLOT_FREE;
		if (slot->state != PGE_SLOT_READY || slot->want != PGE_WANT_UNSEAL ||
			slot->database != MyDatabaseId ||
			slot->hard_ms - now >= grace_ms - LATE_REFRESH_MS)
			continue;
		state.late++;
		state.first_end_ms = Min(state.first_end_ms, slot->hard_ms);
	}
	LWLockRelease(pge_shared->lock);
	return state;
}

static void
report_cache(FunctionCallInfo fcinfo)
{
	int64		now = pge_clock_ms();
	CacheState	state = look_at_cache(now);

	if (state.late > 0)
		report(fcinfo, "cache", NULL, DEGRADED,
			   psprintf("%d keys could not be refreshed; the first can be used for " INT64_FORMAT " s more.",
						state.late, Max(state.first_end_ms - now, 0) / 1000));
	else if (state.used >= pge_shared->slot_count)
		report(fcinfo, "cache", NULL, DEGRADED,
			   "It is full, so keys are unsealed over and over; see pgenvelope.key_cache_size.");
	else
		report(fcinfo, "cache", NULL, OK, NULL);
}

/* ---------------------------------------------------------------- */
/* What the catalog says                                            */
/* ---------------------------------------------------------------- */

/*
 * Jobs: $1 says that a worker is at one now, or cannot be, so that none is
 * stalled.  A job puts itself off (not_before) when it waits for something.
 */
#define JOB_ROWS \
	"SELECT 'job' AS component, j.name, CASE WHEN j.state = 'paused'" \
	"  OR j.failed > 0 OR j.error IS NOT NULL OR j.is_stalled" \
	"  THEN 'degraded' ELSE 'ok' END AS status," \
	" 'Job ' || j.job_id || CASE" \
	"  WHEN j.state = 'paused' THEN ' is paused.'" \
	"  WHEN j.failed > 0 THEN ': ' || j.failed || ' values have failed.'" \
	"  WHEN j.error IS NOT NULL THEN ': ' || j.error" \
	"  WHEN j.is_stalled THEN ' has stood still for ten minutes.'" \
	"  ELSE ' is ' || j.state || '.' END" \
	" || coalesce(' (' || j.message || ')', '') AS message" \
	" FROM (SELECT r.*, k.name," \
	"  (SELECT count(*) FROM pgenvelope.rewrap_failure f" \
	"   WHERE f.job_id = r.job_id) AS failed," \
	"  (SELECT min(t.name || ': ' || t.last_error)" \
	"   FROM pgenvelope.rewrap_target t WHERE t.job_id = r.job_id" \
	"   AND t.state <> 'uncovered' AND t.errors > 2) AS error," \
	"  NOT $1 AND greatest(r.created_at, r.started_at, r.not_before," \
	"   (SELECT max(t.updated_at) FROM pgenvelope.rewrap_target t" \
	"    WHERE t.job_id = r.job_id))" \
	"   < clock_timestamp() - '10 minutes'::interval AS is_stalled" \
	"  FROM pgenvelope.rewrap_job r JOIN pgenvelope.key k USING (key_id)" \
	"  WHERE r.state IN ('waiting', 'running', 'proving', 'paused')) j"

/* Keys that are to be rotated by themselves; a failure is tried again. */
#define ROTATION_ROWS \
	"SELECT 'rotation', d.name, CASE WHEN d.due_at" \
	"  < clock_timestamp() - '1 hour'::interval" \
	"  THEN 'degraded' ELSE 'ok' END," \
	" CASE WHEN d.due_at < clock_timestamp() THEN 'It has been due since '" \
	"  ELSE 'It is due at ' END || date_trunc('second', d.due_at) || '.'" \
	" FROM (SELECT k.name, v.activated_at + k.rotate_every AS due_at" \
	"  FROM pgenvelope.key k JOIN pgenvelope.key_version v USING (key_id)" \
	"  WHERE v.state = 'active' AND k.rotate_every IS NOT NULL) d"

/* Versions that have no second seal though $2, the provider, is to make it. */
#define ESCROW_ROWS \
	"SELECT 'escrow', $2, CASE WHEN e.missing > 0 THEN 'degraded'" \
	"  ELSE 'ok' END, CASE WHEN e.missing > 0 THEN e.missing" \
	"  || ' key versions have no second seal; env_reseal_keys() makes it.'" \
	"  END FROM (SELECT count(*) AS missing FROM pgenvelope.key_version v" \
	"  WHERE v.sealed_kek IS NOT NULL AND NOT EXISTS (SELECT" \
	"   FROM pgenvelope.key_escrow s WHERE s.key_id = v.key_id" \
	"   AND s.version = v.version)) e WHERE $2 <> ''"

#define CATALOG_ROWS \
	"SELECT component, name COLLATE \"C\", status, message FROM (" JOB_ROWS " UNION ALL " ROTATION_ROWS " UNION ALL " ESCROW_ROWS \
	") r ORDER BY 1, 2"

/* Whether a worker is busy in this database, so that its jobs get on. */
static bool
is_worked_on(void)
{
	bool		is_busy = false;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	for (int i = 0; i < PGE_ACTIVITIES; i++)
	{
		const PgeActivity *activity = &pge_rewrap_shared->activities[i];

		is_busy |= activity->pid != 0 && activity->job_id != 0 &&
			activity->database == MyDatabaseId;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	return is_busy;
}

static void
report_catalog(FunctionCallInfo fcinfo)
{
	Oid			types[] = {BOOLOID, TEXTOID};
	Datum		values[] = {BoolGetDatum(RecoveryInProgress() ||
										 is_worked_on()),
							CStringGetTextDatum(pge_escrow_provider)};
	PgeWriter	writer = pge_write_begin();
	uint64		count = pge_write_run(CATALOG_ROWS, lengthof(types), types,
									  values, NULL);

	for (int i = 0; i < (int) count; i++)
		report(fcinfo, pge_row_text(i, 1), pge_row_text(i, 2),
			   pge_row_text(i, 3), pge_row_text(i, 4));
	pge_write_end(&writer);
}

/* Whether the audit's log has the entry that it is anchored at. */
static void
report_audit(FunctionCallInfo fcinfo)
{
	PgeAnchor	head;
	PgeAnchor	written;
	PgeAnchorFile file = pge_anchor_read(&written);
	bool		is_anchored = pge_anchor_recall(&head);
	PgeWriter	writer;
	int64		last;

	if (!is_anchored && file == PGE_ANCHOR_READ)
		head = written;
	is_anchored |= file == PGE_ANCHOR_READ;
	writer = pge_write_begin();
	(void) pge_write_run("SELECT max(seq) FROM pgenvelope.audit_log", 0, NULL,
						 NULL, NULL);
	last = pge_row_int(0, 1);
	pge_write_end(&writer);

	if (last == 0 && !is_anchored && file == PGE_ANCHOR_ABSENT)
		return;					/* there is no audit key */
	if (file == PGE_ANCHOR_DAMAGED)
		report(fcinfo, "audit", NULL, DEGRADED,
			   "The anchor's file is damaged; see env_audit_verify().");
	else if (!is_anchored)
		report(fcinfo, "audit", NULL, DEGRADED,
			   "The log has no anchor; see env_audit_verify().");
	else if (head.seq > (uint64) last && !IsolationUsesXactSnapshot())
		report(fcinfo, "audit", NULL, DEGRADED,
			   "The log ends before its anchor; see env_audit_verify().");
	else
		report(fcinfo, "audit", NULL, OK, NULL);
}

/* ---------------------------------------------------------------- */
/* Providers                                                        */
/* ---------------------------------------------------------------- */

/* The names of the providers that are listed for this database. */
static List *
listed_providers(void)
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

/* And those that have sealed keys of it; allocated in the caller's context. */
static List *
with_used_providers(List *names)
{
	MemoryContext outer = CurrentMemoryContext;
	PgeWriter	writer = pge_write_begin();
	uint64		count;

	count = pge_write_run("SELECT provider FROM pgenvelope.key_version"
						  " WHERE sealed_kek IS NOT NULL"
						  " UNION SELECT provider FROM pgenvelope.key_escrow"
						  " ORDER BY 1",
						  0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		char	   *name = pge_row_text((int) i, 1);
		MemoryContext inner = MemoryContextSwitchTo(outer);

		names = list_append_unique(names, makeString(pstrdup(name)));
		MemoryContextSwitchTo(inner);
	}
	pge_write_end(&writer);
	return names;
}

/* Whether the cache has keys of this database that the provider sealed. */
static bool
has_cached_keys(const char *provider)
{
	int64		now = pge_clock_ms();
	bool		found = false;

	LWLockAcquire(pge_shared->lock, LW_SHARED);
	for (int i = 0; i < pge_shared->slot_count && !found; i++)
	{
		const PgeSlot *slot = &pge_shared->slots[i];

		found = slot->state == PGE_SLOT_READY &&
			slot->want == PGE_WANT_UNSEAL && now < slot->hard_ms &&
			slot->database == MyDatabaseId &&
			strcmp(slot->provider, provider) == 0;
	}
	LWLockRelease(pge_shared->lock);
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
		set(&row, HEALTH_LATENCY_MS, Int64GetDatum(check->latency_ms));
	else
		set_text(&row, HEALTH_CATEGORY, prov_category_name(check->category));
	if (check->expires != 0)
		set(&row, HEALTH_CREDENTIAL_EXPIRES,
			TimestampTzGetDatum(
				time_t_to_timestamptz((pg_time_t) check->expires)));
	if (pge_provider_stat_find(check->provider, &stat) && stat.failed_at != 0)
	{
		set_text(&row, HEALTH_LAST_ERROR,
				 psprintf("%s: %s", prov_category_name(stat.category),
						  stat.reason));
		set(&row, HEALTH_LAST_ERROR_AT, TimestampTzGetDatum(stat.failed_at));
	}
	put_row(fcinfo, &row);
}

static void
report_providers(FunctionCallInfo fcinfo)
{
	List	   *names = with_used_providers(listed_providers());
	PgeCheck   *checks = palloc0(sizeof(PgeCheck) * (list_length(names) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, names)
		checks[count++].provider = strVal(lfirst(cell));
	pge_check_providers(checks, count);
	for (int i = 0; i < count; i++)
		report_provider(fcinfo, &checks[i]);
}

Datum
pgenvelope_health(PG_FUNCTION_ARGS)
{
	pge_require_preload();
	pge_init_materialized(fcinfo);
	pge_catalog_begin();
	report_keeper(fcinfo);
	report_launcher(fcinfo);
	report_cache(fcinfo);
	report_catalog(fcinfo);

	/* A standby has no anchor. */
	if (!RecoveryInProgress())
		report_audit(fcinfo);
	report_providers(fcinfo);
	PG_RETURN_NULL();
}
