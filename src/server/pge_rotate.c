/*
 * pge_rotate.c
 *	  env_rotate_key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "pge_compat.h"
#include "pge_version.h"
#include "pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_rotate_key);

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
	PgeWriter	writer;
	PgeProblem	problem;
	Oid			types[] = {INT8OID};
	Datum		values[1];
	bool		isnull;

	pge_require_writable("env_rotate_key()");
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0));
	active = pge_key_active(key);
	key_id = key->key_id;
	strlcpy(name, key->name, sizeof(name));

	/* The new version stays with the provider of the old one. */
	pge_choose_provider(active != NULL ? active->provider : NULL, provider);

	writer = pge_write_begin();
	pge_require_visible(key_id);
	values[0] = Int64GetDatum((int64) key_id);
	pge_write_run("SELECT max(version) FROM pgenvelope.key_version WHERE key_id = $1",
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
	pge_write_run("UPDATE pgenvelope.key_version SET state = 'deactivated',"
				  " deactivated_at = CURRENT_TIMESTAMP"
				  " WHERE key_id = $1 AND state = 'active'",
				  1, types, values, NULL);
	pge_insert_version(key_id, (uint16) next, provider, &made);
	pge_write_end(&writer);
	PG_RETURN_INT32(next);
}
