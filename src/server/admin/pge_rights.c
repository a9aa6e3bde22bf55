/*
 * pge_rights.c
 *	  pgenvelope.grant_key and pgenvelope.revoke_key.
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

#include "admin/pge_admin.h"
#include "admin/pge_request.h"
#include "admin/pge_rights.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "catalog/pge_privilege.h"
#include "catalog/pge_spi.h"
#include "context/pge_pattern.h"

PG_FUNCTION_INFO_V1(pgenvelope_grant_key);
PG_FUNCTION_INFO_V1(pgenvelope_revoke_key);

/* Bytes of a pattern: fits into an index even if it does not compress. */
#define PATTERN_MAX 2048

/* Arguments that pgenvelope.grant_key and pgenvelope.revoke_key share. */
enum
{
	ARGUMENT_KEY,
	ARGUMENT_PRIVILEGE,
	ARGUMENT_ROLE,
	ARGUMENT_CONTEXT,
	ARGUMENT_OPTION				/* definer; all_contexts */
};

static PgeParameter
jsonb_parameter(const Jsonb *context)
{
	return pge_unless(context == NULL,
					  pge_parameter(JSONBOID, PointerGetDatum(context)));
}

uint64
pge_insert_grant(const PgeNewGrant *grant)
{
	return pge_run("INSERT INTO pgenvelope.key_grant AS g (key_id,"
				   " privilege, grantee, context, definer, granted_by)"
				   " VALUES ($1, $2, $3, $4, $5, $6)"
				   " ON CONFLICT (key_id, privilege, grantee,"
				   "  (COALESCE(context, 'null'::jsonb)))"
				   " DO UPDATE SET definer = EXCLUDED.definer,"
				   "  granted_by = EXCLUDED.granted_by,"
				   "  granted_at = EXCLUDED.granted_at"
				   " WHERE g.definer <> EXCLUDED.definer",
				   pge_bigint((int64) grant->key_id),
				   pge_text(pge_privilege_name(grant->privilege)),
				   pge_oid(grant->grantee), jsonb_parameter(grant->context),
				   pge_boolean(grant->definer), pge_text(grant->granted_by));
}

/* ---------------------------------------------------------------- */
/* Arguments                                                        */
/* ---------------------------------------------------------------- */

static PgePrivilege
check_privilege(text *name)
{
	char	   *given = text_to_cstring(name);
	PgePrivilege privilege = pge_privilege_parse(given);
	PgeProblem	problem;

	if (privilege == PGE_NO_PRIVILEGE)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT,
					"Privileges are encrypt, decrypt, rewrap, rotate, retire, grant, audit and admin.",
					"privilege \"%s\" does not exist", given);
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

static void
check_context(PgePrivilege privilege, Jsonb *context)
{
	PgeProblem	problem;

	if (context == NULL)
		return;
	if (!pge_privilege_sees_context(privilege))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT,
					"Only encrypt and decrypt see a context.",
					"privilege \"%s\" cannot be limited to a context",
					pge_privilege_name(privilege));
		pge_raise(&problem);
	}
	if (pge_pattern_read(context, &problem) == NULL)
		pge_raise(&problem);
	if (VARSIZE(context) > PATTERN_MAX)
	{
		pge_problem(&problem, PGE_LIMIT,
					"Split the list: a role can have a privilege by several grants.",
					"the context of a grant is longer than %d bytes",
					PATTERN_MAX);
		pge_raise(&problem);
	}
}

static Jsonb *
context_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(ARGUMENT_CONTEXT) ?
		NULL :
		PG_GETARG_JSONB_P(ARGUMENT_CONTEXT);
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	pge_refuse_null(PG_ARGISNULL(ARGUMENT_KEY) ||
						PG_ARGISNULL(ARGUMENT_PRIVILEGE) ||
						PG_ARGISNULL(ARGUMENT_ROLE),
					"key, privilege and role");
}

/* The names of the members in a pattern, for the audit. */
static char *
limited_to(Jsonb *context)
{
	StringInfoData names;
	JsonbIterator *iterator;
	JsonbValue	name;

	if (context == NULL)
		return NULL;
	initStringInfo(&names);
	iterator = JsonbIteratorInit(&context->root);
	(void) JsonbIteratorNext(&iterator, &name, true);
	while (JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		appendStringInfo(&names, "%s%.*s", names.len > 0 ? ", " : "",
						 name.val.string.len, name.val.string.val);
		(void) JsonbIteratorNext(&iterator, &name, true);
	}
	return names.data;
}

/* A role's name, or its number if the role was dropped. */
static char *
name_of(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL ? name : psprintf("%u", role);
}

/*
 * Records what was granted or revoked, if anything.  It names a pattern's
 * members without their values: values of contexts must not reach the log.
 */
static void
tell(const char *act, const PgeNewGrant *grant, uint64 count,
	 const char *key_name, const char *option)
{
	char	   *grantee = name_of(grant->grantee);

	if (count > 0)
		pge_audit_act(act, grant->key_id, key_name, 0,
					  pge_act_details("privilege",
									  pge_privilege_name(grant->privilege),
									  "grantee", grantee, "limited_to",
									  limited_to(grant->context), "option",
									  option));
	else
		pge_acting_end();
}

