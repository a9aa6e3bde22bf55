/*
 * pge_dual_control.c
 *	  pgenvelope.require_approval, and who may decide requests.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "catalog/pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_require_approval);
PG_FUNCTION_INFO_V1(pgenvelope_may_decide);

static void
set_required(uint64 key_id, bool required)
{
	Oid			types[] = {INT8OID, BOOLOID};
	Datum		values[] = {Int64GetDatum((int64) key_id),
							BoolGetDatum(required)};
	PgeWriter	writer = pge_write_begin();

	if (pge_write_run("UPDATE pgenvelope.key SET dual_control = $2"
					  " WHERE key_id = $1",
					  lengthof(types), types, values, NULL) != 1)
		pge_snapshot_is_older();
	pge_write_end(&writer);
}

/*
 * One person may put a key under dual control.  While it is, everything that
 * could end that asks, and so does this function.
 */
Datum
pgenvelope_require_approval(PG_FUNCTION_ARGS)
{
	PgeKey	   *key;
	uint64		key_id;
	char	   *name;
	bool		required;
	PgeProblem	problem;

	pge_require_writable("pgenvelope.require_approval()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"key and required must not be null");
		pge_raise(&problem);
	}
	required = PG_GETARG_BOOL(1);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0), PGE_ADMIN);
	key_id = key->key_id;
	name = pstrdup(key->name);
	if (key->dual_control == required)
	{
		pge_act_none();
		PG_RETURN_BOOL(false);
	}
	if (pge_request_instead(fcinfo, key_id))
		PG_RETURN_BOOL(false);
	set_required(key_id, required);
	pge_audit_act("require_approval", key_id, name, 0,
				  pge_act_details("required", required ? "true" : "false"));
	PG_RETURN_BOOL(true);
}

Datum
pgenvelope_may_decide(PG_FUNCTION_ARGS)
{
	PgePrivilege privilege;
	PgeKey	   *key;

	pge_catalog_begin();
	privilege = pge_request_privilege(
		pge_request_act(text_to_cstring(PG_GETARG_TEXT_PP(1))),
		PG_GETARG_DATUM(2));
	key = pge_key_by_id((uint64) PG_GETARG_INT64(0));
	PG_RETURN_BOOL(key != NULL &&
				   (superuser() || pge_key_permits(key, privilege) != NULL));
}
