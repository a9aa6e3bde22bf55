/*
 * pge_arguments.c
 *	  The arguments of a call as JSON, and a call with arguments from JSON.
 *
 * An act that waits for approval is kept as it was asked for, so that people
 * can read it, and called later as if by the same statement.  The functions
 * are this extension's own: their arguments have names, and of their results
 * only the types that they have are known here.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "admin/pge_arguments.h"
#include "admin/pge_request.h"
#include "base/pge_compat.h"

/* What is declared of a function's input arguments, which come first. */
typedef struct Declared
{
	int			count;
	Oid		   *types;
	char	  **names;
} Declared;

static void
look_up(Oid function, Declared *declared)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char	   *modes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) get_func_arg_info(tuple, &declared->types, &declared->names,
							 &modes);
	declared->count = ((Form_pg_proc) GETSTRUCT(tuple))->pronargs;
	ReleaseSysCache(tuple);
	if (declared->count > 0 && declared->names == NULL)
		elog(ERROR, "arguments of function %u have no names", function);
}

/* ---------------------------------------------------------------- */
/* To JSON                                                          */
/* ---------------------------------------------------------------- */

static void
append_value(StringInfo json, Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;
	char	   *text;

	getTypeOutputInfo(type, &output, &is_varlena);
	text = OidOutputFunctionCall(output, value);
	switch (type)
	{
		case BOOLOID:
			/* Its text is "t" or "f". */
			text = DatumGetBool(value) ? "true" : "false";
			appendStringInfoString(json, text);
			break;
		case INT4OID:
		case INT8OID:
		case JSONBOID:
			appendStringInfoString(json, text);
			break;
		case VOIDOID:
			appendStringInfoString(json, "null");
			break;
		default:
			escape_json(json, text);
	}
}

Datum
pge_arguments_pack(FunctionCallInfo fcinfo)
{
	Declared	declared;
	StringInfoData json;

	look_up(fcinfo->flinfo->fn_oid, &declared);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < declared.count; i++)
	{
		if (PG_ARGISNULL(i))
			continue;
		if (json.len > 1)
			appendStringInfoString(&json, ", ");
		escape_json(&json, declared.names[i]);
		appendStringInfoString(&json, ": ");
		append_value(&json, declared.types[i], PG_GETARG_DATUM(i));
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* ---------------------------------------------------------------- */
/* From JSON                                                        */
/* ---------------------------------------------------------------- */

/* A member of an object, by jsonb_object_field or _text; false: none. */
static bool
member(PGFunction get, Datum object, const char *name, Datum *value)
{
	LOCAL_FCINFO(fcinfo, 2);

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = object;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum(name);
	fcinfo->args[1].isnull = false;
	*value = get(fcinfo);
	return !fcinfo->isnull;
}

char *
pge_argument(Datum arguments, const char *name)
{
	Datum		value;

	return member(jsonb_object_field_text, arguments, name, &value) ?
		TextDatumGetCString(value) :
		NULL;
}

static Datum
parse(Oid type, Datum spelled)
{
	Oid			input;
	Oid			parameter;

	getTypeInputInfo(type, &input, &parameter);
	return OidInputFunctionCall(input, TextDatumGetCString(spelled), parameter,
								-1);
}

static void
unpack(const Declared *declared, Datum arguments, Datum subject,
	   FunctionCallInfo fcinfo)
{
	for (int i = 0; i < declared->count; i++)
	{
		NullableDatum *argument = &fcinfo->args[i];
		Oid			type = declared->types[i];
		Datum		value;

		if (type == JSONBOID)
			argument->isnull = !member(jsonb_object_field, arguments,
									   declared->names[i], &argument->value);
		else
		{
			argument->isnull =
				!member(jsonb_object_field_text,
						type == REGROLEOID ? subject : arguments,
						declared->names[i], &value);
			if (!argument->isnull)
				argument->value = parse(type, value);
		}
	}
}

/* The rows of a result, as an array of objects. */
static void
append_rows(StringInfo json, const ReturnSetInfo *result)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(result->setDesc,
													&TTSOpsMinimalTuple);

	appendStringInfoChar(json, '[');
	while (tuplestore_gettupleslot(result->setResult, true, false, slot))
	{
		slot_getallattrs(slot);
		appendStringInfoString(json, json->len > 1 ? ", {" : "{");
		for (int i = 0; i < result->setDesc->natts; i++)
		{
			Form_pg_attribute column = TupleDescAttr(result->setDesc, i);

			if (i > 0)
				appendStringInfoString(json, ", ");
			escape_json(json, NameStr(column->attname));
			appendStringInfoString(json, ": ");
			if (slot->tts_isnull[i])
				appendStringInfoString(json, "null");
			else
				append_value(json, column->atttypid, slot->tts_values[i]);
		}
		appendStringInfoChar(json, '}');
	}
	appendStringInfoChar(json, ']');
	ExecDropSingleTupleTableSlot(slot);
}

char *
pge_arguments_call(Oid function, Datum arguments, Datum subject)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	EState	   *estate = CreateExecutorState();
	ReturnSetInfo result = {.type = T_ReturnSetInfo,
							.econtext = CreateExprContext(estate),
							.allowedModes = SFRM_Materialize};
	FmgrInfo	flinfo;
	Declared	declared;
	volatile Datum value = (Datum) 0;
	StringInfoData json;

	look_up(function, &declared);
	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, declared.count,
							 DEFAULT_COLLATION_OID, NULL, (Node *) &result);
	unpack(&declared, arguments, subject, fcinfo);
	pge_request_approved(fcinfo);
	PG_TRY();
	{
		value = FunctionCallInvoke(fcinfo);
	}
	PG_FINALLY();
	{
		pge_request_approved(NULL);
	}
	PG_END_TRY();
	initStringInfo(&json);
	if (flinfo.fn_retset)
		append_rows(&json, &result);
	else if (fcinfo->isnull)
		appendStringInfoString(&json, "null");
	else
		append_value(&json, get_func_rettype(function), value);
	FreeExecutorState(estate);
	return json.data;
}
