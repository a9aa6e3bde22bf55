/*
 * pge_rewrap_table.c
 *	  pgenvelope.set_rewrap_method and pgenvelope.set_rewrap_context: how a
 *	  table's owner wants it rewrapped.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "admin/pge_admin.h"
#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "catalog/pge_spi.h"
#include "rewrite/pge_batch.h"

PG_FUNCTION_INFO_V1(pgenvelope_set_rewrap_method);
PG_FUNCTION_INFO_V1(pgenvelope_set_rewrap_context);

/* Opens a plain or partitioned table on behalf of its owner. */
static Relation
open_own_table(Oid relation_id)
{
	Relation	relation = try_relation_open(relation_id, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation_id)));
	if (!pge_owns_relation(relation_id, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   RelationGetRelationName(relation));
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table",
						RelationGetRelationName(relation))));

	/* Its name would stop a dump or a subscriber that has no such table. */
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a temporary table, which is rewrapped by the method update",
						RelationGetRelationName(relation))));
	return relation;
}

/* Deletes the rows of dropped tables, since a new table may get their oid. */
static void
forget_dropped(void)
{
	pge_write_run("DELETE FROM pgenvelope.rewrap_table"
				  " WHERE relation NOT IN (SELECT oid FROM pg_class)",
				  0, NULL, NULL, NULL);
}

/* Warns because no subscriber receives changes made in place. */
static void
warn_of_subscribers(Relation relation)
{
	if (pge_run("SELECT FROM pg_publication p,"
				" LATERAL pg_get_publication_tables(p.pubname) t"
				" WHERE t.relid = $1"
				" OR t.relid IN (SELECT relid FROM pg_partition_ancestors($1)"
				"  UNION SELECT relid FROM pg_partition_tree($1))",
				pge_oid(RelationGetRelid(relation))) == 0 &&
		relation->rd_rel->relreplident != REPLICA_IDENTITY_FULL)
		return;
	ereport(WARNING,
			(errmsg("subscribers of table \"%s\" keep values of former key versions",
					RelationGetRelationName(relation)),
			 errdetail("Nothing is replicated of what is rewrapped in place."),
			 errhint("Start a job on each subscriber, and do not retire the former version before it is complete.")));
}

Datum
pgenvelope_set_rewrap_method(PG_FUNCTION_ARGS)
{
	char	   *method = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	relation;
	PgeWriter	writer;

	pge_require_writable("pgenvelope.set_rewrap_method()");
	if (strcmp(method, "update") != 0 && strcmp(method, "inplace") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the method is update or inplace")));
	relation = open_own_table(PG_GETARG_OID(0));
	writer = pge_write_begin();
	if (strcmp(method, "inplace") == 0)
		warn_of_subscribers(relation);
	forget_dropped();
	pge_run("INSERT INTO pgenvelope.rewrap_table (relation, method)"
			" VALUES ($1, $2) ON CONFLICT (relation)"
			" DO UPDATE SET method = EXCLUDED.method",
			pge_parameter(OIDOID, PG_GETARG_DATUM(0)),
			pge_parameter(TEXTOID, PG_GETARG_DATUM(1)));
	pge_write_end(&writer);
	pge_audit_act("set_rewrap_method", 0, NULL, 0,
				  pge_act_details("table", RelationGetRelationName(relation),
								  "method", method));
	relation_close(relation, NoLock);
	PG_RETURN_VOID();
}

static AttrNumber
find_column(Relation relation, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", name,
						RelationGetRelationName(relation))));
	return number;
}

static void
check_envelope_column(Relation relation, const char *name)
{
	AttrNumber	columns[MaxHeapAttributeNumber];
	AttrNumber	wanted = find_column(relation, name);
	int			count = pge_envelope_columns(relation, columns,
											 lengthof(columns));

	for (int i = 0; i < count; i++)
	{
		if (columns[i] == wanted)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table \"%s\" is not of type envelope",
					name, RelationGetRelationName(relation))));
}

/* A member is 'member=column' or 'member:literal', as in a trigger. */
static void
check_member(Relation relation, const char *target, const char *member)
{
	size_t		name_len = strcspn(member, "=:");

	if (name_len == 0 || member[name_len] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" of a context is not understood", member),
				 errhint("Members of the context are 'member=column' or 'member:literal'.")));
	if (member[name_len] == '=' &&
		find_column(relation, member + name_len + 1) ==
			find_column(relation, target))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be a member of its own encryption context",
						target)));
}

static void
check_members(Relation relation, const char *target, ArrayType *members)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	deconstruct_array(members, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	for (int i = 0; i < count; i++)
		check_member(relation, target,
					 nulls[i] ? "" : TextDatumGetCString(elements[i]));
}

Datum
pgenvelope_set_rewrap_context(PG_FUNCTION_ARGS)
{
	char	   *column = NameStr(*PG_GETARG_NAME(1));
	Relation	relation;
	PgeWriter	writer;

	pge_require_writable("pgenvelope.set_rewrap_context()");
	relation = open_own_table(PG_GETARG_OID(0));
	check_envelope_column(relation, column);
	check_members(relation, column, PG_GETARG_ARRAYTYPE_P(2));
	writer = pge_write_begin();
	forget_dropped();
	pge_run("INSERT INTO pgenvelope.rewrap_table AS t (relation, contexts)"
			" VALUES ($1, jsonb_build_object($2, to_jsonb($3)))"
			" ON CONFLICT (relation) DO UPDATE"
			" SET contexts = t.contexts || EXCLUDED.contexts",
			pge_parameter(OIDOID, PG_GETARG_DATUM(0)), pge_text(column),
			pge_parameter(TEXTARRAYOID, PG_GETARG_DATUM(2)));
	pge_write_end(&writer);
	pge_audit_act("set_rewrap_context", 0, NULL, 0,
				  pge_act_details("table", RelationGetRelationName(relation),
								  "column", column));
	relation_close(relation, NoLock);
	PG_RETURN_VOID();
}
