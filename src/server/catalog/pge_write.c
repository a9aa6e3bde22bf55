/*
 * pge_write.c
 *	  Writing to the extension's tables.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "replication/logicalworker.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/syscache.h"

#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "catalog/pge_write.h"
#include "rights/pge_entitlement.h"
#include "value/pge_value.h"

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
 * Becomes the tables' owner, with nothing of the caller's search path.  An
 * error undoes this as it undoes the transaction.
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
 * The plan of a statement, kept for the next time: a batch is recorded with
 * half a dozen statements, and to plan those anew costs as much as to move
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

/*
 * Nothing that follows may be undone by a lost commit or a standby.  A worker
 * that applies what another server has done (to a table with a trigger) acts
 * for nobody who is here, and does not write to tables that are of this server
 * alone: requests, jobs, the audit's log.
 */
void
pge_require_writable(const char *function)
{
	pge_require_preload();
	pge_acting_begin(function);
	if (IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be executed by a logical replication worker",
						function)));
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	pge_catalog_begin();
}

/*
 * Has whoever would create or change a key of this name wait for the end of
 * this transaction, and whoever would drop the tables.  Not the whole table: a
 * right can be revoked while somebody waits for a provider with another key.
 */
void
pge_lock_key_name(envl_view name)
{
	Oid			table = pge_table("key");

	LockRelationOid(table, RowExclusiveLock);
	LockDatabaseObject(table, hash_bytes(name.data, (int) name.len), 0,
					   ExclusiveLock);
	pge_catalog_begin();
}

PgeKey *
pge_key_named(text *name)
{
	envl_view	wanted = pge_varlena_view(name);
	PgeKey	   *key = pge_key_by_name((const char *) wanted.data, wanted.len);
	PgeProblem	problem;

	if (key != NULL)
		return key;
	pge_problem(&problem, PGE_KEY_NOT_FOUND,
				"The view pgenvelope.keys lists the keys.",
				"key \"%.*s\" does not exist",
				pge_shown_len(wanted, ENVL_KEY_NAME_MAX),
				(const char *) wanted.data);
	pge_raise(&problem);
}

PgeKey *
pge_key_locked(text *name)
{
	PgeKey	   *key;

	pge_lock_key_name(pge_varlena_view(name));
	key = pge_key_named(name);
	pge_acting_key(key->name);
	return key;
}

/*
 * A key by name, locked against everybody else who would change it, for
 * somebody who holds a privilege to administer it.  Superusers may administer
 * any key, or nobody could after a restore into other roles.
 */
PgeKey *
pge_key_to_administer(text *name, PgePrivilege privilege)
{
	PgeKey	   *key = pge_key_locked(name);
	PgeProblem	problem;

	if (!superuser() && !pge_require_privilege(key, privilege, &problem))
		pge_raise(&problem);
	return key;
}

/*
 * Keys are found as they are now, but written as this transaction sees them,
 * which under REPEATABLE READ may be as they were.
 */
void
pge_snapshot_is_older(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a concurrent change of keys")));
}

/* Refuses to write to a key that this transaction's snapshot does not have. */
void
pge_require_visible(uint64 key_id)
{
	if (pge_run("SELECT FROM pgenvelope.key WHERE key_id = $1",
				pge_bigint((int64) key_id)) == 0)
		pge_snapshot_is_older();
}
