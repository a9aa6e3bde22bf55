/*
 * pge_reseal.c
 *	  pgenvelope.reseal_keys: sealing existing keys again.
 *
 * The KEKs stay the same, so no value changes.  The keeper takes each KEK from
 * the cache, has it sealed, unseals it again and compares; a backend only
 * moves the blobs.  Missing second seals (pge_escrow.c), and those of another
 * provider, are made on the way.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "admin/pge_admin.h"
#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "keys/pge_cache.h"
#include "keys/pge_keys_settings.h"
#include "keys/pge_provider.h"
#include "lifecycle/pge_reseal.h"
#include "lifecycle/pge_version.h"
#include "rights/pge_entitlement.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_reseal_keys);

/*
 * The root key with which a provider seals now, by the provider's name for it.
 */
typedef struct CurrentRoot
{
	char		provider[PROV_NAME_SIZE];
	char		root_key[PROV_ROOT_KEY_MAX];
} CurrentRoot;

/* A run of pgenvelope.reseal_keys. */
typedef struct Run
{
	const char *provider;		/* NULL: the provider of each version */
	bool		from_escrow;	/* take KEKs from their second seals */
	List	   *roots;			/* of CurrentRoot, those met so far */
	int			sealed;
	int			escrowed;		/* second seals */
	int			erased;			/* former seals */
	int			failed;
	PgeProblem	problem;		/* of the first version that failed */
} Run;

/* ---------------------------------------------------------------- */
/* Former seals                                                     */
/* ---------------------------------------------------------------- */

/*
 * The former seal of a version; NULL if there is none, or if this transaction
 * itself has put it there.
 */
