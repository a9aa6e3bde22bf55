/*
 * pge_batch.c
 *	  The start and the end of every batch on a table, for both methods.
 *
 * Index expressions, generated columns and CHECK constraints run code of the
 * table's owner.  As in VACUUM and REINDEX, that code runs as the owner in a
 * security-restricted operation, with our own search path and settings.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_try.h"
#include "rewrite/pge_rewrite_settings.h"
#include "rewrite/pge_batch.h"
#include "value/pge_type.h"

/* How long to wait between attempts to lock the table. */
#define LOCK_RETRY_MS 5

/* How long a batch waits for a KEK: the setting's minimum. */
#define KEY_TIMEOUT "100ms"

/* ---------------------------------------------------------------- */
/* Columns                                                          */
/* ---------------------------------------------------------------- */

/*
 * Whether a function is our type's input function.  Finds out without loading
 * other functions' libraries.
 */
static bool
is_our_input(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		ours;
	bool		isnull;
	Datum		source;
	FmgrInfo	info;

	if (!HeapTupleIsValid(tuple))
		return false;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	ours = !isnull &&
		((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId &&
		strcmp(TextDatumGetCString(source), "pgenvelope_in") == 0;
	ReleaseSysCache(tuple);
	if (!ours)
		return false;
	fmgr_info(function, &info);
	return info.fn_addr == pgenvelope_in;
}

static bool
is_envelope(Oid type)
{
	Oid			input;
	Oid			parameter;

	type = getBaseType(type);
	if (get_typlen(type) != -1)
		return false;
	getTypeInputInfo(type, &input, &parameter);
	return is_our_input(input);
}

int
pge_envelope_columns(Relation relation, AttrNumber *columns, int room)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	int			count = 0;

	for (int i = 0; i < descriptor->natts && count < room; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped && is_envelope(attribute->atttypid))
			columns[count++] = attribute->attnum;
	}
	return count;
}

/* ---------------------------------------------------------------- */
/* The table                                                        */
/* ---------------------------------------------------------------- */

/*
 * Takes a lock without joining its queue, where other sessions would have to
 * wait behind us.
 */
static bool
lock_table(Oid relation, LOCKMODE mode)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  pge_rewrap_lock_timeout);

	while (!ConditionalLockRelationOid(relation, mode))
	{
		if (GetCurrentTimestamp() >= end)
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_RETRY_MS, pge_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* Whether such a table can be read by ranges of blocks and updated. */
static bool
is_walkable(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_RELATION &&
		!IsCatalogRelation(relation) && !RELATION_IS_OTHER_TEMP(relation) &&
		relation->rd_tableam != NULL &&
		relation->rd_tableam->scan_set_tidrange != NULL;
}

/*
 * Reads the table's present state.  False: batch->end says why not to go on.
 */
static bool
inspect_table(PgeBatch *batch, PgeTable *table)
{
	Relation	relation = table->relation;
	Oid			relfilenode = pge_relfilenode(relation);

	if (!is_walkable(relation))
	{
		batch->end = PGE_BATCH_REFUSED;
		return pge_problem(&batch->problem, PGE_NOT_SUPPORTED, NULL,
						   "table \"%s\" cannot be rewrapped",
						   RelationGetRelationName(relation));
	}
	table->columns = palloc(RelationGetNumberOfAttributes(relation) *
							sizeof(AttrNumber));
	table->column_count =
		pge_envelope_columns(relation, table->columns,
							 RelationGetNumberOfAttributes(relation));
	batch->end = PGE_BATCH_GONE;
	if (table->column_count == 0)
		return false;
	batch->total_blocks = RelationGetNumberOfBlocks(relation);
	if (batch->stop_block > 0)
		batch->total_blocks = Min(batch->total_blocks, batch->stop_block);
	if (OidIsValid(batch->relfilenode) && batch->relfilenode != relfilenode)
	{
		batch->end = PGE_BATCH_REWRITTEN;
		return false;
	}
	batch->relfilenode = relfilenode;
	batch->end = PGE_BATCH_MORE;
	return true;
}

/*
 * Sets what code of the table's owner must find, and how long it may wait.
 * Limits the wait for a provider while the table is locked: its reply is still
 * cached for a later batch.
 */
static void
pin_settings(void)
{
	char		timeout[16];

	snprintf(timeout, sizeof(timeout), "%d", Max(pge_rewrap_lock_timeout, 1));
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	(void) set_config_option("lock_timeout", timeout, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("pgenvelope.key_timeout", KEY_TIMEOUT,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
}

bool
pge_table_open(PgeBatch *batch, LOCKMODE mode, PgeTable *table)
{
	pge_catalog_begin();
	if (!lock_table(batch->relation, mode))
	{
		batch->end = PGE_BATCH_LOCKED;
		return false;
	}
	table->relation = try_relation_open(batch->relation, NoLock);
	if (table->relation == NULL)
	{
		batch->end = PGE_BATCH_GONE;
		return false;
	}
	if (!inspect_table(batch, table))
	{
		relation_close(table->relation, NoLock);
		return false;
	}
	GetUserIdAndSecContext(&table->user, &table->security_context);
	SetUserIdAndSecContext(table->relation->rd_rel->relowner,
						   table->security_context |
							   SECURITY_RESTRICTED_OPERATION);
	table->nest_level = NewGUCNestLevel();
	pin_settings();
	return true;
}

void
pge_table_close(PgeTable *table)
{
	AtEOXact_GUC(false, table->nest_level);
	SetUserIdAndSecContext(table->user, table->security_context);
	relation_close(table->relation, NoLock);
	pfree(table->columns);
}

/* ---------------------------------------------------------------- */
/* Attempts                                                         */
/* ---------------------------------------------------------------- */

/* The usual reason why functions fail here that work in the application. */
static const char *
choose_hint(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_OBJECT:
			return "Functions of its indexes, constraints and generated columns find search_path set to pg_catalog, pg_temp.";
		default:
			return NULL;
	}
}

/*
 * Classifies an error.  Drops its text and detail, which may quote the row or,
 * from a function of the owner's, contain anything.
 */
static PgeAttempt
classify_error(const ErrorData *error, PgeProblem *problem)
{
	pge_problem(problem, pge_outcome_of(error->sqlerrcode),
				choose_hint(error->sqlerrcode),
				"a row could not be updated: SQLSTATE %s",
				unpack_sql_state(error->sqlerrcode));
	if (error->constraint_name != NULL)
		pge_problem_detail(problem, "Constraint \"%s\" was violated.",
						   error->constraint_name);
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_OBJECT_IN_USE:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return PGE_ATTEMPT_BUSY;
		default:
			return PGE_ATTEMPT_FAILED;
	}
}

/* Whether an error concerns the session rather than a row. */
static bool
is_of_session(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return false;
	}
}

PgeAttempt
pge_attempt(void (*work)(void *), void *argument, PgeProblem *problem)
{
	ErrorData  *error = pge_try(work, argument);
	PgeAttempt	result;

	if (likely(error == NULL))
		return PGE_ATTEMPT_DONE;
	if (is_of_session(error))
		ReThrowError(error);
	result = classify_error(error, problem);
	FreeErrorData(error);
	return result;
}

void
pge_batch_failure(PgeBatch *batch, AttrNumber attribute, ItemPointer tid,
				  PgeOutcome outcome)
{
	PgeFailure *failure = palloc(sizeof(PgeFailure));

	failure->attribute = attribute;
	failure->tid = *tid;
	failure->outcome = outcome;
	batch->failures = lappend(batch->failures, failure);
}
