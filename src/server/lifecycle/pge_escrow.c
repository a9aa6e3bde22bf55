/*
 * pge_escrow.c
 *	  A second seal of every KEK, by pgenvelope.escrow_provider.
 *
 * The keeper takes the KEK from the cache, has it sealed, unseals it again and
 * compares, as for pgenvelope.reseal_keys; a backend only moves the blobs.
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

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "catalog/pge_spi.h"
#include "keys/pge_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_provider.h"
#include "lifecycle/pge_escrow.h"
#include "lifecycle/pge_version.h"
#include "value/pge_value.h"

static bool
choose_provider(char *provider, PgeProblem *problem)
{
	prov_root	root;

	strlcpy(provider, pge_escrow_provider, PROV_NAME_SIZE);
	return provider[0] == '\0' ||
		pge_find_provider(pge_escrow_provider, get_database_name(MyDatabaseId),
						  &root) ||
		pge_problem(problem, PGE_PROVIDER,
					"The setting pgenvelope.providers lists the providers and their databases.",
					"escrow provider \"%s\" is not configured for this database",
					provider);
}

bool
pge_escrow_seal(const PgeSealedKek *kek, PgeEscrow *escrow,
				PgeProblem *problem)
{
	if (!choose_provider(escrow->provider, problem))
		return false;
	return escrow->provider[0] == '\0' ||
		pge_cache_reseal(kek, escrow->provider, &escrow->seal, problem);
}

void
pge_escrow_seal_new(const PgeSealedKek *kek, const PgeNewKek *made,
					PgeEscrow *escrow)
{
	PgeSealedKek sealed = *kek;
	PgeProblem	problem;

	sealed.root_key = made->sealed.root_key;
	sealed.sealed = (envl_view) {made->sealed.bytes, made->sealed.len};
	sealed.kcv = made->kcv;
	if (envl_kek_digest(sealed.key_id, sealed.version, sealed.sealed,
						sealed.digest) != ENVL_OK)
		elog(ERROR, "could not compute SHA-256");
	if (!pge_escrow_seal(&sealed, escrow, &problem))
		pge_raise(&problem);
}

bool
pge_escrow_store(uint64 key_id, uint16 version, const PgeEscrow *escrow,
				 PgeProblem *problem)
{
	const prov_sealed *sealed = &escrow->seal.sealed;

	if (escrow->provider[0] == '\0')
		return true;
	if (!pge_is_root_expected(escrow->provider, &escrow->seal, problem))
		return false;
	pge_run("INSERT INTO pgenvelope.key_escrow"
			" (key_id, version, provider, sealed_kek, root_key)"
			" VALUES ($1, $2, $3, $4, NULLIF($5, ''))"
			" ON CONFLICT (key_id, version) DO UPDATE SET"
			" provider = EXCLUDED.provider,"
			" sealed_kek = EXCLUDED.sealed_kek,"
			" root_key = EXCLUDED.root_key,"
			" sealed_at = EXCLUDED.sealed_at",
			pge_bigint((int64) key_id), pge_integer(version),
			pge_text(escrow->provider),
			pge_bytes(sealed->bytes, sealed->len), pge_text(sealed->root_key));
	ForceSyncCommit();
	return true;
}

bool
pge_escrow_find(const PgeKeyVersion *version, PgeEscrowed *escrowed)
{
	PgeSealedKek *sealed = &escrowed->sealed;
	bytea	   *bytes;
	bool		isnull;

	if (pge_run("SELECT sealed_kek, provider, coalesce(root_key, '')"
				" FROM pgenvelope.key_escrow"
				" WHERE key_id = $1 AND version = $2",
				pge_bigint((int64) version->key_id),
				pge_integer((int32) version->version)) == 0)
		return false;
	bytes = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1, &isnull));
	strlcpy(escrowed->provider, pge_row_text(0, 2), PROV_NAME_SIZE);
	strlcpy(escrowed->root_key, pge_row_text(0, 3), PROV_ROOT_KEY_MAX);
	*sealed = version->sealed;
	sealed->provider = escrowed->provider;
	sealed->root_key = escrowed->root_key;
	sealed->sealed = pge_varlena_view(bytes);
	if (envl_kek_digest(version->key_id, version->version, sealed->sealed,
						sealed->digest) != ENVL_OK)
		elog(ERROR, "could not compute SHA-256");
	return true;
}