static bytea *
find_kept_seal(const PgeKeyVersion *version)
{
	bool		isnull;

	if (pge_run("SELECT sealed_kek FROM pgenvelope.key_seal"
				" WHERE key_id = $1 AND version = $2"
				" AND kept_since < CURRENT_TIMESTAMP",
				pge_bigint((int64) version->key_id),
				pge_integer((int32) version->version)) == 0)
		return NULL;
	return DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Erases a former seal if the provider now opens the current one.  Both must
 * be unchanged: someone may have sealed the key again.
 */
static bool
erase_kept_seal(const PgeKeyVersion *version, bytea *kept, int *erased,
				PgeProblem *problem)
{
	if (!pge_cache_prove(&version->sealed, problem))
		return false;
	*erased += pge_run("DELETE FROM pgenvelope.key_seal AS s"
					   " WHERE key_id = $1 AND version = $2 AND sealed_kek = $3"
					   " AND EXISTS (SELECT FROM pgenvelope.key_version AS v"
					   " WHERE v.key_id = s.key_id AND v.version = s.version"
					   " AND v.sealed_kek = $4)",
					   pge_bigint((int64) version->key_id),
					   pge_integer((int32) version->version),
					   pge_parameter(BYTEAOID, PointerGetDatum(kept)),
					   pge_bytes(version->sealed.sealed.data,
								 version->sealed.sealed.len));
	return true;
}

/* A version in pgenvelope.key_seal. */
typedef struct KeptVersion
{
	uint64		key_id;
	uint16		version;
} KeptVersion;

static List *
list_kept_versions(void)
{
	List	   *found = NIL;
	uint64		count;

	count = pge_write_run("SELECT key_id, version::bigint FROM pgenvelope.key_seal"
						  " WHERE kept_since < CURRENT_TIMESTAMP ORDER BY 1, 2",
						  0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		KeptVersion *kept = palloc(sizeof(KeptVersion));

		kept->key_id = (uint64) pge_row_int((int) i, 1);
		kept->version = (uint16) pge_row_int((int) i, 2);
		found = lappend(found, kept);
	}
	return found;
}

int
pge_reseal_finish(void)
{
	PgeWriter	writer;
	const char *unavailable = "";
	int			erased = 0;
	ListCell   *cell;

	if (RecoveryInProgress() || XactReadOnly)
		return 0;
	pge_require_preload();
	pge_catalog_begin();
	writer = pge_write_begin();
	foreach(cell, list_kept_versions())
	{
		KeptVersion *kept = lfirst(cell);
		PgeKey	   *key = pge_key_by_id(kept->key_id);
		PgeKeyVersion *version =
			key != NULL ? pge_key_version(key, kept->version) : NULL;
		PgeProblem	problem;
		bytea	   *seal;

		/* Do not wait again for a provider that has not answered. */
		if (version == NULL || version->sealed.sealed.len == 0 ||
			strcmp(version->provider, unavailable) == 0)
			continue;
		seal = find_kept_seal(version);
		if (seal != NULL &&
			!erase_kept_seal(version, seal, &erased, &problem) &&
			problem.outcome == PGE_KEY_UNAVAILABLE)
			unavailable = version->provider;
	}
	pge_write_end(&writer);
	return erased;
}

/* ---------------------------------------------------------------- */
/* New seals                                                        */
/* ---------------------------------------------------------------- */

static CurrentRoot *
find_root(Run *run, const char *provider)
{
	ListCell   *cell;

	foreach(cell, run->roots)
	{
		CurrentRoot *root = lfirst(cell);

		if (strcmp(root->provider, provider) == 0)
			return root;
	}
	return NULL;
}

static void
remember_root(Run *run, const char *provider, const char *root_key)
{
	CurrentRoot *root = find_root(run, provider);

	if (root == NULL)
	{
		root = palloc(sizeof(CurrentRoot));
		strlcpy(root->provider, provider, sizeof(root->provider));
		run->roots = lappend(run->roots, root);
	}
	strlcpy(root->root_key, root_key, sizeof(root->root_key));
}

/*
 * Whether the names that a provider gives its root keys tell them apart.  A
 * passphrase makes another key for each seal, and a helper need not give
 * names.
 */
static bool
names_root_keys(const char *provider, const char *root_key)
{
	prov_root	root;

	return root_key[0] != '\0' &&
		pge_find_provider(provider, get_database_name(MyDatabaseId), &root) &&
		root.kind != PROV_PASSPHRASE;
}

/*
 * Whether a seal is known to be by this provider and its current root key, so
 * that no new one is needed.
 */
static bool
is_sealed_by(Run *run, const PgeSealedKek *sealed, const char *provider)
{
	CurrentRoot *root;

	if (strcmp(sealed->provider, provider) != 0)
		return false;

	/*
	 * We cannot know the root key.  If the caller named a provider, the seal
	 * has moved there; otherwise seal again as asked.
	 */
	if (!names_root_keys(provider, sealed->root_key))
		return run->provider != NULL;
	root = find_root(run, provider);
	return root != NULL && strcmp(root->root_key, sealed->root_key) == 0;
}

/*
 * Remembers the provider's root key.  True if the old seal has the same one,
 * so that it can stay.
 */
static bool
is_same_root(Run *run, const PgeSealedKek *sealed, const char *provider,
			 const PgeNewKek *made)
{
	remember_root(run, provider, made->sealed.root_key);
	return is_sealed_by(run, sealed, provider) &&
		names_root_keys(provider, sealed->root_key);
}

/*
 * Makes the second seal if one is wanted and missing.  Call it before
 * replacing the first seal, since that makes the version's row be read again.
 */
static bool
escrow_version(Run *run, const PgeKeyVersion *version, PgeProblem *problem)
{
	PgeEscrowed stored;
	PgeEscrow	escrow;
	bool		found = pge_escrow_find(version, &stored);

	if (pge_escrow_provider[0] == '\0' || run->from_escrow ||
		(found && is_sealed_by(run, &stored.sealed, pge_escrow_provider)))
		return true;
	if (!pge_escrow_seal(&version->sealed, &escrow, problem))
		return false;
	if (found &&
		is_same_root(run, &stored.sealed, escrow.provider, &escrow.seal))
		return true;
	if (!pge_escrow_store(version->key_id, (uint16) version->version, &escrow,
						  problem))
		return false;
	run->escrowed++;
	return true;
}

/* The seal to take the KEK from; false if there is none. */
static bool
find_source(const Run *run, const PgeKeyVersion *version,
			PgeEscrowed *escrowed, const PgeSealedKek **source,
			PgeProblem *problem)
{
	*source = run->from_escrow ? &escrowed->sealed : &version->sealed;
	return !run->from_escrow || pge_escrow_find(version, escrowed) ||
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"The view pgenvelope.keys has the escrow_provider of each version.",
					"key \"%s\" version %d has no second seal",
					version->key->name, (int) version->version);
}

