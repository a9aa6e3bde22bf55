/*
 * pge_job.c
 *	  Rewrap jobs as rows: filing them, choosing the next, their states.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_job.h"
#include "rewrap/pge_step.h"
#include "rewrap/pge_target.h"

/* Milliseconds until not_before, 0 if that is past. */
#define WAIT_MS \
	"CASE WHEN not_before <= clock_timestamp() THEN 0 ELSE least(ceil(" \
	"1000 * extract(epoch FROM not_before - clock_timestamp()))," \
	" 2147483647) END::bigint"

/* ---------------------------------------------------------------- */
/* Filing                                                           */
/* ---------------------------------------------------------------- */

/* Drops the failures of a cancelled job. */
static void
forget_failures(int64 job_id)
{
	pge_run("DELETE FROM pgenvelope.rewrap_failure WHERE job_id = $1",
			pge_bigint(job_id));
}

int64
pge_job_live(uint64 key_id, int *target)
{
	if (pge_run("SELECT job_id, target_version::bigint"
				" FROM pgenvelope.rewrap_job WHERE key_id = $1"
				" AND state NOT IN ('complete', 'cancelled')",
				pge_bigint((int64) key_id)) == 0)
		return 0;
	*target = (int) pge_row_int(0, 2);
	return pge_row_int(0, 1);
}

bool
pge_job_cancel(int64 job_id, const char *message)
{
	if (pge_run("UPDATE pgenvelope.rewrap_job SET state = 'cancelled',"
				" message = $2, finished_at = clock_timestamp()"
				" WHERE job_id = $1"
				" AND state NOT IN ('complete', 'cancelled')",
				pge_bigint(job_id), pge_text(message)) == 0)
		return false;
	forget_failures(job_id);
	return true;
}

int64
pge_job_file(uint64 key_id, bool reencrypt, uint16 target,
			 const char *created_by)
{
	int			former_target;
	int64		former = pge_job_live(key_id, &former_target);
	int64		job_id;

	/* Two jobs would undo each other.  The old one's message is set below. */
	if (former != 0 && !pge_job_cancel(former, ""))
		former = 0;
	pge_run("INSERT INTO pgenvelope.rewrap_job"
			" (kind, key_id, target_version, created_by)"
			" VALUES ($1, $2, $3, $4) RETURNING job_id",
			pge_text(reencrypt ? "reencrypt" : "rewrap"),
			pge_bigint((int64) key_id), pge_integer(target),
			pge_text(created_by));
	job_id = pge_row_int(0, 1);
	if (former != 0)
		pge_run("UPDATE pgenvelope.rewrap_job"
				" SET message = 'superseded by job ' || $2 WHERE job_id = $1",
				pge_bigint(former), pge_bigint(job_id));
	pge_activity_want_at_commit();
	return job_id;
}

/* ---------------------------------------------------------------- */
/* Finding and changing                                             */
/* ---------------------------------------------------------------- */

int64
pge_job_next(int *wait_ms)
{
	PgeWriter	writer;
	int64		job_id = 0;

	pge_catalog_begin();
	writer = pge_write_begin();
	*wait_ms = -1;
	if (pge_write_run("SELECT job_id, wait_ms FROM"
					  " (SELECT job_id, " WAIT_MS " AS wait_ms"
					  " FROM pgenvelope.rewrap_job"
					  " WHERE state IN ('waiting', 'running', 'proving')) AS live"
					  " ORDER BY wait_ms, job_id LIMIT 1",
					  0, NULL, NULL, NULL) > 0)
	{
		*wait_ms = (int) pge_row_int(0, 2);
		if (*wait_ms == 0)
			job_id = pge_row_int(0, 1);
	}
	pge_write_end(&writer);
	return job_id;
}

#define SELECT_JOB \
	"SELECT (kind = 'reencrypt')::int::bigint, key_id," \
	" target_version::bigint, state, pass::bigint, " WAIT_MS "," \
	" COALESCE(left_behind, -1)" \
	" FROM pgenvelope.rewrap_job WHERE job_id = $1"

static bool
select_job(const char *statement, int64 job_id, PgeJob *job)
{
	if (pge_run(statement, pge_bigint(job_id)) == 0)
		return false;
	job->job_id = job_id;
	job->reencrypt = pge_row_int(0, 1) != 0;
	job->rewrap.key_id = (uint64) pge_row_int(0, 2);
	job->rewrap.target = (uint16) pge_row_int(0, 3);
	strlcpy(job->state, pge_row_text(0, 4), sizeof(job->state));
	job->pass = (int) pge_row_int(0, 5);
	job->wait_ms = (int) pge_row_int(0, 6);
	job->left_behind = pge_row_int(0, 7);
	return true;
}

bool
pge_job_look(int64 job_id, PgeJob *job)
{
	return select_job(SELECT_JOB, job_id, job);
}

PgeJobFound
pge_job_load(int64 job_id, PgeJob *job)
{
	job->first_write = !TransactionIdIsValid(GetTopTransactionIdIfAny());
	if (!select_job(SELECT_JOB, job_id, job))
		return PGE_JOB_MISSING;

	/* A proof takes long, so it must stay possible to pause or cancel it. */
	if (pge_job_is_in(job, "proving"))
		return PGE_JOB_FOUND;
	return select_job(SELECT_JOB " FOR NO KEY UPDATE SKIP LOCKED", job_id,
					  job) ?
		PGE_JOB_FOUND :
		PGE_JOB_BUSY;
}

bool
pge_job_lock(const PgeJob *job)
{
	PgeJob		now;

	return select_job(SELECT_JOB " FOR NO KEY UPDATE", job->job_id, &now) &&
		pge_job_is_in(&now, job->state);
}

bool
pge_job_is_in(const PgeJob *job, const char *state)
{
	return strcmp(job->state, state) == 0;
}

static void
log_change(const PgeJob *job, const char *message)
{
	ereport(LOG,
			(errmsg("rewrap job %lld is %s", (long long) job->job_id,
					job->state),
			 message != NULL ? errdetail_internal("%s", message) : 0,
			 errhidestmt(true), errhidecontext(true)));
}

void
pge_job_set(PgeJob *job, const char *state, const char *message, int wait_ms)
{
	pge_run("UPDATE pgenvelope.rewrap_job SET state = $2, message = $3,"
			" not_before = CASE WHEN $4 = 0 THEN '-infinity'"
			" ELSE clock_timestamp() + $4 * interval '1 ms' END,"
			" started_at = CASE WHEN $2 = 'running'"
			" THEN COALESCE(started_at, clock_timestamp())"
			" ELSE started_at END,"
			" finished_at = CASE WHEN $2 IN ('complete', 'cancelled')"
			" THEN clock_timestamp() END"
			" WHERE job_id = $1",
			pge_bigint(job->job_id), pge_text(state),
			pge_text(message), pge_integer(wait_ms));
	if (strcmp(state, "cancelled") == 0)
		forget_failures(job->job_id);
	job->wait_ms = wait_ms;
	if (pge_job_is_in(job, state))
		return;
	strlcpy(job->state, state, sizeof(job->state));
	log_change(job, message);
}

void
pge_job_begin_pass(PgeJob *job)
{
	job->pass = pge_job_is_in(job, "waiting") ? 1 : job->pass + 1;
	pge_run("UPDATE pgenvelope.rewrap_job SET pass = $2 WHERE job_id = $1",
			pge_bigint(job->job_id), pge_integer(job->pass));
	pge_targets_sync(job);
}
