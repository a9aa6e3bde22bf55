/*
 * pge_rights.c
 *	  env_grant and env_revoke.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "pge_act.h"
#include "pge_compat.h"
#include "pge_rights.h"
#include "pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_grant);
PG_FUNCTION_INFO_V1(pgenvelope_revoke);

uint64
pge_insert_grant(uint64 key_id, const char *privilege, Oid role,
				 const char *granted_by)
{
	Oid			types[] = {INT8OID, TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum((int64) key_id), CStringGetTextDatum(privilege),
		ObjectIdGetDatum(role), CStringGetTextDatum(granted_by)};

	return pge_write_run("INSERT INTO pgenvelope.key_grant"
						 " (key_id, privilege, grantee, granted_by)"
						 " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
						 lengthof(types), types, values, NULL);
}

static bool
is_granted(const PgeKey *key, const char *privilege, Oid grantee)
{
	uint32		bit = pge_privilege_parse(privilege);

	for (int i = 0; i < key->grant_count; i++)
	{
		if (key->grants[i].privilege == bit &&
			key->grants[i].grantee == grantee)
			return true;
	}
	return false;
}

static char *
check_privilege(text *name)
{
	char	   *privilege = text_to_cstring(name);
	PgeProblem	problem;

	if (pge_privilege_parse(privilege) == 0)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT,
					"Privileges are encrypt, decrypt, rewrap and admin.",
					"privilege \"%s\" does not exist", privilege);
		pge_raise(&problem);
	}
	return privilege;
}

static void
check_role(Oid role)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role)));
}

/* Tells what was granted or revoked, if anything was. */
static void
tell(const char *act, uint64 count, uint64 key_id, const char *key_name,
	 const char *privilege, Oid role)
{
	char	   *grantee = GetUserNameFromId(role, true);

	if (count > 0)
		pge_audit_act(act, key_id, key_name, 0,
					  pge_act_details("privilege", privilege, "grantee",
									  grantee != NULL ? grantee :
														psprintf("%u", role)));
	else
		pge_act_none();
}

Datum
pgenvelope_grant(PG_FUNCTION_ARGS)
{
	char	   *privilege;
	PgeKey	   *key;
	PgeWriter	writer;
	uint64		granted;
	PgeProblem	problem;

	pge_require_writable("env_grant()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"key, privilege and role must not be null");
		pge_raise(&problem);
	}
	if (!PG_ARGISNULL(3))
	{
		pge_problem(&problem, PGE_NOT_SUPPORTED, NULL,
					"grants cannot be limited to a context yet");
		pge_raise(&problem);
	}
	privilege = check_privilege(PG_GETARG_TEXT_PP(1));
	check_role(PG_GETARG_OID(2));
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0));
	{
		uint64		key_id = key->key_id;
		char	   *name = pstrdup(key->name);
		char	   *grantor = GetUserNameFromId(GetUserId(), false);

		writer = pge_write_begin();
		pge_require_visible(key_id);
		granted = pge_insert_grant(key_id, privilege, PG_GETARG_OID(2),
								   grantor);
		pge_write_end(&writer);
		tell("env_grant", granted, key_id, name, privilege, PG_GETARG_OID(2));
	}
	PG_RETURN_BOOL(granted > 0);
}

Datum
pgenvelope_revoke(PG_FUNCTION_ARGS)
{
	Oid			types[] = {INT8OID, TEXTOID, OIDOID};
	Datum		values[3];
	char	   *privilege;
	char	   *name;
	PgeKey	   *key;
	PgeWriter	writer;
	uint64		revoked;
	bool		granted;

	pge_require_writable("env_revoke()");
	privilege = check_privilege(PG_GETARG_TEXT_PP(1));
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0));
	values[0] = Int64GetDatum((int64) key->key_id);
	values[1] = CStringGetTextDatum(privilege);
	values[2] = PG_GETARG_DATUM(2);
	name = pstrdup(key->name);
	granted = is_granted(key, privilege, PG_GETARG_OID(2));
	writer = pge_write_begin();
	revoked = pge_write_run("DELETE FROM pgenvelope.key_grant WHERE key_id = $1"
							" AND privilege = $2 AND grantee = $3",
							lengthof(types), types, values, NULL);

	/* It must not seem that there was nothing to revoke. */
	if (revoked == 0 && granted)
		pge_snapshot_is_older();
	pge_write_end(&writer);
	tell("env_revoke", revoked, (uint64) DatumGetInt64(values[0]), name,
		 privilege, PG_GETARG_OID(2));
	PG_RETURN_BOOL(revoked > 0);
}
