/*
 * pge_destroy.c
 *	  pgenvelope.destroy_key: erasing every seal of a version that this
 *	  database has.
 *
 * Nothing brings the version back.  So the caller types its name twice, and
 * the version must have been retired for a while without being missed, or the
 * caller says "shred".  The data are gone only when all copies elsewhere are;
 * the function lists what may still hold one.
 *
 * The unsealed KEK must go too.  It is evicted when the transaction commits,
 * and again after the other sessions have received the invalidation.  Between
 * the two, a session may have unsealed it again from the old row.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "keys/pge_cache.h"
#include "lifecycle/pge_destroy.h"
#include "lifecycle/pge_lifecycle_settings.h"
#include "lifecycle/pge_retire.h"
#include "rewrap/pge_job.h"

PG_FUNCTION_INFO_V1(pgenvelope_destroy_key);

/* ---------------------------------------------------------------- */
/* Evicting                                                         */
/* ---------------------------------------------------------------- */

/* Keys with versions that this transaction destroys; in TopMemoryContext. */
static uint64 *destroyed;
static int	destroyed_count;
static int	destroyed_room;
static bool committed;

static void
evict_at_commit(uint64 key_id)
{
	if (destroyed_count == destroyed_room)
	{
		int			room = Max(destroyed_room * 2, 8);

		if (destroyed == NULL)
			destroyed = MemoryContextAlloc(TopMemoryContext,
										   room * sizeof(uint64));
		else
			destroyed = repalloc(destroyed, room * sizeof(uint64));
		destroyed_room = room;
	}
	destroyed[destroyed_count++] = key_id;
}

