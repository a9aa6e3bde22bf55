/*
 * pge_keys.c
 *	  pgenvelope.create_key and pgenvelope.evict_key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "admin/pge_admin.h"
#include "admin/pge_rights.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "catalog/pge_table.h"
#include "context/pge_context.h"
#include "keys/pge_cache.h"
#include "lifecycle/pge_lifecycle_settings.h"
#include "lifecycle/pge_version.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_create_key);
PG_FUNCTION_INFO_V1(pgenvelope_create_audit_key);
PG_FUNCTION_INFO_V1(pgenvelope_evict_key);

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

/* A key to be created. */
typedef struct NewKey
{
	const char *function;		/* the SQL function that creates it */
	text	   *name;			/* NULL is an error */
	char	   *provider;		/* NULL: the default provider */
	Datum		required;		/* context */
	const char *purpose;		/* data or audit */
	bool		grant_creator;	/* the creator gets all privileges */
	bool		dual_control;
} NewKey;

/* Locks a name that no key may have yet. */
static void
claim_name(text *name)
{
	envl_view	view = pge_varlena_view(name);
	PgeProblem	problem;

	check_key_name(name);
	pge_lock_key_name(view);
	if (pge_key_by_name((const char *) view.data, view.len) == NULL)
		return;
	pge_problem(&problem, PGE_DUPLICATE,
				"pgenvelope.rotate_key makes a new version of a key.",
				"key \"%.*s\" already exists", (int) view.len,
				(const char *) view.data);
	pge_raise(&problem);
}

static void
insert_key(const NewKey *key, uint64 key_id, char *creator)
{
	pge_run("INSERT INTO pgenvelope.key (key_id, name, required_context,"
			" created_by, purpose, dual_control)"
			" VALUES ($1, $2, $3, $4, $5, $6)",
			pge_bigint((int64) key_id),
			pge_parameter(TEXTOID, PointerGetDatum(key->name)),
			pge_parameter(JSONBOID, key->required), pge_text(creator),
			pge_text(key->purpose), pge_boolean(key->dual_control));
}

/*
 * Grants to the creator: always admin and, unless the call says otherwise,
 * everything else.  A privilege that admin implies is not granted twice, or it
 * would remain when admin is revoked.  Under dual control no single act may
 * give decrypt.
 */
static void
insert_grants(uint64 key_id, const NewKey *key, Oid creator)
{
	const PgePrivilege privileges[] = {PGE_ADMIN, PGE_ENCRYPT, PGE_DECRYPT,
									   PGE_AUDIT};
	PgeNewGrant grant = {.key_id = key_id,
						 .grantee = creator,
						 .definer = true,
						 .granted_by = GetUserNameFromId(creator, false)};

	for (int i = 0; i < (int) lengthof(privileges); i++)
	{
		grant.privilege = privileges[i];
		if (grant.privilege != PGE_ADMIN && !key->grant_creator)
			continue;
		if (grant.privilege == PGE_DECRYPT && key->dual_control)
			continue;
		pge_insert_grant(&grant);
	}
}

/* Creates a key and returns its id. */
static uint64
create_key(const NewKey *key)
{
	char		provider[PROV_NAME_SIZE];
	char	   *name = text_to_cstring(key->name);
	Oid			creator = GetUserId();
	uint64		key_id;
	PgeNewVersion made;
	PgeWriter	writer;

	pge_choose_provider(key->provider, provider);
	claim_name(key->name);
	key_id = new_key_id();
	pge_seal_version(provider, name, key_id, 1, &made);
	writer = pge_write_begin();
	insert_key(key, key_id, GetUserNameFromId(creator, false));
	pge_insert_version(key_id, 1, &made, PGE_NO_CANARY);
	insert_grants(key_id, key, creator);
	pge_write_end(&writer);
	pge_audit_act(key->function, key_id, name, 1,
				  pge_act_details("provider", provider, "grant_creator",
								  key->grant_creator ? "true" : "false",
								  "dual_control",
								  key->dual_control ? "true" : NULL));
	return key_id;
}

Datum
pgenvelope_create_key(PG_FUNCTION_ARGS)
{
	NewKey		key = {.function = "create_key", .purpose = "data"};

	pge_require_writable("pgenvelope.create_key()");
	pge_refuse_null(PG_ARGISNULL(0), "the name of a key");
	key.name = PG_GETARG_TEXT_PP(0);
	key.provider = pge_getarg_cstring(fcinfo, 1);
	key.required = choose_required_context(fcinfo, 2);
	key.grant_creator = pge_getarg_bool(fcinfo, 3, true);
	key.dual_control = pge_getarg_bool(fcinfo, 4, false);
	PG_RETURN_INT64((int64) create_key(&key));
}

/* Only one per database: two audit keys would make two chains. */
Datum
pgenvelope_create_audit_key(PG_FUNCTION_ARGS)
{
	NewKey		key = {.function = "create_audit_key",
					   .purpose = "audit"};
	PgeProblem	problem;

	pge_require_writable("pgenvelope.create_audit_key()");
	key.provider = pge_getarg_cstring(fcinfo, 0);
	pge_refuse_null(PG_ARGISNULL(1), "the name of a key");
	key.name = PG_GETARG_TEXT_PP(1);
	key.required = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	LockRelationOid(pge_table("key"), RowExclusiveLock);
	LockDatabaseObject(pge_table("audit_log"), 0, 0, ExclusiveLock);
	pge_catalog_begin();
	if (pge_key_of_audit() != NULL)
	{
		pge_problem(&problem, PGE_DUPLICATE,
					"pgenvelope.rotate_key makes a new version of it.",
					"this database has an audit key");
		pge_raise(&problem);
	}
	PG_RETURN_INT64((int64) create_key(&key));
}

Datum
pgenvelope_evict_key(PG_FUNCTION_ARGS)
{
	uint64		key_id = 0;
	char	   *key_name = NULL;
	int			count;

	pge_require_preload();
	pge_acting_begin("evict_key");
	pge_catalog_begin();
	if (!PG_ARGISNULL(0))
	{
		PgeKey	   *key = pge_key_named(PG_GETARG_TEXT_PP(0));

		key_id = key->key_id;
		key_name = pstrdup(key->name);
	}
	count = pge_cache_evict(key_id);
	pge_log_act("evict_key", key_id, key_name, NULL);
	PG_RETURN_INT32(count);
}
