/*
 * pge_inplace_guard.c
 *	  Whether a table's values may be overwritten in place.
 *
 * What is stored elsewhere and derived from a value's bytes would not follow:
 * index entries, generated columns.  Nor would a constraint or a partition's
 * bounds be checked again.  An ordinary hash index on the column is no
 * obstacle: the type's equality and hash ignore the wrap.
 *
 * All lookups use the catalog caches and take no locks on indexes: an index
 * that is moving to another tablespace must not stop a batch.  A concurrent
 * index build cannot go unnoticed: its catalog row exists before it waits for
 * all holders of our lock on the table.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "catalog/catalog.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/pge_compat.h"
#include "rewrite/pge_inplace.h"
#include "rewrite/pge_inplace_guard.h"

/* A table, its columns, and the obstacle found. */
typedef struct Guard
{
	Relation	relation;
	const AttrNumber *columns;
	int			count;
	PgeProblem *problem;
} Guard;

#define HINT "Use the method \"update\" for this table."

static bool
refuse_column(const Guard *guard, const char *what, const char *name,
			  AttrNumber column)
{
	TupleDesc	descriptor = RelationGetDescr(guard->relation);

	return pge_problem(
		guard->problem, PGE_NOT_SUPPORTED, HINT,
		"%s \"%s\" of table \"%s\" reads column \"%s\"", what, name,
		RelationGetRelationName(guard->relation),
		NameStr(TupleDescAttr(descriptor, column - 1)->attname));
}

/* The first of the columns that an expression reads, or 0. */
static AttrNumber
find_column_read(const Guard *guard, Node *expression)
{
	Bitmapset  *read = NULL;
	AttrNumber	column = 0;

	pull_varattnos(expression, 1, &read);
	for (int i = 0; i < guard->count && column == 0; i++)
	{
		if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, read) ||
			bms_is_member(guard->columns[i] -
							  FirstLowInvalidHeapAttributeNumber,
						  read))
			column = guard->columns[i];
	}
	bms_free(read);
	return column;
}

/* As find_column_read, for an expression in the catalog; it may be absent. */
static AttrNumber
find_attribute_read(const Guard *guard, HeapTuple index, AttrNumber which)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(INDEXRELID, index, which, &isnull);

	if (isnull)
		return 0;
	return find_column_read(guard, stringToNode(TextDatumGetCString(source)));
}

/* Whether the n-th column of an index does not notice a rewrap. */
static bool
is_plain_hash(HeapTuple index, int n, Oid access_method, Oid type)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(index);
	bool		isnull;
	oidvector  *classes;

	if (access_method != HASH_AM_OID || n >= form->indnkeyatts)
		return false;
	classes = (oidvector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, index, Anum_pg_index_indclass, &isnull));
	return classes->values[n] == GetDefaultOpClass(type, HASH_AM_OID);
}

/*
 * Whether the column itself is a column of an index that would notice a
 * rewrap.
 */
static bool
is_indexed(const Guard *guard, HeapTuple index, Oid access_method,
		   AttrNumber column)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(index);
	TupleDesc	descriptor = RelationGetDescr(guard->relation);
	Oid			type = TupleDescAttr(descriptor, column - 1)->atttypid;

	for (int n = 0; n < form->indnatts; n++)
	{
		if (form->indkey.values[n] == column &&
			!is_plain_hash(index, n, access_method, type))
			return true;
	}
	return false;
}

static Oid
access_method_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_class) GETSTRUCT(tuple))->relam;
		ReleaseSysCache(tuple);
	}
	return result;
}

static bool
index_allows(const Guard *guard, Oid index_id)
{
	HeapTuple	index = SearchSysCache1(INDEXRELID,
										ObjectIdGetDatum(index_id));
	AttrNumber	column;
	char	   *name;

	/* The index has just been dropped. */
	if (!HeapTupleIsValid(index))
		return true;
	column = find_attribute_read(guard, index, Anum_pg_index_indexprs);
	if (column == 0)
		column = find_attribute_read(guard, index,
									 Anum_pg_index_indpred);
	for (int i = 0; i < guard->count && column == 0; i++)
	{
		if (is_indexed(guard, index, access_method_of(index_id),
					   guard->columns[i]))
			column = guard->columns[i];
	}
	ReleaseSysCache(index);
	if (column == 0)
		return true;
	name = get_rel_name(index_id);
	return refuse_column(guard, "index", name != NULL ? name : "?", column);
}