static void
evict_destroyed(void)
{
	pge_destructions_bump();
	for (int i = 0; i < destroyed_count; i++)
		(void) pge_cache_evict(destroyed[i]);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (destroyed_count == 0)
		return;
	if (event == XACT_EVENT_PRE_PREPARE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has destroyed a version of a key")));
	if (event == XACT_EVENT_COMMIT)
	{
		evict_destroyed();
		committed = true;
	}
	else if (event == XACT_EVENT_ABORT)
		destroyed_count = 0;
}

/* By now the other sessions have received the invalidation. */
static void
at_resource_release(ResourceReleasePhase phase, bool is_commit,
					bool is_top_level, void *arg)
{
	if (!committed || !is_top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	evict_destroyed();
	committed = false;
	destroyed_count = 0;
}

void
pge_destroy_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterResourceReleaseCallback(at_resource_release, NULL);
}

/* ---------------------------------------------------------------- */
/* What may still hold a copy                                       */
/* ---------------------------------------------------------------- */

/*
 * Run before the seals are erased.  $1 is the key, $2 the version, null for
 * all.
 */
#define PROVIDERS \
	"SELECT DISTINCT 'provider', format('root key %s of provider \"%s\"" \
	" unseals any copy', coalesce(root_key, '(not named)'), provider)" \
	" FROM (SELECT provider, root_key FROM pgenvelope.key_version" \
	"  WHERE key_id = $1 AND coalesce(version = $2, true)" \
	"  AND sealed_kek IS NOT NULL" \
	"  UNION SELECT provider, root_key FROM pgenvelope.key_seal" \
	"  WHERE key_id = $1 AND coalesce(version = $2, true)" \
	"  UNION SELECT provider, root_key FROM pgenvelope.key_escrow" \
	"  WHERE key_id = $1 AND coalesce(version = $2, true)) AS seals" \
	" ORDER BY 2"

static const char *const holders[] = {
	"SELECT 'sessions', 'a session that has used the key holds it in memory"
	" until it next uses a key, or ends'",

	"SELECT 'table', 'dead rows of pgenvelope.key_version, key_seal and"
	" key_escrow, until VACUUM and until their pages are reused'",

	"SELECT 'WAL', 'this server''s WAL up to '"
	" || pg_current_wal_insert_lsn() || ', until it is recycled'",

	"SELECT 'archive', CASE WHEN last_archived_wal IS NULL"
	" THEN 'the WAL archive, archive_mode = '"
	" || current_setting('archive_mode')"
	" ELSE 'the WAL archive, which has WAL up to file '"
	" || last_archived_wal END"
	" FROM pg_stat_archiver"
	" WHERE current_setting('archive_mode') <> 'off'"
	" OR last_archived_wal IS NOT NULL",

	"SELECT 'standby', format('standby \"%s\"%s, until it has replayed %s',"
	" application_name, ' at ' || host(client_addr),"
	" pg_current_wal_insert_lsn()) FROM pg_stat_replication ORDER BY 2",

	"SELECT 'slot', format('replication slot \"%s\" keeps WAL from %s',"
	" slot_name, coalesce(restart_lsn::text, '(nowhere)'))"
	" FROM pg_replication_slots ORDER BY 2",

	"SELECT DISTINCT 'subscribers', format('publication \"%s\" sends table"
	" %s.%s', pubname, schemaname, tablename) FROM pg_publication_tables"
	" WHERE schemaname = 'pgenvelope'"
	" AND tablename IN ('key_version', 'key_seal', 'key_escrow')"
	" ORDER BY 2",

	"SELECT 'backups', 'base backups, snapshots and dumps of this database of"
	" before ' || clock_timestamp()",
};

static void
report_copies(FunctionCallInfo fcinfo, uint64 count)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	for (uint64 row = 0; row < count; row++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		for (int i = 0; i < 2; i++)
			values[i] = CStringGetTextDatum(pge_row_text((int) row, i + 1));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

/* ---------------------------------------------------------------- */
/* Destroying                                                       */
/* ---------------------------------------------------------------- */

static void
check_confirmation(const PgeChange *change, const int32 *version,
				   text *confirm)
{
	char	   *expected = version != NULL ?
		psprintf("%s/%d", change->name, *version) :
		psprintf("%s/all", change->name);
	PgeProblem	problem;

	if (confirm != NULL &&
		strcmp(text_to_cstring(confirm), expected) == 0)
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT,
				"Destroying cannot be undone: give the key's name, a slash and the version, or \"all\", as confirm.",
				"the confirmation does not name what would be destroyed");
	pge_raise(&problem);
}

/* When the version has been retired for long enough; NULL if it has. */
static char *
find_earliest(const PgeChange *change, int version)
{
	if (pge_run("SELECT retired_at + make_interval(secs => $3)"
				" FROM pgenvelope.key_version"
				" WHERE key_id = $1 AND version = $2 AND"
				" retired_at + make_interval(secs => $3) > clock_timestamp()",
				pge_bigint((int64) change->key_id), pge_integer(version),
				pge_integer(pge_destroy_after)) == 0)
		return NULL;
	return pge_row_text(0, 1);
}

static void
require_not_needed(const PgeChange *change, int version, PgeState state)
{
	char	   *needed;
	char	   *from;

	if (state != PGE_STATE_RETIRED)
		pge_refuse_state(change, version, state,
						 "Retire it with pgenvelope.retire_key, or destroy it with shred => true.");
	from = find_earliest(change, version);
	if (from != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of key \"%s\" has not been retired for long enough",
						version, change->name),
				 errdetail("It can be destroyed from %s on.", from),
				 errhint("See pgenvelope.destroy_after.")));
	needed = pge_still_needed(change, version);
	if (needed != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of key \"%s\" may still be needed",
						version, change->name),
				 errdetail("%s", needed),
				 errhint("pgenvelope.start_rewrap proves that it is not.")));
}

/* Warns of what is lost with a version that is not proved to be unneeded. */
static void
warn_of_loss(const PgeChange *change, int version)
{
	char	   *needed = pge_still_needed(change, version);

	ereport(WARNING,
			(errmsg("values that need version %d of key \"%s\" are lost for good",
					version, change->name),
			 needed != NULL ? errdetail("%s", needed) : 0,
			 version == change->active ?
				 errhint("The key has no active version from now on: pgenvelope.activate_key or pgenvelope.rotate_key gives it one.") :
				 0));
}

