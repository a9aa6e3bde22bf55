/*
 * pge_databases.c
 *	  The server's databases, and when to look at each.
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
#include "rights/pge_alert.h"
#include "rights/pge_lock.h"
#include "workers/pge_databases.h"

/* Look at a database without the extension only every so many naptimes. */
#define ABSENT_NAPTIMES 10

/* The longest wait after a worker has failed in a database. */
static const int longest_backoff_ms[PGE_DUTIES] = {
	[PGE_DUTY_REWRAP] = 300000,
	[PGE_DUTY_DELIVER] = 5000,
};

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
		database->turns[PGE_DUTY_REWRAP].due_ms = now;
		pge_databases = lappend(pge_databases, database);
		MemoryContextSwitchTo(old_context);
	}
	strlcpy(database->name, NameStr(form->datname), NAMEDATALEN);
	database->is_listed = true;
	database->turns[PGE_DUTY_REWRAP].is_wanted = form->datallowconn;
}

/* Forget the databases that no longer exist. */
static void
forget_unlisted_databases(void)
{
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (database->is_listed ||
			database->turns[PGE_DUTY_REWRAP].is_running ||
			database->turns[PGE_DUTY_DELIVER].is_running)
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
		list_database((Form_pg_database) GETSTRUCT(tuple), now);
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	forget_unlisted_databases();
	pge_databases_due_ms = now + pge_rewrap_naptime;
}

/* When a duty is due again after its worker has failed. */
static int64
back_off(const PgeTurn *turn, PgeDuty duty, int64 now)
{
	int			longest_ms = longest_backoff_ms[duty];

	return now + pge_backoff_ms(turn->memory.failures - 1, longest_ms);
}

static int64
next_due_ms(PgeTurn *turn, const PgeWorkerSlot *slot, int64 now)
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
			turn->memory.failures++;
			turn->memory.lost++;
			break;
		case PGE_END_FAILED:
			break;
	}
	return back_off(turn, slot->duty, now);
}

void
pge_database_left(PgeDatabase *database, const PgeWorkerSlot *slot, int64 now)
{
	PgeTurn    *turn = &database->turns[slot->duty];

	turn->is_running = false;
	turn->memory = slot->memory;
	turn->due_ms = next_due_ms(turn, slot, now);
	if (slot->is_wanted && turn->memory.failures == 0)
		turn->due_ms = now;
	if (slot->end == PGE_END_LOST)
		pge_databases_due_ms = now; /* perhaps because it has gone */
}

void
pge_database_put_off(PgeDatabase *database, PgeDuty duty, int64 now)
{
	PgeTurn    *turn = &database->turns[duty];

	turn->is_running = false;
	if (duty == PGE_DUTY_REWRAP)
		turn->due_ms = now + pge_rewrap_naptime;
	else
	{
		turn->memory.failures++;
		turn->due_ms = back_off(turn, duty, now);
	}
}

/* ---------------------------------------------------------------- */
/* What is due                                                      */
/* ---------------------------------------------------------------- */

static bool
is_due(const PgeTurn *turn, int64 now)
{
	return turn->is_wanted && !turn->is_running && turn->due_ms <= now;
}

PgeDatabase *
pge_database_due(PgeDuty duty, int64 now)
{
	PgeDatabase *found = NULL;
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (is_due(&database->turns[duty], now) &&
			(found == NULL ||
			 database->turns[duty].due_ms < found->turns[duty].due_ms))
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

		count += is_due(&database->turns[PGE_DUTY_REWRAP], now);
	}
	return count;
}

int64
pge_databases_next_ms(PgeDuty duty, int64 now)
{
	int64		next_ms = PG_INT64_MAX;
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		const PgeTurn *turn = &((PgeDatabase *) lfirst(cell))->turns[duty];

		/* One already due waits for a worker to end, which wakes us. */
		if (turn->is_wanted && !turn->is_running && turn->due_ms > now)
			next_ms = Min(next_ms, turn->due_ms);
	}
	return next_ms;
}

void
pge_databases_heed_naptime(int64 now)
{
	ListCell   *cell;

	pge_databases_due_ms = Min(pge_databases_due_ms, now + pge_rewrap_naptime);
	foreach(cell, pge_databases)
	{
		PgeTurn    *turn =
			&((PgeDatabase *) lfirst(cell))->turns[PGE_DUTY_REWRAP];

		turn->due_ms = Min(turn->due_ms, now + pge_rewrap_naptime);
	}
}

static void
note_delivery(Oid oid, int64 now)
{
	PgeDatabase *database = pge_database_find(oid);

	if (database == NULL)
	{
		pge_databases_list(now);
		database = pge_database_find(oid);
	}
	if (database != NULL)
		database->turns[PGE_DUTY_DELIVER].is_wanted = true;
	else
	{
		pge_alert_forget(oid);
		pge_lock_forget(oid);
	}
}

void
pge_databases_find_deliveries(int64 now)
{
	ListCell   *cell;
	int			place = 0;
	Oid			oid;

	foreach(cell, pge_databases)
		((PgeDatabase *) lfirst(cell))->turns[PGE_DUTY_DELIVER].is_wanted =
			false;
	while (OidIsValid(oid = pge_alert_next_database(&place)))
		note_delivery(oid, now);
	place = 0;
	while (OidIsValid(oid = pge_lock_next_database(&place)))
		note_delivery(oid, now);
}
