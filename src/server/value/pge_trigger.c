/*
 * pge_trigger.c
 *	  env_encrypt_column: a BEFORE ROW trigger that encrypts one column into
 *	  another, so that the plaintext never reaches the disk.
 *
 *		CREATE TRIGGER encrypt_email BEFORE INSERT OR UPDATE ON customers
 *			FOR EACH ROW EXECUTE FUNCTION env_encrypt_column(
 *				'email_plain', 'email',
 *				'tenant=tenant', 'type:customers.email', 'id=id');
 *
 * The row is read in C: no expression is evaluated and no name is looked up in
 * a search path.  The source column always holds data: a text that looks like
 * an envelope is encrypted like any other.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "redact/pge_mention.h"
#include "value/pge_member.h"
#include "value/pge_type.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_encrypt_column);

#define KEY_ARGUMENT "@key:"

#define FUNCTION "env_encrypt_column"

/* The trigger's arguments, read once per statement and table. */
typedef struct Arguments
{
	PgeColumn	source;
	PgeColumn	target;
	Oid			target_domain;	/* InvalidOid: the target's type is no
								 * domain */
	void	   *domain_state;	/* for domain_check */
	MemoryContext context;		/* that holds all of this */
	const text *key;			/* NULL: pgenvelope.default_key */
	PgeRowContext members;
} Arguments;

/* ---------------------------------------------------------------- */
/* Reading the arguments                                            */
/* ---------------------------------------------------------------- */

/*
 * Checks that the target has our type.  We recognise it by its input function,
 * because its schema may have any name.
 */
static void
check_target(Relation table, const PgeColumn *target, const char *name)
{
	Oid			input;
	Oid			parameter;
	FmgrInfo	function;

	getTypeInputInfo(target->type, &input, &parameter);
	fmgr_info(input, &function);
	if (function.fn_addr != pgenvelope_in)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is not of type envelope",
						name, RelationGetRelationName(table))));
}

static void
read_member(Relation table, const char *argument, Arguments *arguments)
{
	PgeMember  *member = pge_row_context_add(&arguments->members, table,
											 argument);

	/* Both columns change, so nobody could supply the context again. */
	if (!member->is_literal &&
		(member->column.number == arguments->source.number ||
		 member->column.number == arguments->target.number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be a member of its own encryption context",
						argument + strcspn(argument, "=") + 1)));
}

static void
read_arguments(Relation table, Trigger *trigger, Arguments *arguments)
{
	Oid			declared;

	if (trigger->tgnargs < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("env_encrypt_column needs a source and a target column"),
				 errhint("For example env_encrypt_column('email_plain', 'email', 'tenant=tenant', 'type:customers.email', 'id=id').")));
	arguments->members.function = FUNCTION;
	pge_column_find(table, trigger->tgargs[0], FUNCTION, &arguments->source);
	pge_column_find(table, trigger->tgargs[1], FUNCTION, &arguments->target);
	check_target(table, &arguments->target, trigger->tgargs[1]);
	declared = SPI_gettypeid(RelationGetDescr(table),
							 arguments->target.number);
	if (declared != arguments->target.type)
		arguments->target_domain = declared;
	if (arguments->source.number == arguments->target.number)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source and target of env_encrypt_column are the same column")));
	for (int i = 2; i < trigger->tgnargs; i++)
	{
		const char *argument = trigger->tgargs[i];

		if (strncmp(argument, KEY_ARGUMENT, strlen(KEY_ARGUMENT)) == 0)
		{
			arguments->key = cstring_to_text(argument + strlen(KEY_ARGUMENT));
			continue;
		}
		read_member(table, argument, arguments);
	}
}

/* Reads the arguments once and keeps them while the statement runs. */
static Arguments *
get_arguments(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	MemoryContext old_context;
	Arguments  *arguments = fcinfo->flinfo->fn_extra;

	if (arguments != NULL)
		return arguments;
	pge_mention_learn_table(RelationGetRelationName(trigger->tg_relation));
	old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	arguments = palloc0(sizeof(Arguments));
	arguments->context = fcinfo->flinfo->fn_mcxt;
	read_arguments(trigger->tg_relation, trigger->tg_trigger, arguments);
	fcinfo->flinfo->fn_extra = arguments;
	MemoryContextSwitchTo(old_context);
	return arguments;
}

/* ---------------------------------------------------------------- */
/* The row                                                          */
/* ---------------------------------------------------------------- */

