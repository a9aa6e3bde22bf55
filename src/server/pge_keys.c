/*
 * pge_keys.c
 *	  env_create_key, env_rotate_key, env_grant, env_revoke, env_evict.
 *
 * Rows are written by SQL as the tables' owner, so that constraints hold, the
 * guard trigger lets the writes pass, and what it announces is announced.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pge_compat.h"
#include "pge_context.h"
#include "pge_encoding.h"
#include "pge_guc.h"
#include "pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_create_key);
PG_FUNCTION_INFO_V1(pgenvelope_rotate_key);
PG_FUNCTION_INFO_V1(pgenvelope_grant);
PG_FUNCTION_INFO_V1(pgenvelope_revoke);
PG_FUNCTION_INFO_V1(pgenvelope_evict);

/* ---------------------------------------------------------------- */
/* Writing rows                                                     */
/* ---------------------------------------------------------------- */

/* Who we are while the tables' owner writes. */
typedef struct Writer
{
	Oid			user;
	int			security_context;
	int			nest_level;
} Writer;

static Oid
relation_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Becomes the tables' owner, with nothing of the caller's search path.  An
 * error undoes this as it undoes the transaction.
 */
static Writer
begin_write(void)
{
	Writer		writer;

	GetUserIdAndSecContext(&writer.user, &writer.security_context);
	SetUserIdAndSecContext(relation_owner(pge_table("key")),
						   writer.security_context |
							   SECURITY_LOCAL_USERID_CHANGE);
	writer.nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	return writer;
}

static void
end_write(const Writer *writer)
{
	SPI_finish();
	AtEOXact_GUC(true, writer->nest_level);
	SetUserIdAndSecContext(writer->user, writer->security_context);
}

/* Runs one statement; returns how many rows it wrote. */
static uint64
run(const char *statement, int count, Oid *types, Datum *values,
	const char *nulls)
{
	int			result = SPI_execute_with_args(statement, count, types, values,
											   nulls, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	return SPI_processed;
}

static uint64
insert_grant(uint64 key_id, const char *privilege, Oid role,
			 const char *granted_by)
{
	Oid			types[] = {INT8OID, TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum((int64) key_id), CStringGetTextDatum(privilege),
		ObjectIdGetDatum(role), CStringGetTextDatum(granted_by)};

	return run("INSERT INTO pgenvelope.key_grant"
			   " (key_id, privilege, grantee, granted_by)"
			   " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			   lengthof(types), types, values, NULL);
}

static Datum
bytea_datum(const uint8 *bytes, size_t len)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes,
													(int) len));
}

/*
 * A root key in a file has one fingerprint.  If another one has sealed what is
 * stored, that one is missing, and new keys under this one would hide it.
 */
static void
refuse_other_root(const char *provider, const PgeNewKek *made)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(provider),
							CStringGetTextDatum(made->sealed.root_key)};
	prov_root	root;
	PgeProblem	problem;

	if (!pge_find_provider(provider, get_database_name(MyDatabaseId), &root) ||
		root.kind != PROV_FILE)
		return;
	if (run("SELECT root_key FROM pgenvelope.key_version WHERE provider = $1"
			" AND root_key <> $2 AND sealed_kek IS NOT NULL LIMIT 1",
			lengthof(types), types, values, NULL) == 0)
		return;
	pge_problem(&problem, PGE_PROVIDER,
				"Bring that root key back, or list this one by another name.",
				"provider \"%s\" has root key %s, but keys of this database are sealed by root key %.*s",
				provider, made->sealed.root_key, 2 * ENVL_FINGERPRINT_LEN,
				SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	pge_raise(&problem);
}

static void
insert_version(uint64 key_id, uint16 version, const char *provider,
			   const PgeNewKek *made)
{
	Oid			types[] = {INT8OID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID,
						   TEXTOID};
	Datum		values[] = {
		Int64GetDatum((int64) key_id), Int32GetDatum(version),
		CStringGetTextDatum(provider),
		bytea_datum(made->sealed.bytes, made->sealed.len),
		bytea_datum(made->kcv, ENVL_KCV_LEN),
		CStringGetTextDatum(made->sealed.root_key)};

	refuse_other_root(provider, made);
	run("INSERT INTO pgenvelope.key_version (key_id, version, state, provider,"
		" sealed_kek, kcv, root_key, activated_at)"
		" VALUES ($1, $2, 'active', $3, $4, $5, NULLIF($6, ''),"
		" CURRENT_TIMESTAMP)",
		lengthof(types), types, values, NULL);

	/* No value may outlive its key: not even with synchronous_commit off. */
	ForceSyncCommit();
}

/* ---------------------------------------------------------------- */
/* Checks                                                           */
/* ---------------------------------------------------------------- */

/* Nothing that follows may be undone by a lost commit or a standby. */
static void
require_writable(const char *function)
{
	pge_require_preload();
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	pge_catalog_begin();
}

