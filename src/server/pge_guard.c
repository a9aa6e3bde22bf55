/*
 * pge_guard.c
 *	  The trigger on the key tables.
 *
 * The tables are the access control, and PostgreSQL's own privileges do not
 * suffice to guard them: pg_write_all_data would let its holder grant itself
 * anything.  So a statement trigger that always fires refuses every write but
 * those of the tables' owner, as whom the extension's functions write, and of
 * superusers.  A row trigger does the same after the fact, for writers that
 * fire no statement triggers: those of logical replication.
 *
 * It also announces the change, but for tables whose trigger has an argument:
 * of those nothing is kept in any session.  That must work without preload,
 * since the tables are restored there too.
 *
 * Tables that say where this server's own files were read to, and what was
 * found there, are no business of a subscriber's, who has jobs of its own.  A
 * publication of all tables sends them; a row trigger has the subscriber pass
 * them over.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "replication/logicalworker.h"
#include "utils/rel.h"

#include "pge_catalog.h"
#include "pge_compat.h"

PG_FUNCTION_INFO_V1(pgenvelope_guard);
PG_FUNCTION_INFO_V1(pgenvelope_keep_local);

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
				 errhint("Use env_create_key, env_rotate_key, env_grant and env_revoke.")));
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
