/*
 * pge_keys.c
 *	  env_create_key and env_evict.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "pge_act.h"
#include "pge_compat.h"
#include "pge_context.h"
#include "pge_encoding.h"
#include "pge_guc.h"
#include "pge_rights.h"
#include "pge_value.h"
#include "pge_version.h"
#include "pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_create_key);
PG_FUNCTION_INFO_V1(pgenvelope_evict);

static void
check_key_name(text *name)
{
	envl_view	view = pge_varlena_view(name);
	PgeProblem	problem;

	if (view.len == 0 || view.len > ENVL_KEY_NAME_MAX)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"the name of a key has 1 to %d bytes, not %zu",
					ENVL_KEY_NAME_MAX, view.len);
		pge_raise(&problem);
	}

	/* The name becomes part of a kid, which is UTF-8. */
	for (size_t i = 0; i < view.len; i++)
	{
		if (view.data[i] < 0x20 || view.data[i] > 0x7e)
		{
			pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
						"the name of a key is printable ASCII");
			pge_raise(&problem);
		}
	}
}

/* The required context of a new key: the argument, or the setting. */
static Datum
choose_required_context(FunctionCallInfo fcinfo, int n)
{
	Datum		required = PG_ARGISNULL(n) ?
		DirectFunctionCall1(jsonb_in, CStringGetDatum(pge_required_context)) :
		PG_GETARG_DATUM(n);
	uint8		policy[ENVL_CONTEXT_MAX];
	size_t		len;
	PgeProblem	problem;

	if (!pge_policy_from_jsonb(DatumGetJsonbP(required), policy, &len,
							   &problem))
		pge_raise(&problem);
	return required;
}

static uint64
new_key_id(void)
{
	uint64		id = 0;

	while (id == 0)
	{
		if (!pg_strong_random(&id, sizeof(id)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random bytes")));
		id &= ENVL_KEY_ID_MAX;
	}
	return id;
}

Datum
pgenvelope_create_key(PG_FUNCTION_ARGS)
{
	text	   *name;
	char	   *cname;
	char	   *asked = NULL;
	char		provider[PROV_NAME_SIZE];
	char	   *creator = GetUserNameFromId(GetUserId(), false);
	Oid			creator_id = GetUserId();
	Datum		required;
	uint64		key_id;
	bool		grant_creator = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	PgeNewVersion made;
	PgeWriter	writer;
	PgeProblem	problem;

	pge_require_writable("env_create_key()");
	if (PG_ARGISNULL(0))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"the name of a key must not be null");
		pge_raise(&problem);
	}
	name = PG_GETARG_TEXT_PP(0);
	check_key_name(name);
	cname = text_to_cstring(name);
	if (!PG_ARGISNULL(1))
		asked = text_to_cstring(PG_GETARG_TEXT_PP(1));
	pge_choose_provider(asked, provider);
	required = choose_required_context(fcinfo, 2);

	pge_lock_key_name(pge_varlena_view(name));
	if (pge_key_by_name(cname, strlen(cname)) != NULL)
	{
		pge_problem(&problem, PGE_DUPLICATE,
					"env_rotate_key makes a new version of a key.",
					"key \"%s\" already exists", cname);
		pge_raise(&problem);
	}
	key_id = new_key_id();
	pge_seal_version(provider, cname, key_id, 1, &made);

	writer = pge_write_begin();
	{
		Oid			types[] = {INT8OID, TEXTOID, JSONBOID, TEXTOID};
		Datum		values[] = {
			Int64GetDatum((int64) key_id), PointerGetDatum(name), required,
			CStringGetTextDatum(creator)};

		pge_write_run("INSERT INTO pgenvelope.key (key_id, name, required_context,"
					  " created_by) VALUES ($1, $2, $3, $4)",
					  lengthof(types), types, values, NULL);
	}
	pge_insert_version(key_id, 1, &made, PGE_NO_CANARY);
	pge_insert_grant(key_id, "admin", creator_id, creator);
	if (grant_creator)
	{
		pge_insert_grant(key_id, "encrypt", creator_id, creator);
		pge_insert_grant(key_id, "decrypt", creator_id, creator);
		pge_insert_grant(key_id, "rewrap", creator_id, creator);
	}
	pge_write_end(&writer);
	pge_audit_act("env_create_key", key_id, cname, 1,
				  pge_act_details("provider", provider, "grant_creator",
								  grant_creator ? "true" : "false", NULL));
	PG_RETURN_INT64((int64) key_id);
}

Datum
pgenvelope_evict(PG_FUNCTION_ARGS)
{
	uint64		key_id = 0;
	char	   *key_name = NULL;
	int			count;

	pge_require_preload();
	pge_act_begin("env_evict");
	pge_catalog_begin();
	if (!PG_ARGISNULL(0))
	{
		envl_view	name = pge_varlena_view(PG_GETARG_TEXT_PP(0));
		PgeKey	   *key = pge_key_by_name((const char *) name.data, name.len);

		if (key == NULL)
		{
			PgeProblem	problem;

			pge_problem(&problem, PGE_KEY_NOT_FOUND,
						"The view pgenvelope.keys lists the keys.",
						"key \"%.*s\" does not exist",
						pge_shown_len(name, ENVL_KEY_NAME_MAX),
						(const char *) name.data);
			pge_raise(&problem);
		}
		key_id = key->key_id;
		key_name = pstrdup(key->name);
	}
	count = pge_cache_evict(key_id);
	pge_audit_act("env_evict", key_id, key_name, 0, NULL);
	PG_RETURN_INT32(count);
}