static bool
indexes_allow(const Guard *guard)
{
	List	   *indexes = RelationGetIndexList(guard->relation);
	ListCell   *cell;
	bool		allowed = true;

	foreach(cell, indexes)
	{
		allowed = index_allows(guard, lfirst_oid(cell));
		if (!allowed)
			break;
	}
	list_free(indexes);
	return allowed;
}

/* Checks stored generated columns and CHECK constraints. */
static bool
constraints_allow(const Guard *guard)
{
	TupleDesc	descriptor = RelationGetDescr(guard->relation);
	TupleConstr *constraints = descriptor->constr;

	if (constraints == NULL)
		return true;
	for (int i = 0; i < constraints->num_defval; i++)
	{
		AttrDefault *value = &constraints->defval[i];
		Form_pg_attribute attribute = TupleDescAttr(descriptor,
													value->adnum - 1);
		AttrNumber	column;

		if (attribute->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		column = find_column_read(guard, stringToNode(value->adbin));
		if (column != 0)
			return refuse_column(guard, "generated column",
								 NameStr(attribute->attname), column);
	}
	for (int i = 0; i < constraints->num_check; i++)
	{
		ConstrCheck *check = &constraints->check[i];
		AttrNumber	column =
			find_column_read(guard, stringToNode(check->ccbin));

		if (column != 0)
			return refuse_column(guard, "constraint", check->ccname, column);
	}
	return true;
}

/* Checks domains, whose constraints read the value. */
static bool
domains_allow(const Guard *guard)
{
	for (int i = 0; i < guard->count; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(
			RelationGetDescr(guard->relation), guard->columns[i] - 1);

		if (getBaseType(attribute->atttypid) != attribute->atttypid &&
			DomainHasConstraints(attribute->atttypid))
			return refuse_column(guard, "domain",
								 format_type_be(attribute->atttypid),
								 guard->columns[i]);
	}
	return true;
}

/*
 * Checks what decides a row's partition.  A hash of the column does not
 * change; anything else may.
 */
static bool
partitioning_allows(const Guard *guard)
{
	List	   *conditions = NIL;
	ListCell   *cell;
	AttrNumber	column = 0;

	if (guard->relation->rd_rel->relispartition)
		conditions = RelationGetPartitionQual(guard->relation);
	foreach(cell, conditions)
	{
		Node	   *condition = lfirst(cell);
		ListCell   *argument;

		if (!IsA(condition, FuncExpr) ||
			((FuncExpr *) condition)->funcid != F_SATISFIES_HASH_PARTITION)
		{
			column = column != 0 ? column : find_column_read(guard, condition);
			continue;
		}
		foreach(argument, ((FuncExpr *) condition)->args)
		{
			if (column == 0 && !IsA(lfirst(argument), Var))
				column = find_column_read(guard, lfirst(argument));
		}
	}
	return column == 0 ||
		refuse_column(guard, "partition key",
					  get_rel_name(get_partition_parent(
						  RelationGetRelid(guard->relation), true)),
					  column);
}

bool
pge_inplace_allowed(Relation relation, const AttrNumber *columns, int count,
					PgeProblem *problem)
{
	Guard		guard = {relation, columns, count, problem};
	const char *name = RelationGetRelationName(relation);

	if (relation->rd_tableam != GetHeapamTableAmRoutine())
		return pge_problem(problem, PGE_NOT_SUPPORTED, HINT,
						   "table \"%s\" is not stored as a heap", name);
	if (RELATION_IS_OTHER_TEMP(relation))
		return pge_problem(problem, PGE_NOT_SUPPORTED, NULL,
						   "table \"%s\" is a temporary table of another session",
						   name);
	if (IsSystemRelation(relation))
		return pge_problem(problem, PGE_NOT_SUPPORTED, NULL,
						   "table \"%s\" is a system table", name);
	return indexes_allow(&guard) && constraints_allow(&guard) &&
		domains_allow(&guard) && partitioning_allows(&guard);
}
