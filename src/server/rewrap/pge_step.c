/*
 * pge_step.c
 *	  Doing a rewrap job step by step.
 *
 * An error in a batch affects only its table.  The table is put off, for
 * longer each time, and the other tables go on.  Nothing here loops on an
 * error.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_try.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "rewrap/pge_failure.h"
#include "rewrap/pge_job.h"
#include "rewrap/pge_proof.h"
#include "rewrap/pge_rewrap_settings.h"
#include "rewrap/pge_step.h"
#include "rewrap/pge_target.h"
#include "rewrite/pge_inplace.h"
#include "rewrite/pge_update.h"

/* Waits between attempts double, up to these limits. */
#define LOCKED_WAIT_MAX_MS 10000
#define ERROR_WAIT_MAX_MS 600000

/* The most tables that a step may find locked. */
#define LOCKED_MAX 10

/* About how many values a batch writes. */
#define BATCH_VALUES 10000

/* In-place batches are this many times larger than UPDATE batches. */
#define IN_PLACE_FACTOR 16
#define BATCH_VALUES_MIN 100

/* From this pass on, rows that are always in use are updated instead. */
#define IMPATIENT_PASS 3

/* Waits for a KEK in a row, and passes in a row that did nothing but wait. */
static int	waits_in_a_row = 0;
static int	idle_passes = 0;

void
pge_step_wait(PgeStepResult *result, int ms, const char *message)
{
	result->end = PGE_STEP_WAIT;
	result->wait_ms = Max(ms, 1);
	strlcpy(result->message, message, sizeof(result->message));
}

void
pge_job_wait(PgeJob *job, PgeStepResult *result, int ms, const char *message)
{
	pge_job_set(job, job->state, message, ms);
	pge_step_wait(result, ms, message);
}

void
pge_job_wait_for_failures(PgeJob *job, PgeStepResult *result)
{
	int			ms;
	int64		failures = pge_failures_count(job, &ms);
	char	   *message = psprintf("%lld values have failed and are tried again later",
								   (long long) failures);

	pge_job_set(job, "running", message, Max(ms, 1));
	pge_step_wait(result, ms, message);
}

/* ---------------------------------------------------------------- */
/* Batches                                                          */
/* ---------------------------------------------------------------- */

static void
prepare_batch(const PgeJob *job, const PgeTarget *target, PgeBatch *batch)
{
	memset(batch, 0, sizeof(PgeBatch));
	batch->rewrap = job->rewrap;
	batch->reencrypt = job->reencrypt;
	batch->relation = target->relation;
	batch->relfilenode = target->relfilenode;
	batch->next_block = target->next_block;

	/* Skip what the pass itself appends: it needs no rewrapping. */
	if (target->next_block > 0)
		batch->stop_block = target->total_blocks;
	batch->block_count = pge_rewrap_batch_blocks;
	batch->value_count = BATCH_VALUES;
	if (target->in_place)
	{
		/*
		 * This keeps the table's lock as long as the other method does; the
		 * clock ends it, too.
		 */
		batch->block_count *= IN_PLACE_FACTOR;
		batch->value_count *= IN_PLACE_FACTOR;
	}
	if (pge_rewrap_rate > 0)
		batch->value_count = Min(batch->value_count,
								 Max(BATCH_VALUES_MIN, pge_rewrap_rate / 4));
	batch->update_busy = job->pass >= IMPATIENT_PASS;
}

/* A batch, and how to do it. */
typedef struct Attempt
{
	PgeBatch   *batch;
	bool		in_place;
	ItemPointerData *tids;		/* of the rows, or NULL: by blocks */
	int			count;
} Attempt;

static void
do_batch(void *argument)
{
	const Attempt *attempt = argument;

	if (attempt->tids != NULL)
		pge_update_rows(attempt->batch, attempt->tids, attempt->count);
	else if (attempt->in_place)
		pge_inplace_batch(attempt->batch);
	else
		pge_update_batch(attempt->batch);
}

/*
 * What to keep of an error.  Messages about bad data quote the data, and
 * functions of a table's owner may quote anything.  Of those keep only the
 * SQLSTATE.
 */
static char *
error_text(const ErrorData *error)
{
	int			class = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (class == ERRCODE_DATA_EXCEPTION ||
		class == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		strcmp(error->domain, PG_TEXTDOMAIN("postgres")) != 0)
		return psprintf("SQLSTATE %s", unpack_sql_state(error->sqlerrcode));
	return pstrdup(error->message);
}