/*
 * Has whoever would create or change a key of this name wait for the end of
 * this transaction, and whoever would drop the tables.  Not the whole table: a
 * right can be revoked while somebody waits for a provider with another key.
 */
static void
lock_key_name(envl_view name)
{
	Oid			table = pge_table("key");

	LockRelationOid(table, RowExclusiveLock);
	LockDatabaseObject(table, hash_bytes(name.data, (int) name.len), 0,
					   ExclusiveLock);
	pge_catalog_begin();
}

/*
 * A key by name, locked against everybody else who would change it, for
 * somebody who administers it.  Superusers may administer any key,
 * or nobody could after a restore into other roles.
 */
static PgeKey *
key_to_administer(text *name)
{
	envl_view	wanted = pge_varlena_view(name);
	PgeKey	   *key;
	PgeProblem	problem;

	lock_key_name(wanted);
	key = pge_key_by_name((const char *) wanted.data, wanted.len);
	if (key == NULL)
	{
		pge_problem(&problem, PGE_KEY_NOT_FOUND,
					"The view pgenvelope.keys lists the keys.",
					"key \"%.*s\" does not exist",
					pge_shown_len(wanted, ENVL_KEY_NAME_MAX),
					(const char *) wanted.data);
		pge_raise(&problem);
	}
	if (!superuser() && !pge_require_privilege(key, PGE_ADMIN, &problem))
		pge_raise(&problem);
	return key;
}

/*
 * Keys are found as they are now, but written as this transaction sees them,
 * which under REPEATABLE READ may be as they were.
 */
static void
snapshot_is_older(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a concurrent change of keys")));
}

/* Refuses to write to a key that this transaction's snapshot does not have. */
static void
require_visible(uint64 key_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum((int64) key_id)};

	if (run("SELECT FROM pgenvelope.key WHERE key_id = $1", 1, types, values,
			NULL) == 0)
		snapshot_is_older();
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

/* The provider asked for, or the default one; either must be listed. */
static void
choose_provider(const char *asked, char *provider)
{
	char	   *database = get_database_name(MyDatabaseId);
	envl_view	wanted;
	prov_root	root;
	PgeProblem	problem;

	if (asked != NULL)
		strlcpy(provider, asked, PROV_NAME_SIZE);
	else if (!pge_default_provider(database, provider))
	{
		pge_problem(&problem, PGE_PROVIDER,
					"Set pgenvelope.providers, for example to 'main=file:///etc/pgenvelope/root.key', and reload.",
					"no key provider is configured for this database");
		pge_raise(&problem);
	}
	wanted.data = (const uint8 *) (asked != NULL ? asked : provider);
	wanted.len = strlen((const char *) wanted.data);
	if (strcmp((const char *) wanted.data, provider) != 0 ||
		!pge_find_provider(provider, database, &root))
	{
		pge_problem(&problem, PGE_PROVIDER,
					"The setting pgenvelope.providers lists the providers and their databases.",
					"key provider \"%.*s\" is not configured for this database",
					pge_shown_len(wanted, PROV_NAME_SIZE - 1),
					(const char *) wanted.data);
		pge_raise(&problem);
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

/* ---------------------------------------------------------------- */
/* Keys                                                             */
/* ---------------------------------------------------------------- */

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
	char		provider[PROV_NAME_SIZE];
	char	   *creator = GetUserNameFromId(GetUserId(), false);
	Oid			creator_id = GetUserId();
	Datum		required;
	uint64		key_id;
	PgeNewKek	made;
	Writer		writer;
	PgeProblem	problem;

	require_writable("env_create_key()");
	if (PG_ARGISNULL(0))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"the name of a key must not be null");
		pge_raise(&problem);
	}
	name = PG_GETARG_TEXT_PP(0);
	check_key_name(name);
	cname = text_to_cstring(name);
	choose_provider(PG_ARGISNULL(1) ? NULL :
									  text_to_cstring(PG_GETARG_TEXT_PP(1)),
					provider);
	required = choose_required_context(fcinfo, 2);

	lock_key_name(pge_varlena_view(name));
	if (pge_key_by_name(cname, strlen(cname)) != NULL)
	{
		pge_problem(&problem, PGE_DUPLICATE,
					"env_rotate_key makes a new version of a key.",
					"key \"%s\" already exists", cname);
		pge_raise(&problem);
	}
	key_id = new_key_id();
	pge_cache_seal(provider, cname, key_id, 1, &made);

	writer = begin_write();
	{
		Oid			types[] = {INT8OID, TEXTOID, JSONBOID, TEXTOID};
		Datum		values[] = {
			Int64GetDatum((int64) key_id), PointerGetDatum(name), required,
			CStringGetTextDatum(creator)};

		run("INSERT INTO pgenvelope.key (key_id, name, required_context,"
			" created_by) VALUES ($1, $2, $3, $4)",
			lengthof(types), types, values, NULL);
	}
	insert_version(key_id, 1, provider, &made);
	insert_grant(key_id, "admin", creator_id, creator);
	if (PG_ARGISNULL(3) || PG_GETARG_BOOL(3))
	{
		insert_grant(key_id, "encrypt", creator_id, creator);
		insert_grant(key_id, "decrypt", creator_id, creator);
		insert_grant(key_id, "rewrap", creator_id, creator);
	}
	end_write(&writer);
	PG_RETURN_INT64((int64) key_id);
}

