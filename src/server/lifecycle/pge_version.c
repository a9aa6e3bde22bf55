/*
 * pge_version.c
 *	  Making key versions, and moving them from state to state.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "admin/pge_admin.h"
#include "admin/pge_request.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "keys/pge_cache.h"
#include "keys/pge_provider.h"
#include "lifecycle/pge_version.h"
#include "value/pge_value.h"

/* Chooses the provider asked for, or the default one; it must be listed. */
void
pge_choose_provider(const char *asked, char *provider)
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

/*
 * A root key in a file has one fingerprint.  If another one has sealed what is
 * stored, the file holds the wrong root key, and new keys under it would hide
 * that.
 */
bool
pge_is_root_expected(const char *provider, const PgeNewKek *made,
					 PgeProblem *problem)
{
	prov_root	root;
	char	   *other;

	if (!pge_find_provider(provider, get_database_name(MyDatabaseId), &root) ||
		root.kind != PROV_FILE)
		return true;
	if (pge_run("SELECT root_key FROM (SELECT provider, root_key"
				" FROM pgenvelope.key_version WHERE sealed_kek IS NOT NULL"
				" UNION ALL SELECT provider, root_key"
				" FROM pgenvelope.key_escrow) AS s"
				" WHERE provider = $1 AND root_key <> $2 LIMIT 1",
				pge_text(provider), pge_text(made->sealed.root_key)) == 0)
		return true;
	other = pge_row_text(0, 1);
	return pge_problem(problem, PGE_PROVIDER,
					   "Bring that root key back, or list this one by another name.",
					   "provider \"%s\" has root key %s, but keys of this database are sealed by root key %.*s",
					   provider, made->sealed.root_key,
					   2 * ENVL_FINGERPRINT_LEN, other);
}

void
pge_seal_version(const char *provider, const char *key_name, uint64 key_id,
				 uint16 version, PgeNewVersion *made)
{
	PgeSealedKek kek = {.key_name = key_name, .key_id = key_id};

	strlcpy(made->provider, provider, PROV_NAME_SIZE);
	pge_cache_seal(provider, key_name, key_id, version, &made->seal);
	kek.version = version;
	kek.provider = made->provider;
	pge_escrow_seal_new(&kek, &made->seal, &made->escrow);
}

void
pge_insert_version(uint64 key_id, uint16 version, const PgeNewVersion *made,
				   int canary_percent)
{
	bool		canary = canary_percent != PGE_NO_CANARY;
	PgeProblem	problem;

	if (!pge_is_root_expected(made->provider, &made->seal, &problem))
		pge_raise(&problem);
	pge_run("INSERT INTO pgenvelope.key_version (key_id, version, state,"
			" provider,"
			" sealed_kek, kcv, root_key, canary_percent, activated_at)"
			" VALUES ($1, $2, $7, $3, $4, $5, NULLIF($6, ''), $8,"
			" CASE $7 WHEN 'active' THEN clock_timestamp() END)",
			pge_bigint((int64) key_id), pge_integer(version),
			pge_text(made->provider),
			pge_bytes(made->seal.sealed.bytes, made->seal.sealed.len),
			pge_bytes(made->seal.kcv, ENVL_KCV_LEN),
			pge_text(made->seal.sealed.root_key),
			pge_text(canary ? "pre_active" : "active"),
			pge_unless(!canary, pge_integer(canary_percent)));
	if (!pge_escrow_store(key_id, version, &made->escrow, &problem))
		pge_raise(&problem);

	/* No value may outlive its key, not even with synchronous_commit off. */
	ForceSyncCommit();
}

/* ---------------------------------------------------------------- */
/* Changing versions                                                */
/* ---------------------------------------------------------------- */