/*
 * Limits the time of a batch in a worker: it runs code of the table's owner,
 * which may never end.  A session has its own limit.
 */
static ErrorData *
try_in_time(void (*work)(void *argument), void *argument)
{
	ErrorData  *error;

	if (MyBackendType != B_BG_WORKER || pge_rewrap_batch_timeout == 0)
		return pge_try(work, argument);
	enable_timeout_after(STATEMENT_TIMEOUT, pge_rewrap_batch_timeout);
	error = pge_try(work, argument);
	disable_timeout(STATEMENT_TIMEOUT, true);

	/* A timeout that fired too late must not cancel anything else. */
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
	return error;
}

/*
 * Does a batch in a subtransaction.  Returns NULL, or what went wrong; in that
 * case the batch had no effect.
 */
static char *
try_batch(PgeBatch *batch, bool in_place, ItemPointerData *tids, int count)
{
	Attempt		attempt = {batch, in_place, tids, count};
	ErrorData  *error = try_in_time(do_batch, &attempt);

	if (error == NULL)
		return NULL;

	/*
	 * In a session, a cancel is meant for the session.  In a worker it is
	 * meant for the table, as with autovacuum; the owner's code may raise it,
	 * too.
	 */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		MyBackendType != B_BG_WORKER)
		ReThrowError(error);
	return error_text(error);
}

static void
tell_batch(const PgeTarget *target, const PgeBatch *batch,
		   PgeStepResult *result)
{
	int			len = pg_mbcliplen(target->name, (int) strlen(target->name),
								   sizeof(result->relation) - 1);

	strlcpy(result->phase, "rewrapping", sizeof(result->phase));
	memcpy(result->relation, target->name, len);

	/* The table's owner chose its name; keep it on one line of the log. */
	for (char *next = result->relation; *next != '\0'; next++)
	{
		if ((unsigned char) *next < ' ')
			*next = '?';
	}
	result->rows_seen = batch->rows_seen;
	result->rewrapped = batch->rewrapped;
	result->in_place = batch->in_place;
	result->failed = list_length(batch->failures);
	result->busy = batch->busy;
	result->bytes = batch->bytes;
	result->next_block = batch->next_block;
	result->total_blocks = batch->total_blocks;
}

/* ---------------------------------------------------------------- */
/* Results of batches                                               */
/* ---------------------------------------------------------------- */

static void
pause_job(PgeJob *job, PgeStepResult *result, const char *message)
{
	pge_job_set(job, "paused", message, 0);
	strlcpy(result->message, message, sizeof(result->message));
	result->end = PGE_STEP_OVER;
}

/*
 * Without a KEK every table would fail the same way, so the job waits.  If
 * there is no way to write the target, the job is paused.
 */
static void
meet_problem(PgeJob *job, const PgeBatch *batch, PgeStepResult *result)
{
	PgeOutcome	outcome = batch->problem.outcome;
	int			ms;

	if (outcome != PGE_KEY_UNAVAILABLE && outcome != PGE_PROVIDER &&
		outcome != PGE_INTERNAL)
	{
		pause_job(job, result, batch->problem.message);
		return;
	}
	ms = pge_backoff_ms(waits_in_a_row++, ERROR_WAIT_MAX_MS / 10);
	pge_job_wait(job, result, ms, batch->problem.message);
}

/* Queues failures.  If there are too many, pauses the job for an operator. */
static void
queue_failures(PgeJob *job, const PgeBatch *batch, PgeStepResult *result)
{
	int64		queued;
	int			unused;

	if (batch->failures == NIL ||
		pge_failures_add(job, batch->relation, batch->failures) == 0)
		return;
	queued = pge_failures_count(job, &unused);
	if (queued > pge_rewrap_max_failures)
		pause_job(job, result,
				  psprintf("%lld values have failed, more than pgenvelope.rewrap_max_failures",
						   (long long) queued));
}

