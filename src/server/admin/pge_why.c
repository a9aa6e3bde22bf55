/*
 * pge_why.c
 *	  pgenvelope.why_denied: why each grant of a privilege fails for a role.
 *
 * A caller that holds grant or audit on the key sees every grant.  Any other
 * caller sees only those whose grantee the role is, or is a member of.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "rights/pge_entitlement.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_why_denied);

/* Columns as sql/parts/rights.sql has them. */
enum
{
	WHY_GRANTEE,
	WHY_PRIVILEGE,
	WHY_ALLOWED,
	WHY_REASON,
	WHY_COLUMNS
};

typedef struct Question
{
	PgeKey	   *key;
	PgePrivilege privilege;
	PgeContext *context;
	PgeIdentity identity;
	PgeSpelledRole current_user;
	PgeSpelledRole session_user;
} Question;

static void
put(FunctionCallInfo fcinfo, const PgeGrant *grant, bool allowed,
	const char *reason)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[WHY_COLUMNS];
	bool		nulls[WHY_COLUMNS] = {false};

	nulls[WHY_GRANTEE] = nulls[WHY_PRIVILEGE] = grant == NULL;
	if (grant != NULL)
	{
		values[WHY_GRANTEE] = ObjectIdGetDatum(grant->grantee);
		values[WHY_PRIVILEGE] =
			CStringGetTextDatum(pge_privilege_name(grant->privilege));
	}
	values[WHY_ALLOWED] = BoolGetDatum(allowed);
	values[WHY_REASON] = CStringGetTextDatum(reason);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Why a pattern does not match; names members, but shows no values. */
static const char *
mismatch(const Question *question, const PgeGrant *grant)
{
	PgeWho		who = {
		{question->current_user.bytes, question->current_user.len},
		{question->session_user.bytes, question->session_user.len}};
	PgeMembers	members;
	const PgeCondition *unmet;
	char	   *name;

	if (!question->context->readable)
		return "it is limited to contexts, and there is none that can be read";
	members = pge_context_members(question->context);
	unmet = pge_pattern_mismatch(grant->pattern, &members, &who);
	if (unmet == NULL)
		return NULL;
	name = pnstrdup((const char *) unmet->name.data, unmet->name.len);
	if (pge_member_value(&members, unmet->name).len == 0)
		return psprintf("the context has no member %s", name);
	return psprintf(unmet->kind == PGE_IS_SESSION_MEMBER ?
						"member %s is not what the session is bound to" :
						"member %s is not one that it allows",
					name);
}

/* NULL: the grant allows what is asked about. */
static const char *
why_not(const Question *question, const PgeGrant *grant, PgeHolding holding)
{
	switch (holding)
	{
		case PGE_NOT_A_MEMBER:
			return "the role is not a member of the grantee";
		case PGE_NOT_INHERITED:
			return "the role is a member that does not inherit; it can SET ROLE";
		case PGE_NOT_OF_SESSION:
			return "it is not for functions that others call";
		case PGE_HELD:
			break;
	}
	return grant->pattern == NULL ? NULL : mismatch(question, grant);
}

static void
explain(FunctionCallInfo fcinfo, const Question *question, bool all)
{
	int			told = 0;

	for (int i = 0; i < question->key->grant_count; i++)
	{
		const PgeGrant *grant = &question->key->grants[i];
		PgeHolding	holding;
		const char *reason;

		if (!pge_privilege_implies(grant->privilege, question->privilege))
			continue;
		holding = pge_grant_holding(grant, &question->identity);
		if (holding == PGE_NOT_A_MEMBER && !all)
			continue;
		reason = why_not(question, grant, holding);
		put(fcinfo, grant, reason == NULL,
			reason != NULL ? reason : "it allows this");
		told++;
	}
	if (told == 0)
		put(fcinfo, NULL, false, "no grant of it is the role's");
}

static PgeKey *
key_argument(text *name)
{
	envl_view	view = pge_varlena_view(name);
	PgeKey	   *key = pge_key_by_name((const char *) view.data, view.len);
	PgeProblem	problem;

	if (key != NULL)
		return key;
	pge_problem(&problem, PGE_KEY_NOT_FOUND,
				"The view pgenvelope.keys lists the keys.",
				"the key that the call names does not exist");
	pge_raise(&problem);
	return NULL;
}

static PgePrivilege
privilege_argument(text *name)
{
	PgePrivilege privilege = pge_privilege_parse(text_to_cstring(name));
	PgeProblem	problem;

	if (privilege != PGE_NO_PRIVILEGE)
		return privilege;
	pge_problem(&problem, PGE_BAD_ARGUMENT,
				"Privileges are encrypt, decrypt, rewrap, rotate, retire, grant, audit and admin.",
				"there is no such privilege");
	pge_raise(&problem);
	return PGE_NO_PRIVILEGE;
}

static bool
sees_all(PgeKey *key)
{
	return superuser() || pge_key_permits(key, PGE_GRANT) != NULL ||
		pge_key_permits(key, PGE_AUDIT) != NULL;
}

Datum
pgenvelope_why_denied(PG_FUNCTION_ARGS)
{
	Question	question;
	bool		all;

	pge_require_preload();
	pge_init_materialized(fcinfo);
	pge_refuse_null(PG_ARGISNULL(0) || PG_ARGISNULL(1), "key and privilege");
	pge_catalog_begin();
	question.key = key_argument(PG_GETARG_TEXT_PP(0));
	question.privilege = privilege_argument(PG_GETARG_TEXT_PP(1));
	question.context = pge_context_read(pge_getarg_varlena(fcinfo, 2));
	question.identity = pge_identity();
	all = sees_all(question.key);
	if (!PG_ARGISNULL(3) && PG_GETARG_OID(3) != question.identity.user)
	{
		Oid			role = PG_GETARG_OID(3);

		if (!all)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to ask about other roles"),
					 errhint("Whoever holds \"grant\" or \"audit\" on the key can.")));
		question.identity = (PgeIdentity) {role, role, role};
	}
	pge_spell_role(question.identity.user, &question.current_user);
	pge_spell_role(question.identity.session, &question.session_user);
	explain(fcinfo, &question, all);
	PG_RETURN_NULL();
}