/* Seals the source column's value. */
static Datum
seal_source(Relation table, HeapTuple row, Arguments *arguments, Datum source)
{
	envl_member members[PGE_ROW_MEMBERS_MAX];
	PgeContext *context;
	const envl_bound_context *bound = NULL;
	PgeKeyVersion *version;
	envl_view	plaintext;
	uint8		flags = ENVL_FLAG_TEXT;
	struct varlena *value;
	PgeProblem	problem;

	/* Finish with output functions first: they may run any code. */
	pge_row_context_fill(&arguments->members, table, row, members);
	if (arguments->source.type == BYTEAOID)
	{
		flags = 0;
		plaintext = pge_varlena_view(PG_DETOAST_DATUM_PACKED(source));
	}
	else
		plaintext = pge_column_text(&arguments->source, source);

	pge_use_begin(PGE_USE_ENCRYPT);
	pge_catalog_begin();
	context = pge_context_read_members(members, arguments->members.count);
	version = pge_encrypting_version(arguments->key, context, &problem);
	if (version != NULL)
		bound = pge_key_bind(version->key, context, &problem);
	if (bound == NULL)
		pge_raise(&problem);
	value = pge_seal(version, flags, plaintext, bound, &problem);
	if (flags & ENVL_FLAG_TEXT)
		envl_wipe(unconstify(uint8 *, plaintext.data), plaintext.len);
	if (value == NULL)
		pge_raise(&problem);
	pge_use_end(PGE_OK);

	/* Nothing else checks a domain's constraints on what a trigger sets. */
	if (OidIsValid(arguments->target_domain))
		domain_check(PointerGetDatum(value), false, arguments->target_domain,
					 &arguments->domain_state, arguments->context);
	return PointerGetDatum(value);
}

/* Whether a column is null, or has the same bytes, in both rows. */
static bool
has_same_bytes(Relation table, const PgeColumn *column, HeapTuple a,
			   HeapTuple b)
{
	TupleDesc	descriptor = RelationGetDescr(table);
	Form_pg_attribute attribute = TupleDescAttr(descriptor,
												column->number - 1);
	bool		a_null;
	bool		b_null;
	Datum		a_value = heap_getattr(a, column->number, descriptor, &a_null);
	Datum		b_value = heap_getattr(b, column->number, descriptor, &b_null);

	if (a_null || b_null)
		return a_null == b_null;
	return datum_image_eq(a_value, b_value, attribute->attbyval,
						  attribute->attlen);
}

/*
 * Refuses an update that changes a value's context but not the value, since it
 * would no longer open.
 */
static void
refuse_silent_move(TriggerData *trigger, HeapTuple row, Arguments *arguments)
{
	Relation	table = trigger->tg_relation;
	bool		target_null;

	(void) heap_getattr(row, arguments->target.number,
						RelationGetDescr(table), &target_null);
	if (target_null ||
		!has_same_bytes(table, &arguments->target, trigger->tg_trigtuple, row))
		return;
	for (int i = 0; i < arguments->members.count; i++)
	{
		PgeMember  *member = &arguments->members.members[i];

		if (member->is_literal ||
			has_same_bytes(table, &member->column, trigger->tg_trigtuple, row))
			continue;
		ereport(ERROR,
				(errcode(MAKE_SQLSTATE('P', 'E', '0', '0', '5')),
				 errmsg("column \"%s\" is bound to a column that this update changes",
						trigger->tg_trigger->tgargs[1]),
				 errdetail("Column \"%s\" is a member of its encryption context.",
						   NameStr(TupleDescAttr(RelationGetDescr(table),
												 member->column.number - 1)
									   ->attname)),
				 errhint("Set \"%s\" to env_rebind(...) in the same UPDATE, or give the plaintext again.",
						 trigger->tg_trigger->tgargs[1]),
				 errhidestmt(true), errhidecontext(true)));
	}
}

static Datum
encrypt_column(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Arguments  *arguments;
	HeapTuple	row;
	Datum		values[2];
	bool		nulls[2] = {false, true};
	int			columns[2];
	Datum		source;
	bool		isnull;

	pge_require_preload();
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("env_encrypt_column must be fired before INSERT or UPDATE, for each row")));
	arguments = get_arguments(fcinfo, trigger);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newtuple :
		trigger->tg_trigtuple;
	source = heap_getattr(row, arguments->source.number,
						  RelationGetDescr(trigger->tg_relation), &isnull);
	if (isnull)
	{
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			refuse_silent_move(trigger, row, arguments);
		return PointerGetDatum(row);
	}
	columns[0] = arguments->target.number;
	values[0] = seal_source(trigger->tg_relation, row, arguments, source);
	columns[1] = arguments->source.number;
	values[1] = (Datum) 0;
	row = heap_modify_tuple_by_cols(row,
									RelationGetDescr(trigger->tg_relation),
									2, columns, values, nulls);
	return PointerGetDatum(row);
}

Datum
pgenvelope_encrypt_column(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(encrypt_column, fcinfo);
}
