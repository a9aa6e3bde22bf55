/*
 * pge_databases.c
 *	  The databases of the server, and when each is to be looked at.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/pge_shared.h"
#include "rewrap/pge_rewrap_settings.h"
#include "workers/pge_databases.h"

/* A database without the extension is looked at every so many naptimes. */
#define ABSENT_NAPTIMES 10

/* A database whose worker fails waits no longer than this for the next. */
#define LONGEST_BACKOFF_MS 300000

List	   *pge_databases;
int64		pge_databases_due_ms;

PgeDatabase *
pge_database_find(Oid oid)
{
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (database->oid == oid)
			return database;
	}
	return NULL;
}

static void
list_database(Form_pg_database form, int64 now)
{
	PgeDatabase *database = pge_database_find(form->oid);

	if (database == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

		database = palloc0(sizeof(PgeDatabase));
		database->oid = form->oid;
		database->due_ms = now;
		pge_databases = lappend(pge_databases, database);
		MemoryContextSwitchTo(old_context);
	}
	strlcpy(database->name, NameStr(form->datname), NAMEDATALEN);
	database->is_listed = true;
}

/* Those that are gone need not be remembered. */
static void
forget_unlisted_databases(void)
{
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (database->is_listed || database->is_running)
			continue;
		pfree(database);
		pge_databases = foreach_delete_current(pge_databases, cell);
	}
}

void
pge_databases_list(int64 now)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	ListCell   *cell;

	foreach(cell, pge_databases)
		((PgeDatabase *) lfirst(cell))->is_listed = false;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->datallowconn)
			list_database(form, now);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	forget_unlisted_databases();
	pge_databases_due_ms = now + pge_rewrap_naptime;
}

static int64
next_due_ms(PgeDatabase *database, const PgeWorkerSlot *slot, int64 now)
{
	switch (slot->end)
	{
		case PGE_END_IDLE:
			if (slot->again_ms < 0)
				return now + pge_rewrap_naptime;
			return now + Min(slot->again_ms, pge_rewrap_naptime);
		case PGE_END_ABSENT:
			return now + (int64) pge_rewrap_naptime * ABSENT_NAPTIMES;
		case PGE_END_YIELDED:
			return now;
		case PGE_END_LOST:
			database->memory.failures++;
			database->memory.lost++;
			break;
		case PGE_END_FAILED:
			break;
	}
	return now +
		pge_backoff_ms(database->memory.failures - 1, LONGEST_BACKOFF_MS);
}

void
pge_database_left(PgeDatabase *database, const PgeWorkerSlot *slot, int64 now)
{
	database->is_running = false;
	database->memory = slot->memory;
	database->due_ms = next_due_ms(database, slot, now);
	if (slot->is_wanted && database->memory.failures == 0)
		database->due_ms = now;
	if (slot->end == PGE_END_LOST)
		pge_databases_due_ms = now; /* perhaps because it has gone */
}

PgeDatabase *
pge_database_due(int64 now)
{
	PgeDatabase *found = NULL;
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (!database->is_running && database->due_ms <= now &&
			(found == NULL || database->due_ms < found->due_ms))
			found = database;
	}
	return found;
}

int
pge_databases_count_due(int64 now)
{
	int			count = 0;
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		count += !database->is_running && database->due_ms <= now;
	}
	return count;
}

void
pge_databases_heed_naptime(int64 now)
{
	ListCell   *cell;

	pge_databases_due_ms = Min(pge_databases_due_ms, now + pge_rewrap_naptime);
	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		database->due_ms = Min(database->due_ms, now + pge_rewrap_naptime);
	}
}