/* Replaces the seal and keeps the old one. */
static void
replace_seal(const PgeKeyVersion *version, const char *provider,
			 const PgeNewKek *made)
{
	PgeParameter key_id = pge_bigint((int64) version->key_id);
	PgeParameter number = pge_integer((int32) version->version);
	PgeParameter former = pge_bytes(version->sealed.sealed.data,
									version->sealed.sealed.len);

	/*
	 * If an older seal is kept already, it is the last one known to open: keep
	 * that.
	 */
	(void) pge_run("INSERT INTO pgenvelope.key_seal"
				   " (key_id, version, provider, sealed_kek, root_key)"
				   " SELECT key_id, version, provider, sealed_kek, root_key"
				   " FROM pgenvelope.key_version"
				   " WHERE key_id = $1 AND version = $2 AND sealed_kek = $3"
				   " ON CONFLICT DO NOTHING",
				   key_id, number, former);

	/* What is stored is the seal that was opened, or nothing is changed. */
	if (pge_run("UPDATE pgenvelope.key_version SET provider = $4,"
				" sealed_kek = $5, root_key = NULLIF($6, '')"
				" WHERE key_id = $1 AND version = $2 AND sealed_kek = $3",
				key_id, number, former, pge_text(provider),
				pge_bytes(made->sealed.bytes, made->sealed.len),
				pge_text(made->sealed.root_key)) != 1)
		pge_snapshot_is_older();

	/* Someone may destroy the old root key at once. */
	ForceSyncCommit();
}

/* Seals one version again if it needs that.  False fills in problem. */
static bool
reseal_version(Run *run, const PgeKeyVersion *version, PgeProblem *problem)
{
	const char *provider = run->provider != NULL ? run->provider :
												   version->provider;
	bytea	   *kept = run->from_escrow ? NULL : find_kept_seal(version);
	bool		opens = true;
	PgeEscrowed escrowed;
	const PgeSealedKek *source;
	PgeNewKek	made;

	/* A KEK whose seal does not open may still be in the cache. */
	if (kept != NULL)
		opens = erase_kept_seal(version, kept, &run->erased, problem);
	if (is_sealed_by(run, &version->sealed, provider))
		return opens;
	if (!find_source(run, version, &escrowed, &source, problem) ||
		!pge_cache_reseal(source, provider, &made, problem))
		return false;
	if (is_same_root(run, &version->sealed, provider, &made))
		return opens;
	if (!pge_is_root_expected(provider, &made, problem))
		return false;
	replace_seal(version, provider, &made);
	run->sealed++;
	return true;
}

static void
reseal_key(Run *run, uint64 key_id)
{
	PgeKey	   *key = pge_key_by_id(key_id);
	ListCell   *cell;

	if (key == NULL)
		return;
	foreach(cell, pge_row_version_numbers(key))
	{
		PgeKeyVersion *version = pge_key_version(key, lfirst_int(cell));
		PgeProblem	problem;
		bool		escrowed;

		/* A destroyed version has no seal. */
		if (version == NULL || version->sealed.sealed.len == 0)
			continue;
		escrowed = escrow_version(run, version, &problem);
		if (reseal_version(run, version, &problem) && escrowed)
			continue;
		if (run->failed++ == 0)
			run->problem = problem;
	}
}

/* ---------------------------------------------------------------- */
/* The function                                                     */
/* ---------------------------------------------------------------- */

static bool
may_administer(PgeKey *key)
{
	return superuser() || pge_key_permits(key, PGE_ADMIN) != NULL;
}

/*
 * The ids of the keys that the caller administers, each locked by name, in the
 * order of names.
 */
