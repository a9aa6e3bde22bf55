/*
 * pge_spi.c
 *	  Statements on the extension's tables, as their owner.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/syscache.h"

#include "base/pge_compat.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "catalog/pge_table.h"

static Oid
relation_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Becomes the tables' owner, without the caller's search path.  An error
 * undoes this together with the transaction.
 */
PgeWriter
pge_write_begin(void)
{
	PgeWriter	writer;

	GetUserIdAndSecContext(&writer.user, &writer.security_context);
	SetUserIdAndSecContext(relation_owner(pge_table("key")),
						   writer.security_context |
							   SECURITY_LOCAL_USERID_CHANGE);
	writer.nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	return writer;
}

void
pge_write_end(const PgeWriter *writer)
{
	SPI_finish();
	AtEOXact_GUC(true, writer->nest_level);
	SetUserIdAndSecContext(writer->user, writer->security_context);
}

typedef struct PlanEntry
{
	const char *statement;		/* hash key: its address, not its text */
	SPIPlanPtr	plan;
} PlanEntry;

/*
 * The plan of a statement, kept for the next time: recording a batch takes
 * half a dozen statements, and planning those anew costs as much as moving
 * some hundred values.
 */
static SPIPlanPtr
kept_plan(const char *statement, int count, Oid *types)
{
	static HTAB *plans = NULL;
	PlanEntry  *entry;
	SPIPlanPtr	plan;

	if (plans == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(statement);
		control.entrysize = sizeof(PlanEntry);
		plans = hash_create("pgenvelope statements", 64, &control,
							HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(plans, &statement, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;
	plan = SPI_prepare(statement, count, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	entry = hash_search(plans, &statement, HASH_ENTER, NULL);
	SPI_keepplan(plan);
	entry->plan = plan;
	return plan;
}

uint64
pge_write_run(const char *statement, int count, Oid *types, Datum *values,
			  const char *nulls)
{
	SPIPlanPtr	plan = kept_plan(statement, count, types);
	int			result = SPI_execute_plan(plan, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(result));
	return SPI_processed;
}

uint64
pge_run_with(const char *statement, int count, const PgeParameter *parameters)
{
	Oid		   *types = palloc(count * sizeof(Oid));
	Datum	   *values = palloc(count * sizeof(Datum));
	char	   *nulls = palloc(count);

	for (int i = 0; i < count; i++)
	{
		types[i] = parameters[i].type;
		values[i] = parameters[i].value;
		nulls[i] = parameters[i].isnull ? 'n' : ' ';
	}
	return pge_write_run(statement, count, types, values, nulls);
}

int64
pge_row_int(int row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		return 0;
	Assert(SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT8OID);
	return DatumGetInt64(value);
}

char *
pge_row_text(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						column);
}

Datum
pge_bytea_datum(const uint8 *bytes, size_t len)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes,
													(int) len));
}
