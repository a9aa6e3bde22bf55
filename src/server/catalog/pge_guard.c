/*
 * pge_guard.c
 *	  The trigger on the key tables.
 *
 * The tables are the access control, and PostgreSQL's own privileges do not
 * suffice to guard them: pg_write_all_data would let its holder grant itself
 * anything.  So a statement trigger that always fires refuses every write,
 * except by superusers and by the tables' owner, the role with which the
 * extension's functions write.  A row trigger does the same after the fact,
 * for writers that fire no statement triggers: those of logical replication.
 *
 * The row trigger also prevents the deletion of a key or version that other
 * rows refer to.  It enforces no more of what foreign keys would, since a
 * parallel restore loads versions before their keys.
 *
 * It also announces the change, except for tables whose trigger has an
 * argument: sessions keep nothing from those.  Announcing must work without
 * preload, since the tables are restored there too.
 *
 * Some tables record how far this server's own files were read, and what was
 * found there.  A subscriber has jobs of its own and has no use for these.  A
 * publication of all tables sends them, so a row trigger makes the subscriber
 * skip them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "replication/logicalworker.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "catalog/pge_catalog.h"
#include "catalog/pge_spi.h"

PG_FUNCTION_INFO_V1(pgenvelope_guard);
PG_FUNCTION_INFO_V1(pgenvelope_keep_local);

/* Which tables refer to a row of which, by the first columns of its key. */
static const struct
{
	const char *table;
	const char *query;
} references[] = {
	{"key", "SELECT FROM pgenvelope.key_version WHERE key_id = $1"
			" UNION ALL SELECT FROM pgenvelope.key_grant WHERE key_id = $1"
			" UNION ALL SELECT FROM pgenvelope.honey WHERE key_id = $1"
			" LIMIT 1"},
	{"key_version",
	 "SELECT FROM pgenvelope.key_seal WHERE (key_id, version) = ($1, $2)"
	 " UNION ALL SELECT FROM pgenvelope.key_escrow"
	 " WHERE (key_id, version) = ($1, $2) LIMIT 1"},
};

static Datum
column_of(const TriggerData *trigger, HeapTuple row, const char *name)
{
	TupleDesc	columns = RelationGetDescr(trigger->tg_relation);
	bool		is_null;

	return SPI_getbinval(row, columns, SPI_fnumber(columns, name), &is_null);
}

/* The number of the row's version; 0 in a table that has no versions. */
static int32
version_of(const TriggerData *trigger, HeapTuple row)
{
	if (SPI_fnumber(RelationGetDescr(trigger->tg_relation), "version") < 0)
		return 0;
	return DatumGetInt32(column_of(trigger, row, "version"));
}

static bool
is_referred_to(const char *query, int64 key_id, int32 version)
{
	PgeWriter	writer = pge_write_begin();
	bool		is_found = pge_run(query, pge_bigint(key_id),
								   pge_integer(version)) > 0;

	pge_write_end(&writer);
	return is_found;
}

/* Refuses to delete a row that others refer to, or to change its key. */
static void
keep_referenced(const TriggerData *trigger)
{
	const char *table = RelationGetRelationName(trigger->tg_relation);
	HeapTuple	row = trigger->tg_trigtuple;

	for (int i = 0; i < (int) lengthof(references); i++)
	{
		int64		key_id;
		int32		version;

		if (strcmp(references[i].table, table) != 0)
			continue;
		key_id = DatumGetInt64(column_of(trigger, row, "key_id"));
		version = version_of(trigger, row);
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
			DatumGetInt64(column_of(trigger, trigger->tg_newtuple,
									"key_id")) == key_id &&
			version_of(trigger, trigger->tg_newtuple) == version)
			continue;
		if (is_referred_to(references[i].query, key_id, version))
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("row of table \"%s\" is still referred to",
							table),
					 errhint("Delete the rows that refer to it first.")));
	}
}

Datum
pgenvelope_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	table;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		TRIGGER_FIRED_BEFORE(trigger->tg_event) !=
			TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("guard must be fired before a statement, or after a row")));
	table = trigger->tg_relation;
	if (!pge_owns_relation(RelationGetRelid(table), GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" cannot be written to directly",
						RelationGetRelationName(table)),
				 errhint("Use pgenvelope.create_key, pgenvelope.rotate_key, pgenvelope.grant_key and pgenvelope.revoke_key.")));
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		keep_referenced(trigger);
	if (trigger->tg_trigger->tgnargs == 0)
		pge_catalog_changed(RelationGetRelid(table));
	PG_RETURN_POINTER(NULL);
}

Datum
pgenvelope_keep_local(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("keep_local must be fired before a row")));
	if (IsLogicalWorker())
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
						  trigger->tg_newtuple :
						  trigger->tg_trigtuple);
}
