/*
 * pge_limit_sql.c
 *	  pgenvelope.limit_grant and pgenvelope.unlock_grant.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "admin/pge_admin.h"
#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_shared.h"
#include "catalog/pge_spi.h"
#include "rights/pge_entitlement.h"
#include "rights/pge_lock.h"
#include "rights/pge_tally.h"

PG_FUNCTION_INFO_V1(pgenvelope_limit_grant);
PG_FUNCTION_INFO_V1(pgenvelope_unlock_grant);

static void
require_arguments(FunctionCallInfo fcinfo)
{
	PgeProblem	problem;

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
				"key and role must not be null");
	pge_raise(&problem);
}

/* Refuses an argument that is not a valid budget. */
static void
check_budget(FunctionCallInfo fcinfo, int n)
{
	int			budget = PG_ARGISNULL(n) ? 1 : PG_GETARG_INT32(n);
	PgeProblem	problem;

	if (budget > 0 && budget <= PGE_BUDGET_MAX)
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT,
				"NULL sets no limit.",
				"a budget must be between 1 and %d values", PGE_BUDGET_MAX);
	pge_raise(&problem);
}

static void
check_action(FunctionCallInfo fcinfo)
{
	char	   *action = NULL;
	PgeProblem	problem;

	if (!PG_ARGISNULL(5))
		action = text_to_cstring(PG_GETARG_TEXT_PP(5));
	if (action != NULL &&
		(strcmp(action, "deny") == 0 || strcmp(action, "report") == 0))
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
				"the action of a budget is deny or report");
	pge_raise(&problem);
}

/* Writes the budget to the grant's row.  False: there is no such grant. */
static bool
write_budget(FunctionCallInfo fcinfo, uint64 key_id)
{
	Oid			types[] = {INT8OID, OIDOID, JSONBOID, INT4OID, INT4OID,
						   TEXTOID};
	Datum		values[] = {Int64GetDatum((int64) key_id),
							PG_GETARG_DATUM(1), PG_GETARG_DATUM(2),
							PG_GETARG_DATUM(3), PG_GETARG_DATUM(4),
							PG_GETARG_DATUM(5)};
	char		nulls[lengthof(types)];
	bool		is_limit = !PG_ARGISNULL(3) || !PG_ARGISNULL(4);

	for (int i = 0; i < (int) lengthof(types); i++)
		nulls[i] = i > 0 && PG_ARGISNULL(i) ? 'n' : ' ';
	if (!is_limit)
		nulls[5] = 'n';
	return pge_write_run("UPDATE pgenvelope.key_grant SET per_minute = $4,"
						 " per_transaction = $5, limit_action = $6"
						 " WHERE key_id = $1 AND privilege = 'decrypt'"
						 " AND grantee = $2"
						 " AND context IS NOT DISTINCT FROM $3",
						 lengthof(types), types, values, nulls) > 0;
}

static char *
number_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : psprintf("%d", PG_GETARG_INT32(n));
}

static void
tell(FunctionCallInfo fcinfo, uint64 key_id, const char *key_name)
{
	pge_audit_act("limit_grant", key_id, key_name, 0,
				  pge_act_details("grantee",
								  GetUserNameFromId(PG_GETARG_OID(1), true),
								  "per_minute", number_argument(fcinfo, 3),
								  "per_transaction",
								  number_argument(fcinfo, 4),
								  "action",
								  text_to_cstring(PG_GETARG_TEXT_PP(5))));
}

Datum
pgenvelope_limit_grant(PG_FUNCTION_ARGS)
{
	PgeKey	   *key;
	PgeWriter	writer;
	uint64		key_id;
	char	   *name;
	bool		is_found;

	pge_require_writable("pgenvelope.limit_grant()");
	require_arguments(fcinfo);
	check_budget(fcinfo, 3);
	check_budget(fcinfo, 4);
	check_action(fcinfo);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0), PGE_GRANT);
	key_id = key->key_id;
	name = pstrdup(key->name);
	if (pge_request_instead(fcinfo, key_id))
		PG_RETURN_VOID();
	writer = pge_write_begin();
	pge_require_visible(key_id);
	is_found = write_budget(fcinfo, key_id);
	pge_write_end(&writer);
	if (!is_found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role has no such grant to decrypt"),
				 errhint("Name role and context as they were granted.")));
	tell(fcinfo, key_id, name);
	PG_RETURN_VOID();
}

/* Unlocks one grant, when this transaction commits. */
static void
unlock(int64 grant_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(grant_id)};

	pge_write_run("UPDATE pgenvelope.key_grant SET locked_at = NULL"
				  " WHERE grant_id = $1",
				  lengthof(types), types, values, NULL);
	pge_unlock_at_commit(grant_id);
}

static int
unlock_all(const PgeKey *key, Oid role)
{
	PgeWriter	writer = pge_write_begin();
	int			count = 0;

	pge_require_visible(key->key_id);
	for (int i = 0; i < key->grant_count; i++)
	{
		const PgeGrant *grant = &key->grants[i];

		if (grant->privilege != PGE_DECRYPT || grant->grantee != role ||
			!pge_grant_is_locked(grant))
			continue;
		unlock(grant->grant_id);
		count++;
	}
	pge_write_end(&writer);
	return count;
}

Datum
pgenvelope_unlock_grant(PG_FUNCTION_ARGS)
{
	PgeKey	   *key;
	uint64		key_id;
	char	   *name;
	int			count;

	pge_require_writable("pgenvelope.unlock_grant()");
	require_arguments(fcinfo);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0), PGE_GRANT);
	key_id = key->key_id;
	name = pstrdup(key->name);
	if (pge_request_instead(fcinfo, key_id))
		PG_RETURN_INT32(0);
	count = unlock_all(key, PG_GETARG_OID(1));
	if (count > 0)
		pge_audit_act("unlock_grant", key_id, name, 0,
					  pge_act_details("grantee",
									  GetUserNameFromId(PG_GETARG_OID(1),
														true)));
	else
		pge_acting_end();
	PG_RETURN_INT32(count);
}
