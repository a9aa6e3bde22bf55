/*
 * pge_reencrypt.c
 *	  Sealing payloads again, after a KEK was compromised.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_use.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "rewrite/pge_reencrypt.h"
#include "rights/pge_honey.h"
#include "value/pge_value.h"

#define FUNCTION "set_rewrap_context"

/* The columns that are read, in the order of their names. */
enum
{
	TABLE_RELATION,
	TABLE_CONTEXTS
};
static PgeOwnTable rewrap_table = {
	.name = "rewrap_table",
	.columns = {"relation", "contexts"},
};

/* What pgenvelope.set_rewrap_context stored for a table, or NULL. */
static Jsonb *
read_contexts(Oid relation)
{
	Relation	table;
	ScanKeyData condition;
	SysScanDesc scan;
	PgeOwnRow	row;
	Jsonb	   *contexts = NULL;

	pge_own_table_find(&rewrap_table);
	table = pge_own_table_open(&rewrap_table);
	row = (PgeOwnRow) {&rewrap_table, RelationGetDescr(table), NULL};
	ScanKeyInit(&condition, rewrap_table.numbers[TABLE_RELATION],
				BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(table, pge_table("rewrap_table_pkey"), true,
							  NULL, 1, &condition);
	row.tuple = systable_getnext(scan);
	if (HeapTupleIsValid(row.tuple))
	{
		bool		isnull;
		Datum		value = pge_own_get(&row, TABLE_CONTEXTS, &isnull);

		contexts = DatumGetJsonbPCopy(value);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return contexts;
}

/* The members that contexts name for a column, or NULL. */
static PgeRowContext *
read_context(Relation table, Jsonb *contexts, const char *column)
{
	PgeRowContext *context;
	JsonbContainer *list;
	JsonbValue	found;
	int			count;

	if (getKeyJsonValueFromContainer(&contexts->root, column,
									 (int) strlen(column), &found) == NULL ||
		found.type != jbvBinary ||
		!JsonContainerIsArray(found.val.binary.data))
		return NULL;
	list = found.val.binary.data;
	count = (int) JsonContainerSize(list);
	context = palloc0(sizeof(PgeRowContext));
	context->function = FUNCTION;
	for (int i = 0; i < count; i++)
	{
		JsonbValue *member = getIthJsonbValueFromContainer(list, i);

		if (member->type != jbvString)
			return NULL;
		(void) pge_row_context_add(context, table,
								   pnstrdup(member->val.string.val,
											member->val.string.len));
	}
	return context;
}

PgeRowContext **
pge_reencrypt_contexts(Relation table)
{
	TupleDesc	descriptor = RelationGetDescr(table);
	PgeRowContext **contexts = palloc0(descriptor->natts *
									   sizeof(PgeRowContext *));
	Oid			relation = RelationGetRelid(table);
	List	   *relations = list_make1_oid(relation);
	ListCell   *cell;

	if (table->rd_rel->relispartition)
		relations = list_concat(relations,
								get_partition_ancestors(relation));
	foreach(cell, relations)
	{
		Jsonb	   *said = read_contexts(lfirst_oid(cell));

		for (int i = 0; said != NULL && i < descriptor->natts; i++)
		{
			Form_pg_attribute column = TupleDescAttr(descriptor, i);

			if (!column->attisdropped && contexts[i] == NULL)
				contexts[i] = read_context(table, said,
										   NameStr(column->attname));
		}
	}
	return contexts;
}

/* Opens a value for a job, in the context of its row. */
static bool
open_value(const envl_envelope *envelope, PgeContext *context,
		   PgeOpened *opened, PgeProblem *problem)
{
	PgeKeyVersion *source = pge_version_of(envelope, PGE_NO_PRIVILEGE, NULL,
										   NULL, problem);
	const envl_bound_context *bound;

	if (source == NULL)
		return false;
	bound = pge_key_bind(source->key, context, problem);
	return bound != NULL &&
		pge_open_with(source, envelope, bound, opened, problem);
}

struct varlena *
pge_reencrypt(const PgeRewrap *rewrap, PgeRowContext *context, Relation table,
			  HeapTuple row, Datum value, PgeProblem *problem)
{
	const struct varlena *whole = PG_DETOAST_DATUM_PACKED(value);
	envl_member members[PGE_ROW_MEMBERS_MAX];
	PgeContext *bound;
	envl_envelope envelope;
	envl_status status;
	PgeKeyVersion *target;
	PgeOpened	opened;
	struct varlena *sealed;

	/* Finish with output functions first: they may run any code. */
	pge_row_context_fill(context, table, row, members);

	status = envl_envelope_parse(pge_varlena_view(whole), &envelope);
	if (status != ENVL_OK)
	{
		pge_problem_core(problem, status);
		return NULL;
	}
	target = pge_rewrap_target(rewrap, problem);
	if (target == NULL)
		return NULL;
	pge_use_begin(PGE_USE_REENCRYPT);
	bound = pge_context_read_members(members, context->count);
	if (!open_value(&envelope, bound, &opened, problem))
	{
		pge_use_end(problem->outcome);
		return NULL;
	}
	pge_use_end(PGE_OK);
	sealed = pge_seal_opened(target, &opened, &bound->bound, problem);
	if (sealed != NULL && pge_honey_applies(opened.key) &&
		!pge_honey_carry(opened.version, &envelope, target,
						 pge_varlena_view(sealed), problem))
		return NULL;
	return sealed;
}