Datum
pgenvelope_rotate_key(PG_FUNCTION_ARGS)
{
	PgeKey	   *key;
	PgeKeyVersion *active;
	char		provider[PROV_NAME_SIZE];
	char		name[ENVL_KEY_NAME_MAX + 1];
	uint64		key_id;
	int32		next;
	PgeNewKek	made;
	Writer		writer;
	PgeProblem	problem;
	Oid			types[] = {INT8OID};
	Datum		values[1];
	bool		isnull;

	require_writable("env_rotate_key()");
	key = key_to_administer(PG_GETARG_TEXT_PP(0));
	active = pge_key_active(key);
	key_id = key->key_id;
	strlcpy(name, key->name, sizeof(name));

	/* The new version stays with the provider of the old one. */
	choose_provider(active != NULL ? active->provider : NULL, provider);

	writer = begin_write();
	require_visible(key_id);
	values[0] = Int64GetDatum((int64) key_id);
	run("SELECT max(version) FROM pgenvelope.key_version WHERE key_id = $1",
		1, types, values, NULL);
	next = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull)
	{
		/* Stored values may bear the numbers of versions that are missing. */
		pge_problem(&problem, PGE_KEY_NOT_FOUND,
					"Restore its rows of pgenvelope.key_version.",
					"key \"%s\" has no versions", name);
		pge_raise(&problem);
	}
	next++;
	if (next > UINT16_MAX)
	{
		pge_problem(&problem, PGE_LIMIT, "Create another key.",
					"key \"%s\" has no version numbers left", name);
		pge_raise(&problem);
	}
	pge_cache_seal(provider, name, key_id, (uint16) next, &made);
	run("UPDATE pgenvelope.key_version SET state = 'deactivated',"
		" deactivated_at = CURRENT_TIMESTAMP"
		" WHERE key_id = $1 AND state = 'active'",
		1, types, values, NULL);
	insert_version(key_id, (uint16) next, provider, &made);
	end_write(&writer);
	PG_RETURN_INT32(next);
}

/* ---------------------------------------------------------------- */
/* Rights                                                           */
/* ---------------------------------------------------------------- */

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

Datum
pgenvelope_grant(PG_FUNCTION_ARGS)
{
	char	   *privilege;
	PgeKey	   *key;
	Writer		writer;
	uint64		granted;
	PgeProblem	problem;

	require_writable("env_grant()");
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
	key = key_to_administer(PG_GETARG_TEXT_PP(0));
	{
		uint64		key_id = key->key_id;
		char	   *grantor = GetUserNameFromId(GetUserId(), false);

		writer = begin_write();
		require_visible(key_id);
		granted = insert_grant(key_id, privilege, PG_GETARG_OID(2), grantor);
		end_write(&writer);
	}
	PG_RETURN_BOOL(granted > 0);
}

Datum
pgenvelope_revoke(PG_FUNCTION_ARGS)
{
	Oid			types[] = {INT8OID, TEXTOID, OIDOID};
	Datum		values[3];
	char	   *privilege;
	PgeKey	   *key;
	Writer		writer;
	uint64		revoked;
	bool		granted;

	require_writable("env_revoke()");
	privilege = check_privilege(PG_GETARG_TEXT_PP(1));
	key = key_to_administer(PG_GETARG_TEXT_PP(0));
	values[0] = Int64GetDatum((int64) key->key_id);
	values[1] = CStringGetTextDatum(privilege);
	values[2] = PG_GETARG_DATUM(2);
	granted = is_granted(key, privilege, PG_GETARG_OID(2));
	writer = begin_write();
	revoked = run("DELETE FROM pgenvelope.key_grant WHERE key_id = $1"
				  " AND privilege = $2 AND grantee = $3",
				  lengthof(types), types, values, NULL);

	/* It must not seem that there was nothing to revoke. */
	if (revoked == 0 && granted)
		snapshot_is_older();
	end_write(&writer);
	PG_RETURN_BOOL(revoked > 0);
}

Datum
pgenvelope_evict(PG_FUNCTION_ARGS)
{
	uint64		key_id = 0;

	pge_require_preload();
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
	}
	PG_RETURN_INT32(pge_cache_evict(key_id));
}
