/*
 * pge_member.c
 *	  Encryption contexts made from the rows of a table.
 *
 * Rows are read in C: no expression is evaluated and no name is looked up in a
 * search path.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "value/pge_member.h"
#include "value/pge_value.h"

void
pge_column_find(Relation table, const char *name, const char *function,
				PgeColumn *column)
{
	TupleDesc	descriptor = RelationGetDescr(table);
	Oid			output;
	bool		is_varlena;

	column->number = SPI_fnumber(descriptor, name);
	if (column->number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", name,
						RelationGetRelationName(table)),
				 errhint("See the arguments of %s.", function)));
	column->type = getBaseType(SPI_gettypeid(descriptor, column->number));
	getTypeOutputInfo(column->type, &output, &is_varlena);
	fmgr_info_cxt(output, &column->output, CurrentMemoryContext);
}

/*
 * Sets up to_jsonb, which learns its argument's type from the call expression.
 */
static void
prepare_to_jsonb(PgeColumn *column)
{
	Const	   *argument = makeNullConst(column->type, -1, InvalidOid);
	FuncExpr   *call = makeFuncExpr(F_TO_JSONB, JSONBOID,
									list_make1(argument), InvalidOid,
									InvalidOid, COERCE_EXPLICIT_CALL);

	fmgr_info_cxt(F_TO_JSONB, &column->to_jsonb, CurrentMemoryContext);
	fmgr_info_set_expr((Node *) call, &column->to_jsonb);
}

/* The argument in UTF-8.  It comes from the catalog, so it is not secret. */
static envl_view
argument_utf8(const char *argument, size_t len)
{
	envl_view	utf8;
	PgeProblem	problem;

	if (!pge_to_utf8((envl_view) {(const uint8 *) argument, len}, &utf8,
					 &problem))
		pge_raise(&problem);
	return utf8;
}

PgeMember *
pge_row_context_add(PgeRowContext *context, Relation table,
					const char *argument)
{
	PgeMember  *member = &context->members[context->count];
	size_t		name_len = strcspn(argument, "=:");

	if (context->count == PGE_ROW_MEMBERS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s takes at most %d members", context->function,
						PGE_ROW_MEMBERS_MAX)));
	if (name_len == 0 || argument[name_len] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of %s is not understood", argument,
						context->function),
				 errhint("Members of the context are 'member=column' or 'member:literal'.")));
	member->name = argument_utf8(argument, name_len);
	member->is_literal = argument[name_len] == ':';
	argument += name_len + 1;
	if (member->is_literal)
		member->literal = argument_utf8(argument, strlen(argument));
	else
	{
		pge_column_find(table, argument, context->function, &member->column);
		prepare_to_jsonb(&member->column);
	}
	context->count++;
	return member;
}

envl_view
pge_column_text(PgeColumn *column, Datum value)
{
	char	   *text = OutputFunctionCall(&column->output, value);
	envl_view	utf8;
	PgeProblem	problem;

	if (!pge_to_utf8((envl_view) {(const uint8 *) text, strlen(text)}, &utf8,
					 &problem))
		pge_raise(&problem);
	return utf8;
}

/* Makes a member's value as env_encrypt would from jsonb_build_object. */
static void
fill_member(Relation table, HeapTuple row, PgeMember *from,
			envl_member *member)
{
	Datum		value;
	bool		isnull;
	PgeProblem	problem;

	member->name = from->name;
	member->type = ENVL_MEMBER_STRING;
	if (from->is_literal)
	{
		member->string = from->literal;
		return;
	}
	value = heap_getattr(row, from->column.number, RelationGetDescr(table),
						 &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(MAKE_SQLSTATE('P', 'E', '0', '0', '5')),
				 errmsg("encryption context needs a column that is null"),
				 errdetail("Column \"%s\" of table \"%s\" is a member of the context.",
						   NameStr(TupleDescAttr(RelationGetDescr(table),
												 from->column.number - 1)
									   ->attname),
						   RelationGetRelationName(table)),
				 errhint("A row's identity must be known before it is inserted."),
				 errhidestmt(true), errhidecontext(true)));
	switch (from->column.type)
	{
		case INT2OID:
			member->type = ENVL_MEMBER_INTEGER;
			member->integer = DatumGetInt16(value);
			break;
		case INT4OID:
			member->type = ENVL_MEMBER_INTEGER;
			member->integer = DatumGetInt32(value);
			break;
		case INT8OID:
			member->type = ENVL_MEMBER_INTEGER;
			member->integer = DatumGetInt64(value);
			break;
		case BOOLOID:
			member->type = ENVL_MEMBER_BOOLEAN;
			member->boolean = DatumGetBool(value);
			break;
		case TEXTOID:
		case VARCHAROID:
			member->string = pge_column_text(&from->column, value);
			break;
		default:
			value = FunctionCall1(&from->column.to_jsonb, value);
			if (!pge_member_from_jsonb(DatumGetJsonbP(value), member,
									   &problem))
				pge_raise(&problem);
	}
}

void
pge_row_context_fill(PgeRowContext *context, Relation table, HeapTuple row,
					 envl_member *members)
{
	for (int i = 0; i < context->count; i++)
		fill_member(table, row, &context->members[i], &members[i]);
}