/* Does a batch by blocks.  False: try another table. */
static bool
advance(PgeJob *job, PgeTarget *target, PgeStepResult *result)
{
	TimestampTz began = GetCurrentTimestamp();
	PgeBatch	batch;
	char	   *error;

	prepare_batch(job, target, &batch);
	error = try_batch(&batch, target->in_place, NULL, 0);
	pge_point(PGE_POINT_BATCH);
	result->end = PGE_STEP_MORE;
	if (error != NULL)
	{
		pge_target_put_off(job, target, error,
						   pge_backoff_ms(target->errors, ERROR_WAIT_MAX_MS));
		ereport(LOG,
				(errmsg("rewrap job %lld could not do a batch of table %s",
						(long long) job->job_id, target->name),
				 errdetail_internal("%s", error), errhidestmt(true),
				 errhidecontext(true)));
		return true;
	}
	tell_batch(target, &batch, result);
	switch (batch.end)
	{
		case PGE_BATCH_LOCKED:
			pge_target_put_off(job, target, "table is locked",
							   pge_backoff_ms(target->errors,
											  LOCKED_WAIT_MAX_MS));
			return false;
		case PGE_BATCH_GONE:
			pge_target_drop(job, target);
			return true;
		case PGE_BATCH_REFUSED:
			if (target->in_place)
				pge_target_fall_back(job, target, batch.problem.message);
			else
				pge_target_uncover(job, target, batch.problem.message);
			return true;
		case PGE_BATCH_MORE:
		case PGE_BATCH_DONE:
		case PGE_BATCH_REWRITTEN:
		case PGE_BATCH_UNAVAILABLE:
			break;
	}
	pge_target_record(job, target, &batch,
					  (GetCurrentTimestamp() - began) / 1000, true);
	pge_point(PGE_POINT_CURSOR);
	if (batch.end == PGE_BATCH_REWRITTEN)
		pge_target_begin_anew(job, target);
	queue_failures(job, &batch, result);
	if (batch.end == PGE_BATCH_DONE)
		pge_failures_forget_stale(job, target->relation);
	if (batch.end == PGE_BATCH_UNAVAILABLE)
		meet_problem(job, &batch, result);
	else
		waits_in_a_row = 0;
	return true;
}

/* Tries failed values again.  Those that fail again stay in the queue. */
static bool
retry(PgeJob *job, PgeStepResult *result)
{
	TimestampTz began = GetCurrentTimestamp();
	PgeTarget	target;
	PgeBatch	batch;
	Oid			relation;
	ItemPointerData *tids;
	int			count = pge_failures_due(job, &relation, &tids);
	char	   *error;

	if (count == 0)
		return false;
	result->end = PGE_STEP_MORE;
	if (!pge_target_find(job, relation, &target))
	{
		pge_failures_forget(job, relation);
		return true;
	}
	prepare_batch(job, &target, &batch);
	batch.relfilenode = InvalidOid;
	batch.stop_block = 0;
	error = try_batch(&batch, false, tids, count);
	if (error == NULL)
		tell_batch(&target, &batch, result);
	if (error != NULL || batch.end == PGE_BATCH_LOCKED ||
		batch.end == PGE_BATCH_REFUSED || batch.end == PGE_BATCH_UNAVAILABLE)
	{
		pge_failures_put_off(job, relation, tids, count, LOCKED_WAIT_MAX_MS);
		if (error == NULL && batch.end == PGE_BATCH_UNAVAILABLE)
			meet_problem(job, &batch, result);
		return true;
	}
	(void) pge_failures_add(job, relation, batch.failures);
	pge_target_record(job, &target, &batch,
					  (GetCurrentTimestamp() - began) / 1000, false);

	/* Leave rows that have moved meanwhile to the next pass. */
	pge_target_add_found(job, relation,
						 pge_failures_done(job, relation, tids, count, began));
	return true;
}

/* ---------------------------------------------------------------- */
/* Passes                                                           */
/* ---------------------------------------------------------------- */

/*
 * Every table is done.  What follows is another pass, the proof, or waiting
 * for failed values.  Failures keep the job from completing.  But they must
 * not keep other versions from being proved, so a proof is taken once in any
 * case.
 */
static void
end_pass(PgeJob *job, const PgePass *pass, PgeStepResult *result)
{
	int			ms;
	int64		failures = pge_failures_count(job, &ms);

	result->end = PGE_STEP_MORE;
	if (pass->found > 0 || pass->busy > 0)
	{
		/* Others are writing to all the rows that are left: give them time. */
		idle_passes = pass->found > pass->busy ? 0 : idle_passes + 1;
		ms = idle_passes == 0 ?
			0 :
			pge_backoff_ms(idle_passes - 1, ERROR_WAIT_MAX_MS);
		pge_job_begin_pass(job);
		pge_job_set(job, "running", NULL, ms);
		if (ms > 0)
			pge_step_wait(result, ms, "the rows left are being written to by others");
	}
	else if (failures > 0 && job->left_behind >= 0)
		pge_job_wait_for_failures(job, result);
	else
	{
		idle_passes = 0;
		pge_proof_note_readers(job);
		pge_job_set(job, "proving", NULL, 0);
	}
}

