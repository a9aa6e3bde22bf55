/*
 * pge_honey_sql.c
 *	  pgenvelope.mark_honey and pgenvelope.unmark_honey.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "admin/pge_admin.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "catalog/pge_spi.h"
#include "rights/pge_entitlement.h"
#include "rights/pge_honey.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_mark_honey);
PG_FUNCTION_INFO_V1(pgenvelope_unmark_honey);

/* In characters; an alert must fit into a notification. */
#define NOTE_MAX 200

/*
 * The mark of a value, for a role that administers its key.  The value must
 * open in the context: a mark on a value that no reader can open would never
 * raise an alert.  The plaintext is wiped and not shown.
 */
static uint64
mark_value(const struct varlena *value, const struct varlena *datum,
		   uint8 *mark)
{
	const envl_bound_context *bound;
	envl_envelope envelope;
	envl_status status;
	PgeKeyVersion *version;
	PgeKey	   *key;
	PgeOpened	opened;
	PgeProblem	problem;

	status = envl_envelope_parse(pge_varlena_view(value), &envelope);
	if (status != ENVL_OK)
	{
		pge_problem_core(&problem, status);
		pge_raise(&problem);
	}
	key = pge_key_by_id(envelope.key_id);
	if (key != NULL)
		(void) pge_key_to_administer(cstring_to_text(key->name), PGE_ADMIN);
	version = pge_version_of(&envelope, PGE_NO_PRIVILEGE, NULL, NULL,
							 &problem);
	bound = version == NULL ? NULL :
							  pge_key_bind(version->key,
										   pge_context_read(datum),
										   &problem);
	if (bound == NULL ||
		!pge_open_with(version, &envelope, bound, &opened, &problem))
		pge_raise(&problem);
	pge_opened_discard(&opened);
	if (!pge_honey_mark(version, &envelope, mark, &problem))
		pge_raise(&problem);
	return envelope.key_id;
}

static void
check_note(const char *note)
{
	PgeProblem	problem;

	if (note == NULL || pg_mbstrlen(note) <= NOTE_MAX)
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
				"a note is no longer than %d characters", NOTE_MAX);
	pge_raise(&problem);
}

static const struct varlena *
value_argument(FunctionCallInfo fcinfo)
{
	PgeProblem	problem;

	if (!PG_ARGISNULL(0))
		return PG_GETARG_VARLENA_PP(0);
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL, "value must not be null");
	pge_raise(&problem);
}

static const struct varlena *
context_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(1) ? NULL : PG_GETARG_VARLENA_PP(1);
}

/* Records in the audit the key of a honey value, but not which value it is. */
static bool
tell(const char *act, uint64 key_id, bool is_done)
{
	if (is_done)
		pge_audit_act(act, key_id, pstrdup(pge_key_by_id(key_id)->name), 0,
					  NULL);
	else
		pge_acting_end();
	return is_done;
}

static Datum
honey(PG_FUNCTION_ARGS)
{
	PgeHoney	honey;
	uint64		key_id;

	pge_require_writable("pgenvelope.mark_honey()");
	honey.locks = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	honey.note = PG_ARGISNULL(3) ? NULL :
								   text_to_cstring(PG_GETARG_TEXT_PP(3));
	check_note(honey.note);
	key_id = mark_value(value_argument(fcinfo), context_argument(fcinfo),
						honey.mark);
	PG_RETURN_BOOL(tell("mark_honey", key_id,
						pge_honey_insert(key_id, &honey)));
}

static Datum
unhoney(PG_FUNCTION_ARGS)
{
	Oid			types[] = {INT8OID, BYTEAOID};
	Datum		values[2];
	uint8		mark[ENVL_MARK_LEN];
	PgeWriter	writer;
	uint64		key_id;
	uint64		count;

	pge_require_writable("pgenvelope.unmark_honey()");
	key_id = mark_value(value_argument(fcinfo), context_argument(fcinfo),
						mark);
	values[0] = Int64GetDatum((int64) key_id);
	values[1] = pge_bytea_datum(mark, ENVL_MARK_LEN);
	writer = pge_write_begin();
	count = pge_write_run("DELETE FROM pgenvelope.honey"
						  " WHERE key_id = $1 AND mark = $2",
						  lengthof(types), types, values, NULL);
	pge_write_end(&writer);
	PG_RETURN_BOOL(tell("unmark_honey", key_id, count > 0));
}

Datum
pgenvelope_mark_honey(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(honey, fcinfo);
}

Datum
pgenvelope_unmark_honey(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(unhoney, fcinfo);
}
