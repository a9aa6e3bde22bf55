/*
 * pge_health.c
 *	  env_health: whether keys can be had, asked now.
 *
 * A row for the keeper, and one for each provider that this database may use
 * or that its keys name.  Providers are asked one after the other; none is
 * waited for longer than for a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pge_cache.h"
#include "pge_compat.h"
#include "pge_guc.h"
#include "pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_health);

/* Columns as sql/pgenvelope.sql has them. */
enum
{
	HEALTH_COMPONENT,
	HEALTH_NAME,
	HEALTH_STATUS,
	HEALTH_MESSAGE,
	HEALTH_LATENCY_MS,
	HEALTH_ROOT_KEY,
	HEALTH_CREDENTIAL_EXPIRES,
	HEALTH_LAST_ERROR,
	HEALTH_LAST_ERROR_AT,
	HEALTH_COLUMNS
};

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
	if (text[0] != '\0')
		set(row, column, CStringGetTextDatum(text));
}

static void
begin_row(Row *row, const char *component, const char *name)
{
	memset(row->nulls, true, sizeof(row->nulls));
	set_text(row, HEALTH_COMPONENT, component);
	set_text(row, HEALTH_NAME, name);
}

static void
put_row(FunctionCallInfo fcinfo, Row *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, row->values,
						 row->nulls);
}

static void
report_keeper(FunctionCallInfo fcinfo)
{
	Row			row;
	bool		is_there;

	LWLockAcquire(pge_shared->lock, LW_SHARED);
	is_there = pge_shared->keeper_pid != 0;
	LWLockRelease(pge_shared->lock);
	begin_row(&row, "keeper", "");
	set_text(&row, HEALTH_STATUS, is_there ? "ok" : "unavailable");
	if (!is_there)
		set_text(&row, HEALTH_MESSAGE,
				 "It is not running; the server's log says why.");
	put_row(fcinfo, &row);
}

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

/* And of those that have sealed keys of it; by the tables' owner's rights. */
static List *
used_providers(void)
{
	List	   *names = NIL;
	uint64		count;

	count = pge_write_run("SELECT provider FROM pgenvelope.key_version"
						  " WHERE sealed_kek IS NOT NULL"
						  " UNION SELECT provider FROM pgenvelope.key_escrow"
						  " ORDER BY 1",
						  0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
		names = lappend(names, makeString(pge_row_text((int) i, 1)));
	return names;
}

static void
set_last_failure(Row *row, const char *provider)
{
	PgeLastFailure found = {{0}};

	LWLockAcquire(pge_shared->lock, LW_SHARED);
	for (int i = 0; i < PGE_REMEMBERED_PROVIDERS; i++)
	{
		if (strcmp(pge_shared->last_failures[i].provider, provider) == 0)
			found = pge_shared->last_failures[i];
	}
	LWLockRelease(pge_shared->lock);
	if (found.at == 0)
		return;
	set(row, HEALTH_LAST_ERROR,
		CStringGetTextDatum(psprintf("%s: %s",
									 prov_category_name(found.category),
									 found.reason)));
	set(row, HEALTH_LAST_ERROR_AT, TimestampTzGetDatum(found.at));
}

static void
report_provider(FunctionCallInfo fcinfo, const char *name)
{
	PgeProviderCheck check;
	Row			row;

	pge_cache_check(name, &check);
	begin_row(&row, "provider", name);
	set_text(&row, HEALTH_STATUS, prov_category_name(check.category));
	set_text(&row, HEALTH_MESSAGE, check.reason);
	set_text(&row, HEALTH_ROOT_KEY, check.root_key);
	if (check.category == PROV_OK)
		set(&row, HEALTH_LATENCY_MS, Int64GetDatum(check.latency_ms));
	if (check.expires != 0)
		set(&row, HEALTH_CREDENTIAL_EXPIRES,
			TimestampTzGetDatum(
				time_t_to_timestamptz((pg_time_t) check.expires)));
	set_last_failure(&row, name);
	put_row(fcinfo, &row);
}

Datum
pgenvelope_health(PG_FUNCTION_ARGS)
{
	PgeWriter	writer;
	List	   *names;
	ListCell   *cell;

	pge_require_preload();
	pge_init_materialized(fcinfo);
	pge_catalog_begin();
	report_keeper(fcinfo);
	writer = pge_write_begin();
	names = list_concat_unique(listed_providers(), used_providers());
	foreach(cell, names)
	{
		report_provider(fcinfo, strVal(lfirst(cell)));
	}
	pge_write_end(&writer);
	PG_RETURN_NULL();
}
