/*
 * pge_version.c
 *	  Making key versions: a KEK sealed by a provider, and its row.
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

#include "pge_compat.h"
#include "pge_encoding.h"
#include "pge_guc.h"
#include "pge_value.h"
#include "pge_version.h"
#include "pge_write.h"

/* The provider asked for, or the default one; either must be listed. */
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
	if (pge_write_run("SELECT root_key FROM pgenvelope.key_version WHERE provider = $1"
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

void
pge_insert_version(uint64 key_id, uint16 version, const char *provider,
				   const PgeNewKek *made)
{
	Oid			types[] = {INT8OID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID,
						   TEXTOID};
	Datum		values[] = {
		Int64GetDatum((int64) key_id), Int32GetDatum(version),
		CStringGetTextDatum(provider),
		pge_bytea_datum(made->sealed.bytes, made->sealed.len),
		pge_bytea_datum(made->kcv, ENVL_KCV_LEN),
		CStringGetTextDatum(made->sealed.root_key)};

	refuse_other_root(provider, made);
	pge_write_run("INSERT INTO pgenvelope.key_version (key_id, version, state, provider,"
				  " sealed_kek, kcv, root_key, activated_at)"
				  " VALUES ($1, $2, 'active', $3, $4, $5, NULLIF($6, ''),"
				  " CURRENT_TIMESTAMP)",
				  lengthof(types), types, values, NULL);

	/* No value may outlive its key: not even with synchronous_commit off. */
	ForceSyncCommit();
}
