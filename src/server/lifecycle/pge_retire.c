/*
 * pge_retire.c
 *	  pgenvelope.retire_key and pgenvelope.restore_key, and the reasons against
 *	  retiring.
 *
 * A retired version keeps its seal but no longer decrypts: a trial run of
 * destroying it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "lifecycle/pge_lifecycle_settings.h"
#include "lifecycle/pge_retire.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_places.h"

PG_FUNCTION_INFO_V1(pgenvelope_retire_key);
PG_FUNCTION_INFO_V1(pgenvelope_restore_key);

/*
 * Each query finds sentences that say why the version may still be needed. $1
 * is the key, $2 the version, $3 pgenvelope.proof_max_age.
 */
static const char *const reasons[] = {
	/* The proof. */
	"SELECT CASE"
	" WHEN p.proved_at IS NULL"
	"  THEN 'There is no proof that no value needs it.'"
	" WHEN p.proved_at <= v.deactivated_at"
	"  THEN 'The last proof is of before it was deactivated.'"
	" WHEN p.uncovered > 0"
	"  THEN 'The last proof passed over ' || p.uncovered"
	"  || ' places that were not covered then.'"
	" ELSE 'The last proof, of ' || p.proved_at"
	"  || ', is older than pgenvelope.proof_max_age.' END"
	" FROM pgenvelope.key_version v"
	" LEFT JOIN pgenvelope.key_proof p USING (key_id, version)"
	" WHERE v.key_id = $1 AND v.version = $2"
	" AND (p.proved_at > v.deactivated_at AND p.uncovered = 0"
	"  AND p.proved_at >= clock_timestamp() - make_interval(secs => $3))"
	"  IS NOT TRUE",

	"SELECT 'Job ' || job_id || ' moves values to it.'"
	" FROM pgenvelope.rewrap_job"
	" WHERE key_id = $1 AND target_version = $2"
	" AND state NOT IN ('complete', 'cancelled') AND $3 IS NOT NULL",

	/*
	 * pg_receivewal, which receives WAL but is no standby, reports how far it
	 * has written.  A base backup reports nothing, and contains what was there
	 * before.
	 */
	"SELECT CASE r.state WHEN 'backup'"
	" THEN format('A base backup, of \"%s\", is running.',"
	"  r.application_name)"
	" ELSE format('Standby \"%s\"%s has replayed %s, the proof is of %s.',"
	"  r.application_name, ' at ' || host(r.client_addr),"
	"  coalesce(r.replay_lsn::text, 'nothing that is known'), p.lsn) END"
	" FROM pg_stat_replication r, pgenvelope.key_proof p"
	" WHERE p.key_id = $1 AND p.version = $2 AND $3 IS NOT NULL"
	" AND (coalesce(r.replay_lsn, r.flush_lsn) >= p.lsn) IS NOT TRUE"
	" ORDER BY 1",

	"SELECT format('Replication slot \"%s\" %s.', s.slot_name,"
	" CASE WHEN s.wal_status = 'lost' THEN 'has lost its place'"
	" ELSE format('is at %s, the proof is of %s',"
	"  coalesce(s.confirmed_flush_lsn, s.restart_lsn), p.lsn) END)"
	" FROM pg_replication_slots s, pgenvelope.key_proof p"
	" WHERE p.key_id = $1 AND p.version = $2 AND $3 IS NOT NULL"
	" AND coalesce(s.database = current_database(), true)"
	" AND (s.wal_status = 'lost'"
	"  OR coalesce(s.confirmed_flush_lsn, s.restart_lsn) < p.lsn)"
	" ORDER BY 1",
};

static void
append_uncovered(StringInfo found)
{
	List	   *places = pge_places();
	ListCell   *cell;

	foreach(cell, places)
	{
		const PgePlace *place = lfirst(cell);

		if (place->uncovered != NULL)
			appendStringInfo(found, "\n%s is not covered by any proof: %s.",
							 place->name, place->uncovered);
	}
}

char *
pge_still_needed(const PgeChange *change, int version)
{
	StringInfoData found;

	initStringInfo(&found);
	for (int i = 0; i < (int) lengthof(reasons); i++)
	{
		uint64		count = pge_run(reasons[i],
									pge_bigint((int64) change->key_id),
									pge_integer(version),
									pge_integer(pge_proof_max_age));

		for (uint64 row = 0; row < count; row++)
			appendStringInfo(&found, "\n%s", pge_row_text((int) row, 1));
	}
	append_uncovered(&found);
	return found.len == 0 ? NULL : found.data + 1;
}

void
pge_log_change(const PgeChange *change, int version, const char *what)
{
	ereport(LOG,
			(errmsg("version %d of key \"%s\" %s by role \"%s\"", version,
					change->name, what, change->role),
			 errhidestmt(true), errhidecontext(true)));
}

static int
version_argument(FunctionCallInfo fcinfo)
{
	pge_refuse_null(PG_ARGISNULL(0) || PG_ARGISNULL(1), "key and version");
	return PG_GETARG_INT32(1);
}

static void
refuse_to_retire(const PgeChange *change, int version, const char *needed)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %d of key \"%s\" may still be needed", version,
					change->name),
			 errdetail("%s", needed),
			 errhint("pgenvelope.start_rewrap moves the values and proves it, pgenvelope.take_census shows where they are.")));
}

Datum
pgenvelope_retire_key(PG_FUNCTION_ARGS)
{
	int			version = version_argument(fcinfo);
	bool		force = pge_getarg_bool(fcinfo, 2, false);
	PgeChange	change;
	PgeState	state;
	char	   *needed;

	pge_change_begin("pgenvelope.retire_key()", PGE_RETIRE,
					 PG_GETARG_TEXT_PP(0), &change);
	state = pge_change_state(&change, version);
	if (state != PGE_STATE_DEACTIVATED)
		pge_refuse_state(&change, version, state,
						 "Only a deactivated version can be retired.");
	needed = pge_still_needed(&change, version);
	if (needed != NULL && !force)
		refuse_to_retire(&change, version, needed);
	if (pge_change_awaits_approval(fcinfo, &change))
		PG_RETURN_VOID();
	pge_change_move(&change, version, PGE_STATE_RETIRED, 0);
	if (needed != NULL)
		ereport(WARNING,
				(errmsg("values that need version %d of key \"%s\" cannot be decrypted any longer",
						version, change.name),
				 errdetail("%s", needed),
				 errhint("pgenvelope.restore_key brings it back.")));
	pge_log_change(&change, version,
				   needed != NULL ? "was retired, forced," : "was retired");
	pge_change_end(&change);
	pge_audit_act("retire_key", change.key_id, change.name, version,
				  needed != NULL ? pge_act_details("forced", "true") :
								   NULL);
	PG_RETURN_VOID();
}

Datum
pgenvelope_restore_key(PG_FUNCTION_ARGS)
{
	int			version = version_argument(fcinfo);
	PgeChange	change;
	PgeState	state;

	pge_change_begin("pgenvelope.restore_key()", PGE_RETIRE,
					 PG_GETARG_TEXT_PP(0), &change);
	state = pge_change_state(&change, version);
	if (state != PGE_STATE_RETIRED)
		pge_refuse_state(&change, version, state,
						 "Only a retired version can be restored.");
	if (pge_change_awaits_approval(fcinfo, &change))
		PG_RETURN_VOID();
	pge_change_move(&change, version, PGE_STATE_DEACTIVATED, 0);
	pge_log_change(&change, version, "was restored");
	pge_change_end(&change);
	pge_audit_act("restore_key", change.key_id, change.name, version,
				  NULL);
	PG_RETURN_VOID();
}
