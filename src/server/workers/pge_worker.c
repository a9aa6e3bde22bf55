/*
 * pge_worker.c
 *	  A worker: does what is due in one database, and ends.
 *
 * A worker whose duty is to deliver runs pge_deliver, which waits for nothing.
 *
 * A worker that rewraps is a loop around pge_job_step.  Each step is a
 * transaction of its own.  Between two steps the worker holds no lock and no
 * snapshot, and checks whether it has to stop: because it was terminated,
 * because pgenvelope.rewrap_workers allows fewer workers, because other
 * databases wait for their turn, or because a session wants the database for
 * itself.  For the same reason it waits in short slices.  If it would wait for
 * long, it ends, and the launcher starts another worker in time.
 *
 * An error concerns one job: it is logged once, and the job is put off, for
 * longer each time.  If even that fails, the worker ends and the launcher
 * waits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_wake.h"
#include "lifecycle/pge_reseal.h"
#include "lifecycle/pge_rotate.h"
#include "lifecycle/pge_schedule.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_job.h"
#include "rewrap/pge_pace.h"
#include "rewrap/pge_rewrap_settings.h"
#include "rewrap/pge_step.h"
#include "workers/pge_alert_worker.h"
#include "workers/pge_launcher.h"
#include "workers/pge_learn.h"
#include "workers/pge_work.h"

/* Check for other work at least this often while sleeping. */
#define SLICE_MS 500

/* Leave work that is not due within this time to another worker. */
#define LINGER_MS 2000

/* The longest time for which a failing job is put off. */
#define LONGEST_BACKOFF_MS 300000

static PgeWorkerSlot *slot;
static uint32 serial;
static int64 began_ms;			/* a naptime later others may take our place */
static int64 next_care_ms;		/* when to look after keys again */

/* ---------------------------------------------------------------- */
/* Beginning and ending                                             */
/* ---------------------------------------------------------------- */

