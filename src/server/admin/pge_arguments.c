/*
 * pge_arguments.c
 *	  The arguments of a call as JSON, and a call with arguments from JSON.
 *
 * A request is kept as JSON, so that people can read it.  PostgreSQL converts
 * it both ways, by the names and types in the function's declaration.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "admin/pge_arguments.h"
#include "base/pge_compat.h"

/* The declaration of a function's input arguments, which come first. */
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

static Datum
parse_jsonb(const char *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

/* The values that are not null, as an object. */
static Datum
pack(const Declared *declared, const NullableDatum *values)
{
	int			given[FUNC_MAX_ARGS];
	Datum		row[FUNC_MAX_ARGS];
	bool		nulls[FUNC_MAX_ARGS] = {0};
	int			count = 0;
	TupleDesc	desc;
	HeapTuple	tuple;
	Datum		json;

	for (int i = 0; i < declared->count; i++)
	{
		if (!values[i].isnull)
			given[count++] = i;
	}
	desc = CreateTemplateTupleDesc(count);
	for (int i = 0; i < count; i++)
	{
		TupleDescInitEntry(desc, (AttrNumber) (i + 1),
						   declared->names[given[i]],
						   declared->types[given[i]], -1, 0);
		row[i] = values[given[i]].value;
	}
	tuple = heap_form_tuple(BlessTupleDesc(desc), row, nulls);
	json = DirectFunctionCall1(row_to_json, HeapTupleGetDatum(tuple));
	return parse_jsonb(TextDatumGetCString(json));
}

Datum
pge_arguments_pack(FunctionCallInfo fcinfo)
{
	Declared	declared;

	look_up(fcinfo->flinfo->fn_oid, &declared);
	return pack(&declared, fcinfo->args);
}

/* ---------------------------------------------------------------- */
/* From JSON                                                        */
/* ---------------------------------------------------------------- */

/* A member of an object, by jsonb_object_field or _text. */
static NullableDatum
member(PGFunction get, Datum object, const char *name)
{
	LOCAL_FCINFO(fcinfo, 2);
	NullableDatum value;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0] = (NullableDatum) {object, false};
	fcinfo->args[1] = (NullableDatum) {CStringGetTextDatum(name), false};
	value.value = get(fcinfo);
	value.isnull = fcinfo->isnull;
	return value;
}

char *
pge_argument(Datum arguments, const char *name)
{
	NullableDatum value = member(jsonb_object_field_text, arguments, name);

	return value.isnull ? NULL : TextDatumGetCString(value.value);
}

static NullableDatum
unpack(Datum arguments, const char *name, Oid type)
{
	char	   *spelled = pge_argument(arguments, name);
	NullableDatum value = {(Datum) 0, spelled == NULL};
	Oid			input;
	Oid			parameter;

	if (type == JSONBOID)
		return member(jsonb_object_field, arguments, name);
	if (spelled != NULL)
	{
		getTypeInputInfo(type, &input, &parameter);
		value.value = OidInputFunctionCall(input, spelled, parameter, -1);
	}
	return value;
}

/* ---------------------------------------------------------------- */
/* Calling                                                          */
/* ---------------------------------------------------------------- */

/* The rows of a result, as an array of objects. */
static Datum
pack_rows(const ReturnSetInfo *result)
{
	TupleTableSlot *slot;
	StringInfoData json;

	(void) BlessTupleDesc(result->setDesc);
	slot = MakeSingleTupleTableSlot(result->setDesc, &TTSOpsMinimalTuple);
	initStringInfo(&json);
	while (tuplestore_gettupleslot(result->setResult, true, false, slot))
	{
		Datum		row = ExecFetchSlotHeapTupleDatum(slot);

		appendStringInfoChar(&json, json.len == 0 ? '[' : ',');
		row = DirectFunctionCall1(row_to_json, row);
		appendStringInfoString(&json, TextDatumGetCString(row));
	}
	appendStringInfoString(&json, json.len == 0 ? "[]" : "]");
	ExecDropSingleTupleTableSlot(slot);
	return parse_jsonb(json.data);
}

static Datum
pack_value(Oid type, NullableDatum value)
{
	char	   *name = "value";
	Declared	declared = {1, &type, &name};

	if (value.isnull || type == VOIDOID)
		return parse_jsonb("null");
	return member(jsonb_object_field, pack(&declared, &value), name).value;
}

Datum
pge_arguments_call(Oid function, Datum arguments, Node *context)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	ReturnSetInfo rows = {.type = T_ReturnSetInfo,
						  .econtext = CreateStandaloneExprContext(),
						  .allowedModes = SFRM_Materialize};
	FmgrInfo	flinfo;
	Declared	declared;
	Datum		value;

	look_up(function, &declared);
	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, declared.count,
							 DEFAULT_COLLATION_OID, context, (Node *) &rows);
	for (int i = 0; i < declared.count; i++)
		fcinfo->args[i] = unpack(arguments, declared.names[i],
								 declared.types[i]);
	value = FunctionCallInvoke(fcinfo);
	value = flinfo.fn_retset ?
		pack_rows(&rows) :
		pack_value(get_func_rettype(function),
				   (NullableDatum) {value, fcinfo->isnull});
	FreeExprContext(rows.econtext, true);
	return value;
}