static List *
lock_own_keys(void)
{
	List	   *names = pge_row_key_names();
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, names)
	{
		char	   *name = lfirst(cell);
		PgeKey	   *key = pge_key_by_name(name, strlen(name));

		if (key == NULL || !may_administer(key))
			continue;
		pge_lock_key_name((envl_view) {(const uint8 *) name, strlen(name)});
		key = pge_key_by_name(name, strlen(name));
		if (key != NULL && may_administer(key))
		{
			uint64	   *key_id = palloc(sizeof(uint64));

			*key_id = key->key_id;
			found = lappend(found, key_id);
		}
	}
	return found;
}

/*
 * Files requests for the keys under dual control, and returns the other keys.
 * It runs when all keys are locked: a request is an act, and the holder of the
 * audit log's lock must not wait for a key.
 */
static List *
file_requests(FunctionCallInfo fcinfo, List *keys)
{
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, keys)
	{
		uint64	   *key_id = lfirst(cell);
		const PgeKey *key = pge_key_by_id(*key_id);

		if (key != NULL && !pge_request_instead_for(fcinfo, 1, key))
			others = lappend(others, key_id);
	}
	return others;
}

/* Reports what was done and what was not; raises if nothing was. */
static void
report_run(const Run *run)
{
	if (run->erased > 0)
		ereport(NOTICE,
				(errmsg_plural("erased %d former seal, as the new one opens",
							   "erased %d former seals, as the new ones open",
							   run->erased, run->erased)));
	if (run->escrowed > 0)
		ereport(NOTICE,
				(errmsg_plural("sealed %d key version once more, for escrow",
							   "sealed %d key versions once more, for escrow",
							   run->escrowed, run->escrowed)));
	if (run->failed == 0)
		return;
	if (run->sealed == 0 && run->erased == 0 && run->escrowed == 0)
		pge_raise(&run->problem);
	ereport(WARNING,
			(errcode(pge_problem_sqlstate(&run->problem)),
			 errmsg_plural("%d key version was not sealed anew: %s",
						   "%d key versions were not sealed anew, the first: %s",
						   run->failed, run->failed, run->problem.message),
			 run->problem.detail[0] != '\0' ?
				 errdetail_internal("%s", run->problem.detail) :
				 0,
			 errhint("What was done stays done; call pgenvelope.reseal_keys again for the rest.")));
}

/*
 * After a recovery from second seals the lost provider must not stay in use.
 */
static void
refuse_lost_provider(void)
{
	PgeProblem	problem;

	pge_problem(&problem, PGE_BAD_ARGUMENT,
				"For example: SELECT pgenvelope.reseal_keys('new', from_escrow => true).",
				"name the provider that is to seal what is taken from escrow");
	pge_raise(&problem);
}

Datum
pgenvelope_reseal_keys(PG_FUNCTION_ARGS)
{
	char		provider[PROV_NAME_SIZE];
	char	   *key_name = NULL;
	Run			run = {0};
	List	   *keys;
	PgeWriter	writer;
	ListCell   *cell;

	pge_require_writable("pgenvelope.reseal_keys()");
	if (!PG_ARGISNULL(0))
	{
		pge_choose_provider(text_to_cstring(PG_GETARG_TEXT_PP(0)), provider);
		run.provider = provider;
	}
	run.from_escrow = pge_getarg_bool(fcinfo, 2, false);
	if (run.from_escrow && run.provider == NULL)
		refuse_lost_provider();
	if (PG_ARGISNULL(1))
		keys = file_requests(fcinfo, lock_own_keys());
	else
	{
		PgeKey	   *key = pge_key_to_administer(PG_GETARG_TEXT_PP(1),
												PGE_ADMIN);

		if (pge_request_instead(fcinfo, key->key_id))
			PG_RETURN_INT32(0);
		keys = list_make1(&key->key_id);
		key_name = pstrdup(key->name);
	}

	writer = pge_write_begin();
	foreach(cell, keys)
	{
		uint64	   *key_id = lfirst(cell);

		reseal_key(&run, *key_id);
	}
	pge_write_end(&writer);
	report_run(&run);
	pge_audit_act("reseal_keys", 0, key_name, 0,
				  pge_act_details("provider", run.provider, "from_escrow",
								  run.from_escrow ? "true" : NULL, "sealed",
								  psprintf("%d", run.sealed), "failed",
								  psprintf("%d", run.failed)));
	PG_RETURN_INT32(run.sealed);
}