/* Report our exit; without that the launcher assumes that we crashed. */
static void
detach(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	if (slot->serial == serial)
	{
		slot->state = PGE_WORKER_ENDED;
		slot->latch = NULL;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	pge_wake_launcher();
}

/* Takes the slot that the launcher prepared, if it still expects us. */
static void
attach(int i)
{
	bool		is_expected;

	slot = &pge_rewrap_shared->workers[i];
	memcpy(&serial, MyBgworkerEntry->bgw_extra, sizeof(serial));
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	is_expected = slot->serial == serial && slot->state == PGE_WORKER_STARTING;
	if (is_expected)
	{
		slot->state = PGE_WORKER_RUNNING;
		slot->latch = MyLatch;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	if (!is_expected)
		proc_exit(0);
	before_shmem_exit(detach, (Datum) 0);
}

/* Ends the worker, unless it was asked meanwhile to look again. */
static void
end_worker(PgeWorkerEnd end, int64 again_ms)
{
	bool		is_wanted;

	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	is_wanted = slot->is_wanted && end == PGE_END_IDLE;
	slot->is_wanted = false;
	if (!is_wanted)
	{
		slot->end = end;
		slot->again_ms = again_ms;
		slot->state = PGE_WORKER_ENDED;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	if (!is_wanted)
		proc_exit(0);
}

/* ---------------------------------------------------------------- */
/* Between steps                                                    */
/* ---------------------------------------------------------------- */

/*
 * Whether this worker has to give up its place: either the setting allows
 * fewer workers and this is one too many, or other databases wait for a worker
 * and this one has had its turn.
 */
static bool
must_make_room(void)
{
	bool		is_turn_over = pge_clock_ms() >= began_ms + pge_rewrap_naptime;
	int			before_us = 0;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	is_turn_over = is_turn_over && pge_rewrap_shared->waiting_count > 0;
	for (PgeWorkerSlot *other = pge_rewrap_shared->workers; other < slot;
		 other++)
		before_us += other->state == PGE_WORKER_STARTING ||
			other->state == PGE_WORKER_RUNNING;
	LWLockRelease(pge_rewrap_shared->lock);
	return is_turn_over || before_us >= pge_rewrap_workers;
}

/* Handles signals; returns only if the worker can go on. */
static void
look_around(void)
{
	if (ProcDiePending)
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (must_make_room() || pge_database_is_locked(MyDatabaseId))
		end_worker(PGE_END_YIELDED, 0);
}

static bool
is_wanted(void)
{
	bool		result;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	result = slot->is_wanted;
	LWLockRelease(pge_rewrap_shared->lock);
	return result;
}

/* Sleeps until the given time, but for no longer than a slice. */
static void
nap(int64 until)
{
	int64		left = Min(until - pge_clock_ms(), SLICE_MS);

	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) Max(left, 0), pge_wait_event_pace());
	ResetLatch(MyLatch);
	look_around();
}

static void
sleep_until(int64 when)
{
	while (pge_clock_ms() < when)
		nap(when);
}

/* Does the same, unless there is something new to look at. */
static void
idle_until(int64 when)
{
	while (!is_wanted() && pge_clock_ms() < when)
		nap(when);
}

/* ---------------------------------------------------------------- */
/* Jobs                                                             */
/* ---------------------------------------------------------------- */

/* Runs a transaction; false if it failed. */
static bool
run(PgeWork *work)
{
	PgeWorkEnd	end = pge_work_run(work);

	if (end == PGE_WORK_ABSENT)
		end_worker(PGE_END_ABSENT, -1);
	return end == PGE_WORK_DONE;
}

static void
run_rotate(PgeWork *work)
{
	pgstat_report_activity(STATE_RUNNING,
						   "pgenvelope: looking for keys to be rotated");
	(void) pge_rotate_due();
}

/* Use a transaction of its own, since a provider may make it wait. */
static void
run_read_back(PgeWork *work)
{
	pgstat_report_activity(STATE_RUNNING,
						   "pgenvelope: reading new seals of keys back");
	(void) pge_reseal_finish();
}

static void
run_learn(PgeWork *work)
{
	pge_learn_database();
}

static void
run_next(PgeWork *work)
{
	work->job_id = pge_job_next(&work->wait_ms);
}

static void
run_step(PgeWork *work)
{
	pge_job_step(work->job_id, &work->result);
}

/*
 * The server's log has the error; the job shows no text, which may be secret.
 */
static void
put_off(int64 job_id)
{
	int			wait_ms = pge_backoff_ms(slot->memory.failures - 1,
										 LONGEST_BACKOFF_MS);

	if (pge_database_is_locked(MyDatabaseId))
		return;
	if (pge_work_note(job_id, "put off after an error: see the server log",
					  wait_ms) == PGE_WORK_FAILED)
		end_worker(PGE_END_FAILED, -1);
}

static void
count_step(const PgeStepResult *result)
{
	PgeRewrapCounters *counters = &pge_rewrap_shared->counters;

	pg_atomic_fetch_add_u64(&counters->rows_seen, result->rows_seen);
	pg_atomic_fetch_add_u64(&counters->rewrapped, result->rewrapped);
	pg_atomic_fetch_add_u64(&counters->in_place, result->in_place);
	pg_atomic_fetch_add_u64(&counters->failed, result->failed);
	pg_atomic_fetch_add_u64(&counters->busy, result->busy);
	pg_atomic_fetch_add_u64(&counters->bytes, result->bytes);
	pg_atomic_fetch_add_u64(&counters->batches, 1);
}

/* Logs what is of interest as one line of key=value, for programs. */
static void
log_batch(int64 job_id, const PgeStepResult *result, int64 ms)
{
	ereport(pge_rewrap_log_batches ? LOG : DEBUG1,
			(errmsg("rewrap batch: job=" INT64_FORMAT
					" table=%s blocks=%u/%u rows=" UINT64_FORMAT
					" rewrapped=" UINT64_FORMAT " in_place=" UINT64_FORMAT
					" failed=" UINT64_FORMAT " busy=" UINT64_FORMAT
					" bytes=" UINT64_FORMAT " ms=" INT64_FORMAT,
					job_id, result->relation, result->next_block,
					result->total_blocks, result->rows_seen, result->rewrapped,
					result->in_place, result->failed, result->busy,
					result->bytes, ms),
			 errhidestmt(true), errhidecontext(true)));
}

static void
show(int64 job_id, const PgeStepResult *result)
{
	char		line[NAMEDATALEN * 2 + 160];

	pge_activity_show(job_id, result->phase, result->relation);
	pge_activity_progress(result->next_block, result->total_blocks);
	pge_activity_add(result->rows_seen, result->rewrapped);
	snprintf(line, sizeof(line),
			 "pgenvelope: %s %s, block %u of %u, job " INT64_FORMAT,
			 result->phase, result->relation, result->next_block,
			 result->total_blocks, job_id);
	pgstat_report_activity(STATE_RUNNING, line);
}

/* Waits until the standbys have caught up. */
static void
wait_for_standbys(int64 job_id)
{
	char		name[NAMEDATALEN];
	char		message[NAMEDATALEN + 64];
	bool		is_waiting = false;

	while (pge_pace_is_lagging(name))
	{
		if (!is_waiting)
		{
			snprintf(message, sizeof(message), "waits for standby \"%s\"",
					 name);
			(void) pge_work_note(job_id, message, 0);
			pge_activity_show(job_id, "waiting for a standby", "");
			pgstat_report_activity(STATE_RUNNING,
								   "pgenvelope: waiting for a standby");
		}
		is_waiting = true;
		sleep_until(pge_clock_ms() + SLICE_MS);
	}
	if (is_waiting)
		(void) pge_work_note(job_id, NULL, 0);
}

/*
 * Records that earlier workers were lost at this job, because they were killed
 * or ended by a setting of the server.  It does so before the job's next step,
 * which may end this worker, too.
 */
static void
note_lost_workers(int64 job_id)
{
	char		message[80];

	if (slot->memory.job_id == job_id && slot->memory.lost > 0)
	{
		snprintf(message, sizeof(message),
				 "workers lost in a row: %d; see the server log",
				 slot->memory.lost);
		(void) pge_work_note(job_id, message, 0);
	}
	else
		slot->memory.lost = 0;
	slot->memory.job_id = job_id;
}

/* Clears that record once a step has completed. */
static void
forget_lost_workers(int64 job_id)
{
	if (slot->memory.lost == 0)
		return;
	slot->memory.lost = 0;
	(void) pge_work_note(job_id, NULL, 0);
}

/* Does a step, then logs its result and does the waiting that it asks for. */
static void
do_step(int64 job_id)
{
	static PgeStepResult last;
	static int64 last_job;
	PgeWork		work = {.run = run_step, .job_id = job_id};
	const PgeStepResult *result = &work.result;
	int64		next_ms;
	int64		step_ms = pge_clock_ms();

	note_lost_workers(job_id);
	wait_for_standbys(job_id);
	if (last_job != job_id)
		memset(&last, 0, sizeof(last));
	show(job_id, &last);
	pge_pace_begin();
	if (!run(&work))
	{
		put_off(job_id);
		return;
	}
	slot->memory.failures = 0;
	forget_lost_workers(job_id);
	last = *result;
	last.rows_seen = last.rewrapped = 0;
	last_job = job_id;
	show(job_id, result);
	if (result->rows_seen > 0)
	{
		count_step(result);
		log_batch(job_id, result, pge_clock_ms() - step_ms);
	}
	next_ms = pge_pace_end(result->rows_seen, result->bytes,
						   result->in_place > 0);
	sleep_until(next_ms);
	if (result->end == PGE_STEP_WAIT)
		idle_until(pge_clock_ms() + Min(result->wait_ms, SLICE_MS));
}

/* Does what is scheduled in this database, once every naptime. */
static void
take_care(void)
{
	PgeWork		rotate = {.run = run_rotate};
	PgeWork		read_back = {.run = run_read_back};
	PgeWork		learn = {.run = run_learn};

	if (pge_clock_ms() < next_care_ms)
		return;
	next_care_ms = pge_clock_ms() + pge_rewrap_naptime;
	(void) run(&rotate);
	(void) run(&read_back);
	(void) run(&learn);
}

/* Does what is next, or ends the worker if that is far off. */
static void
do_next(void)
{
	PgeWork		work = {.run = run_next, .wait_ms = -1};

	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	slot->is_wanted = false;
	LWLockRelease(pge_rewrap_shared->lock);
	if (!run(&work))
		end_worker(PGE_END_FAILED, -1);
	else if (work.job_id != 0)
		do_step(work.job_id);
	else if (work.wait_ms >= 0 && work.wait_ms <= LINGER_MS)
		idle_until(pge_clock_ms() + work.wait_ms);
	else
		end_worker(PGE_END_IDLE, work.wait_ms);
}

/*
 * Connects even to a database that allows no connections: sessions that are
 * already in it are watched, too.
 */
static void
connect_to_database(void)
{
	BackgroundWorkerInitializeConnectionByOid(
		slot->database, InvalidOid,
		slot->duty == PGE_DUTY_DELIVER ? BGWORKER_BYPASS_ALLOWCONN : 0);
	pge_work_init(&slot->memory);
}

void
pgenvelope_worker_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	attach(DatumGetInt32(arg));
	connect_to_database();
	if (slot->duty == PGE_DUTY_DELIVER)
		end_worker(pge_deliver(&slot->memory), 0);
	pge_activity_begin_worker(DatumGetInt32(arg));
	pg_atomic_fetch_add_u64(&pge_rewrap_shared->counters.worker_starts, 1);
	began_ms = pge_clock_ms();
	for (;;)
	{
		look_around();
		take_care();
		do_next();
	}
}