/* ---------------------------------------------------------------- */
/* Granting                                                         */
/* ---------------------------------------------------------------- */

Datum
pgenvelope_grant_key(PG_FUNCTION_ARGS)
{
	PgeNewGrant grant;
	PgeKey	   *key;
	char	   *name;
	PgeWriter	writer;
	uint64		granted;

	pge_require_writable("pgenvelope.grant_key()");
	require_arguments(fcinfo);
	grant.privilege = check_privilege(PG_GETARG_TEXT_PP(ARGUMENT_PRIVILEGE));
	grant.grantee = PG_GETARG_OID(ARGUMENT_ROLE);
	check_role(grant.grantee);
	grant.context = context_argument(fcinfo);
	check_context(grant.privilege, grant.context);
	grant.definer = pge_getarg_bool(fcinfo, ARGUMENT_OPTION, true);
	grant.granted_by = GetUserNameFromId(GetUserId(), false);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(ARGUMENT_KEY),
								pge_privilege_grantor(grant.privilege));
	if (pge_request_instead(fcinfo, key->key_id))
		PG_RETURN_BOOL(false);
	grant.key_id = key->key_id;
	name = pstrdup(key->name);

	writer = pge_write_begin();
	pge_require_visible(grant.key_id);
	granted = pge_insert_grant(&grant);
	pge_write_end(&writer);
	tell("grant_key", &grant, granted, name,
		 grant.definer ? NULL : "not for definer functions");
	PG_RETURN_BOOL(granted > 0);
}

/* ---------------------------------------------------------------- */
/* Revoking                                                         */
/* ---------------------------------------------------------------- */

static bool
same_context(Jsonb *a, Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return compareJsonbContainers(&a->root, &b->root) == 0;
}

/*
 * How many grants like this one the key has now: with the same context, or all
 * with the same privilege and role.
 */
static int
count_granted(const PgeKey *key, const PgeNewGrant *like, bool all_contexts)
{
	int			count = 0;

	for (int i = 0; i < key->grant_count; i++)
	{
		const PgeGrant *grant = &key->grants[i];

		if (grant->privilege == like->privilege &&
			grant->grantee == like->grantee &&
			(all_contexts || same_context(grant->context, like->context)))
			count++;
	}
	return count;
}

/* Deletes grants like one; returns how many. */
static uint64
delete_grants(const PgeNewGrant *like, bool all_contexts)
{
	return pge_run("DELETE FROM pgenvelope.key_grant WHERE key_id = $1"
				   " AND privilege = $2 AND grantee = $3"
				   " AND ($5 OR context IS NOT DISTINCT FROM $4)",
				   pge_bigint((int64) like->key_id),
				   pge_text(pge_privilege_name(like->privilege)),
				   pge_oid(like->grantee), jsonb_parameter(like->context),
				   pge_boolean(all_contexts));
}

/*
 * A caller that revokes a privilege in every context may think that nothing
 * of it is left, so say what is.
 */
static void
tell_what_is_left(int left, const PgeNewGrant *revoked)
{
	if (left == 0)
		return;
	ereport(NOTICE,
			(errmsg_plural("role \"%s\" keeps %d grant of \"%s\" in other contexts",
						   "role \"%s\" keeps %d grants of \"%s\" in other contexts",
						   left, name_of(revoked->grantee), left,
						   pge_privilege_name(revoked->privilege)),
			 errhint("Revoke them all with all_contexts => true.")));
}

/* The grant that the arguments name; true if all like it are meant. */
static bool
read_revocation(FunctionCallInfo fcinfo, PgeNewGrant *grant)
{
	bool		all_contexts = pge_getarg_bool(fcinfo, ARGUMENT_OPTION, false);
	PgeProblem	problem;

	require_arguments(fcinfo);
	grant->privilege = check_privilege(PG_GETARG_TEXT_PP(ARGUMENT_PRIVILEGE));
	grant->grantee = PG_GETARG_OID(ARGUMENT_ROLE);
	grant->context = context_argument(fcinfo);
	if (all_contexts && grant->context != NULL)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"name a context or all contexts, not both");
		pge_raise(&problem);
	}
	return all_contexts;
}

Datum
pgenvelope_revoke_key(PG_FUNCTION_ARGS)
{
	PgeNewGrant grant = {0};
	bool		all_contexts;
	PgeKey	   *key;
	char	   *name;
	PgeWriter	writer;
	uint64		revoked;
	int			granted;
	int			left;

	pge_require_writable("pgenvelope.revoke_key()");
	all_contexts = read_revocation(fcinfo, &grant);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(ARGUMENT_KEY),
								pge_privilege_grantor(grant.privilege));
	grant.key_id = key->key_id;
	name = pstrdup(key->name);
	granted = count_granted(key, &grant, all_contexts);
	left = count_granted(key, &grant, true) - granted;

	writer = pge_write_begin();
	revoked = delete_grants(&grant, all_contexts);

	/* Without this error, it would seem that there was nothing to revoke. */
	if (revoked < (uint64) granted)
		pge_snapshot_is_older();
	pge_write_end(&writer);
	tell("revoke_key", &grant, revoked, name,
		 all_contexts ? "all contexts" : NULL);
	tell_what_is_left(left, &grant);
	PG_RETURN_BOOL(revoked > 0);
}