static void
erase_seals(const PgeChange *change, int version)
{
	PgeParameter key_id = pge_bigint((int64) change->key_id);
	int			target;
	int64		job;

	pge_change_move(change, version, PGE_STATE_DESTROYED, 0);
	pge_run("DELETE FROM pgenvelope.key_seal"
			" WHERE key_id = $1 AND version = $2",
			key_id, pge_integer(version));
	pge_run("DELETE FROM pgenvelope.key_escrow"
			" WHERE key_id = $1 AND version = $2",
			key_id, pge_integer(version));
	job = pge_job_live(change->key_id, &target);
	if (job != 0 && target == version)
		(void) pge_job_cancel(job,
							  psprintf("version %d was destroyed", version));
}

static void
destroy_one(const PgeChange *change, int version, bool shred)
{
	PgeState	state = pge_change_state(change, version);

	if (state == PGE_STATE_DESTROYED)
		pge_refuse_state(change, version, state, NULL);
	if (shred)
		warn_of_loss(change, version);
	else
		require_not_needed(change, version, state);
	erase_seals(change, version);
	pge_log_change(change, version,
				   shred ? "was destroyed, shredded," : "was destroyed");
}

/* Destroys a tenant's key: all versions, in any state. */
static void
destroy_all(const PgeChange *change, bool shred)
{
	PgeProblem	problem;
	List	   *versions = NIL;
	ListCell   *cell;
	uint64		count;

	if (!shred)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT,
					"Name a version, or give shred => true.",
					"all versions of a key can only be shredded");
		pge_raise(&problem);
	}
	count = pge_run("SELECT version::bigint FROM pgenvelope.key_version"
					" WHERE key_id = $1 AND state <> 'destroyed'"
					" ORDER BY version",
					pge_bigint((int64) change->key_id));
	for (uint64 i = 0; i < count; i++)
		versions = lappend_int(versions, (int) pge_row_int((int) i, 1));
	if (versions == NIL)
	{
		pge_problem(&problem, PGE_NOT_READY, NULL,
					"every version of key \"%s\" is destroyed", change->name);
		pge_raise(&problem);
	}
	foreach(cell, versions)
	{
		destroy_one(change, lfirst_int(cell), true);
	}
}

Datum
pgenvelope_destroy_key(PG_FUNCTION_ARGS)
{
	bool		all = PG_ARGISNULL(1);
	int32		version = all ? 0 : PG_GETARG_INT32(1);
	bool		shred = pge_getarg_bool(fcinfo, 3, false);
	PgeChange	change;
	uint64		count;

	pge_init_materialized(fcinfo);
	pge_change_begin("pgenvelope.destroy_key()", PGE_RETIRE,
					 pge_getarg_varlena(fcinfo, 0), &change);
	check_confirmation(&change, all ? NULL : &version,
					   pge_getarg_varlena(fcinfo, 2));
	if (!all)
		(void) pge_change_state(&change, version);
	if (pge_change_awaits_approval(fcinfo, &change))
		PG_RETURN_NULL();
	count = pge_run(PROVIDERS, pge_bigint((int64) change.key_id),
					pge_unless(all, pge_integer(version)));
	report_copies(fcinfo, count);
	if (all)
		destroy_all(&change, shred);
	else
		destroy_one(&change, version, shred);
	evict_at_commit(change.key_id);
	for (int i = 0; i < (int) lengthof(holders); i++)
		report_copies(fcinfo, pge_write_run(holders[i], 0, NULL, NULL, NULL));
	pge_change_end(&change);
	pge_audit_act("destroy_key", change.key_id, change.name, version,
				  pge_act_details("all", all ? "true" : NULL, "shred",
								  shred ? "true" : NULL));
	PG_RETURN_NULL();
}