/* The row versions of a key's versions in a snapshot, as text. */
static char *
read_versions(uint64 key_id, Snapshot snapshot)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum((int64) key_id);
	SPIPlanPtr	plan;
	char	   *rows;

	plan = SPI_prepare("SELECT coalesce(string_agg(ctid || ':' || xmin, ' '"
					   " ORDER BY version), '')"
					   " FROM pgenvelope.key_version WHERE key_id = $1",
					   1, &type);
	if (plan == NULL ||
		SPI_execute_snapshot(plan, &value, NULL, snapshot, InvalidSnapshot,
							 true, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the versions of a key");
	rows = pge_row_text(0, 1);
	SPI_freeplan(plan);
	return rows;
}

/*
 * Refuses an old snapshot: the transaction would decide by outdated states,
 * and could reuse a version number that another transaction has taken.
 */
static void
require_current(uint64 key_id)
{
	pge_require_visible(key_id);
	if (IsolationUsesXactSnapshot() &&
		strcmp(read_versions(key_id, GetTransactionSnapshot()),
			   read_versions(key_id, GetLatestSnapshot())) != 0)
		pge_snapshot_is_older();
}

void
pge_change_begin(const char *function, PgePrivilege privilege, text *name,
				 PgeChange *change)
{
	PgeKey	   *key;
	PgeKeyVersion *active;
	PgeKeyVersion *pre_active;

	pge_require_writable(function);
	pge_refuse_null(name == NULL, "the name of a key");
	key = pge_key_to_administer(name, privilege);
	active = pge_key_active(key);
	pre_active = pge_key_pre_active(key);
	memset(change, 0, sizeof(*change));
	change->key_id = key->key_id;
	strlcpy(change->name, key->name, sizeof(change->name));
	change->role = GetUserNameFromId(GetUserId(), false);
	if (active != NULL)
	{
		change->active = (int) active->version;
		strlcpy(change->provider, active->provider, PROV_NAME_SIZE);
	}
	if (pre_active != NULL)
		change->pre_active = (int) pre_active->version;
	change->writer = pge_write_begin();
	require_current(change->key_id);
}

void
pge_change_end(const PgeChange *change)
{
	pge_write_end(&change->writer);
}

PgeState
pge_change_state(const PgeChange *change, int version)
{
	PgeProblem	problem;

	if (pge_run("SELECT state FROM pgenvelope.key_version"
				" WHERE key_id = $1 AND version = $2",
				pge_bigint((int64) change->key_id), pge_integer(version)) == 0)
	{
		pge_problem(&problem, PGE_KEY_NOT_FOUND,
					"The view pgenvelope.keys lists the versions.",
					"key \"%s\" has no version %d", change->name, version);
		pge_raise(&problem);
	}
	return pge_state_parse(pge_row_text(0, 1));
}

void
pge_refuse_state(const PgeChange *change, int version, PgeState state,
				 const char *hint)
{
	PgeProblem	problem;

	pge_problem(&problem, PGE_NOT_READY, hint, "version %d of key \"%s\" is %s",
				version, change->name, pge_state_name(state));
	pge_raise(&problem);
}

void
pge_change_move(const PgeChange *change, int version, PgeState state,
				int canary_percent)
{
	if (pge_run("UPDATE pgenvelope.key_version"
				" SET state = $3, canary_percent = $4,"
				" activated_at = CASE $3 WHEN 'active' THEN clock_timestamp()"
				"  ELSE activated_at END,"
				" deactivated_at = CASE WHEN $3 IN ('pre_active', 'active') THEN NULL"
				"  WHEN state IN ('pre_active', 'active') THEN clock_timestamp()"
				"  ELSE deactivated_at END,"
				" retired_at = CASE $3 WHEN 'retired' THEN clock_timestamp()"
				"  WHEN 'destroyed' THEN retired_at END,"
				" destroyed_at = CASE $3 WHEN 'destroyed' THEN clock_timestamp() END,"
				" sealed_kek = CASE WHEN $3 <> 'destroyed' THEN sealed_kek END"
				" WHERE key_id = $1 AND version = $2",
				pge_bigint((int64) change->key_id), pge_integer(version),
				pge_text(pge_state_name(state)),
				pge_unless(state != PGE_STATE_PRE_ACTIVE,
						   pge_integer(canary_percent))) != 1)
		pge_snapshot_is_older();

	/*
	 * A version that encrypts again is needed again, whatever was proved
	 * before.
	 */
	if (state == PGE_STATE_ACTIVE)
		pge_run("DELETE FROM pgenvelope.key_proof"
				" WHERE key_id = $1 AND version = $2",
				pge_bigint((int64) change->key_id), pge_integer(version));
	ForceSyncCommit();
}

bool
pge_change_awaits_approval(FunctionCallInfo fcinfo, const PgeChange *change)
{
	if (!pge_request_needed(fcinfo, change->key_id))
		return false;
	pge_change_end(change);
	return pge_request_instead(fcinfo, change->key_id);
}