static void
run(PgeJob *job, PgeStepResult *result)
{
	PgeTarget	target;
	PgePass		pass;
	int			ms;

	if (retry(job, result))
		return;
	for (int i = 0; i < LOCKED_MAX && pge_target_next(job, &target); i++)
	{
		if (advance(job, &target, result))
			return;
	}
	pge_pass_look(job, &pass);
	if (pass.open == 0)
	{
		end_pass(job, &pass, result);
		return;
	}

	/* Tables make us wait; a failed value may be due earlier. */
	if (pge_failures_count(job, &ms) == 0 || ms > pass.wait_ms)
		ms = pass.wait_ms;
	pge_job_set(job, job->state, "waiting for tables: see rewrap_progress",
				Max(ms, 1));
	pge_step_wait(result, ms, "waiting for tables");
}

/* ---------------------------------------------------------------- */
/* The step                                                         */
/* ---------------------------------------------------------------- */

/* Makes steps of a database exclude each other, without waiting. */
static bool
lock_steps(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, pge_table("rewrap_job"), 0, 0);
	if (LockAcquire(&tag, ExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	pge_catalog_begin();
	return true;
}

static bool
is_target_active(const PgeJob *job)
{
	PgeKey	   *key = pge_key_by_id(job->rewrap.key_id);
	PgeKeyVersion *active = key != NULL ? pge_key_active(key) : NULL;

	return active != NULL && active->version == job->rewrap.target;
}

/*
 * Makes this session learn of all committed changes.  Rows of a transaction
 * become visible a moment before it sends the notice that the key has changed.
 * Until then it keeps its lock, so we need that lock.
 */
static bool
hear_of_commits(void)
{
	Oid			table = pge_table("key_version");

	if (!ConditionalLockRelationOid(table, ShareLock))
		return false;
	UnlockRelationOid(table, ShareLock);
	AcceptInvalidationMessages();
	pge_catalog_begin();
	return true;
}

/*
 * Whether the target still encrypts.  If not, no value may be moved to it, so
 * this cancels the job.
 */
static bool
target_encrypts(PgeJob *job, PgeStepResult *result)
{
	char	   *message;

	if (is_target_active(job))
		return true;
	if (!hear_of_commits())
	{
		pge_step_wait(result, PGE_LOCK_WAIT_MS,
					  "waiting for a change of keys to end");
		return false;
	}
	if (is_target_active(job))
		return true;
	message = psprintf("version %u is no longer the active one",
					   job->rewrap.target);
	pge_job_set(job, "cancelled", message, 0);
	strlcpy(result->message, message, sizeof(result->message));
	result->end = PGE_STEP_OVER;
	return false;
}

static void
work(PgeJob *job, PgeStepResult *result)
{
	result->end = PGE_STEP_OVER;
	if (pge_job_is_in(job, "waiting") || pge_job_is_in(job, "running") ||
		pge_job_is_in(job, "proving"))
	{
		if (job->wait_ms > 0)
			pge_step_wait(result, job->wait_ms, "");
		else if (!target_encrypts(job, result))
			return;
		else if (pge_job_is_in(job, "waiting"))
		{
			strlcpy(result->phase, "starting", sizeof(result->phase));
			pge_job_begin_pass(job);
			pge_proof_note_writers(job);
			pge_job_set(job, "running", NULL, 0);
			result->end = PGE_STEP_MORE;
		}
		else if (pge_job_is_in(job, "running"))
			run(job, result);
		else
			pge_proof_step(job, result);
	}
}

void
pge_job_step(int64 job_id, PgeStepResult *result)
{
	PgeWriter	writer;
	PgeJob		job;

	memset(result, 0, sizeof(PgeStepResult));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a rewrap step needs the isolation level READ COMMITTED")));
	pge_catalog_begin();
	writer = pge_write_begin();
	if (!lock_steps())
		pge_step_wait(result, PGE_LOCK_WAIT_MS, "another session does a step");
	else
	{
		switch (pge_job_load(job_id, &job))
		{
			case PGE_JOB_FOUND:
				work(&job, result);
				strlcpy(result->state, job.state, sizeof(result->state));
				break;
			case PGE_JOB_MISSING:
				result->end = PGE_STEP_OVER;
				break;
			case PGE_JOB_BUSY:
				pge_step_wait(result, PGE_LOCK_WAIT_MS,
							  "another session changes the job");
				break;
		}
	}
	pge_write_end(&writer);
}
