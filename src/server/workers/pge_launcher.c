/*
 * pge_launcher.c
 *	  The launcher, which starts workers where there is work.
 *
 * A background worker, started once the server accepts writes, also after a
 * promotion.  It is connected to the shared catalogs only, so that it can list
 * the databases without blocking DROP DATABASE.  A database is due at once
 * when one of its transactions asks for it (pge_launcher_wake), otherwise
 * every pgenvelope.rewrap_naptime.  Only a worker can find out whether there
 * is any work; it ends if there is none.  Workers that deliver locks and
 * alerts are started where some wait (pge_activity.h, PgeDuty).  The code is
 * the same, but they have places of their own.
 *
 * The launcher keeps no state that it could not find out again.  It handles an
 * error by exiting: the postmaster starts it again a second later.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "audit/pge_anchor.h"
#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_wake.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_rewrap_settings.h"
#include "rights/pge_alert.h"
#include "workers/pge_databases.h"
#include "workers/pge_launcher.h"

/* Wake up at least this often. */
#define LONGEST_SLEEP_MS 60000

/* How often to look at a database that a session has locked for itself. */
#define LOCKED_RETRY_MS 1000

static const struct
{
	const char *type;
	int			first_slot;
	int			slot_count;
} duties[PGE_DUTIES] = {
	[PGE_DUTY_REWRAP] = {"pgenvelope rewrap worker", 0,
						 PGE_REWRAP_WORKERS_MAX},
	[PGE_DUTY_DELIVER] = {"pgenvelope alert worker", PGE_REWRAP_WORKERS_MAX,
						  PGE_DELIVER_WORKERS},
};

static BackgroundWorkerHandle *handles[PGE_WORKERS_MAX];
static bool is_exhausted;		/* no background worker is available */

/* ---------------------------------------------------------------- */
/* What workers and sessions have left behind                       */
/* ---------------------------------------------------------------- */

/* Reads how a worker ended.  Caller holds the lock. */
static void
bury_worker(PgeWorkerSlot *slot, int64 now)
{
	PgeDatabase *database = pge_database_find(slot->database);

	if (slot->state != PGE_WORKER_ENDED)
		slot->end = PGE_END_LOST;
	if (database != NULL)
		pge_database_left(database, slot, now);
	slot->state = PGE_WORKER_FREE;
}

/*
 * Frees the slots of workers that have ended.  We have no handle for a worker
 * that an earlier launcher started; such a worker's slot is freed when it
 * ends.
 */
static void
bury_workers(int64 now)
{
	for (int i = 0; i < PGE_WORKERS_MAX; i++)
	{
		PgeWorkerSlot *slot = &pge_rewrap_shared->workers[i];
		pid_t		pid;
		bool		has_ended;

		if (handles[i] != NULL)
			has_ended = GetBackgroundWorkerPid(handles[i], &pid) ==
				BGWH_STOPPED;
		else
			has_ended = slot->state == PGE_WORKER_ENDED;
		if (!has_ended)
			continue;
		LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
		bury_worker(slot, now);
		LWLockRelease(pge_rewrap_shared->lock);
		if (handles[i] != NULL)
			pfree(handles[i]);
		handles[i] = NULL;
	}
}

/* Makes a running worker look for jobs again.  False: none is running. */
static bool
nudge_worker(Oid oid)
{
	bool		is_there = false;

	for (int i = 0; i < PGE_REWRAP_WORKERS_MAX && !is_there; i++)
	{
		PgeWorkerSlot *slot = &pge_rewrap_shared->workers[i];

		if (slot->database != oid || slot->state == PGE_WORKER_FREE ||
			slot->state == PGE_WORKER_ENDED)
			continue;
		slot->is_wanted = true;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
		is_there = true;
	}
	return is_there;
}

/* Makes a database due if its sessions have asked for it. */
static void
take_wanted(int64 now)
{
	ListCell   *cell;

	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pge_rewrap_shared->wanted_count; i++)
	{
		if (pge_database_find(pge_rewrap_shared->wanted[i]) == NULL)
			pge_databases_due_ms = now; /* a new one: due when listed */
	}
	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (pge_activity_is_wanted(database->oid) &&
			!nudge_worker(database->oid))
			database->turns[PGE_DUTY_REWRAP].due_ms = now;
	}
	if (pge_rewrap_shared->all_wanted)
		pge_databases_due_ms = now;
	pge_rewrap_shared->wanted_count = 0;
	pge_rewrap_shared->all_wanted = false;
	LWLockRelease(pge_rewrap_shared->lock);
}

/* ---------------------------------------------------------------- */
/* Starting workers                                                 */
/* ---------------------------------------------------------------- */

/* Finds a free slot, or returns -1 if the limit of workers is reached. */
static int
find_free_slot(PgeDuty duty)
{
	int			allowed = duty == PGE_DUTY_REWRAP ? pge_rewrap_workers :
													PGE_DELIVER_WORKERS;
	int			first = duties[duty].first_slot;
	int			in_use = 0;
	int			free_slot = -1;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	for (int i = first + duties[duty].slot_count - 1; i >= first; i--)
	{
		if (pge_rewrap_shared->workers[i].state == PGE_WORKER_FREE &&
			handles[i] == NULL)
			free_slot = i;
		else
			in_use++;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	return in_use < allowed ? free_slot : -1;
}

static uint32
prepare_slot(PgeWorkerSlot *slot, const PgeDatabase *database, PgeDuty duty)
{
	uint32		serial;

	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	serial = ++pge_rewrap_shared->last_serial;
	memset(slot, 0, sizeof(PgeWorkerSlot));
	slot->serial = serial;
	slot->database = database->oid;
	slot->duty = duty;
	slot->memory = database->turns[duty].memory;
	slot->again_ms = -1;
	slot->state = PGE_WORKER_STARTING;
	LWLockRelease(pge_rewrap_shared->lock);
	return serial;
}

/* Logs once that no background workers are left, and once that some are. */
static void
note_exhausted(bool is_exhausted_now)
{
	if (is_exhausted_now && !is_exhausted)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free for rewrap jobs"),
				 errdetail("They are tried again every pgenvelope.rewrap_naptime."),
				 errhint("Consider increasing max_worker_processes.")));
	if (!is_exhausted_now && is_exhausted)
		ereport(LOG,
				(errmsg("background workers are free for rewrap jobs again")));
	is_exhausted = is_exhausted_now;
}

static bool
has_rewrap_workers(void)
{
	ListCell   *cell;

	foreach(cell, pge_databases)
	{
		PgeDatabase *database = lfirst(cell);

		if (database->turns[PGE_DUTY_REWRAP].is_running)
			return true;
	}
	return false;
}

static BackgroundWorkerHandle *
launch(const PgeDatabase *database, PgeDuty duty, int i)
{
	uint32		serial = prepare_slot(&pge_rewrap_shared->workers[i], database,
									  duty);
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;
	MemoryContext old_context;
	bool		is_registered;

	snprintf(worker.bgw_name, BGW_MAXLEN, "%s %s", duties[duty].type,
			 database->name);
	strlcpy(worker.bgw_type, duties[duty].type, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "pgenvelope", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgenvelope_worker_main", BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(i);
	memcpy(worker.bgw_extra, &serial, sizeof(serial));
	worker.bgw_notify_pid = MyProcPid;
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	is_registered = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(old_context);
	return is_registered ? handle : NULL;
}

static void
start_worker(PgeDatabase *database, PgeDuty duty, int i, int64 now)
{
	handles[i] = launch(database, duty, i);
	database->turns[duty].is_running = handles[i] != NULL;
	if (handles[i] != NULL)
	{
		if (duty == PGE_DUTY_REWRAP)
			note_exhausted(false);
		return;
	}

	/* While some rewrap workers run, there is nothing to report. */
	if (duty == PGE_DUTY_REWRAP && !has_rewrap_workers())
		note_exhausted(true);
	pge_rewrap_shared->workers[i].state = PGE_WORKER_FREE;
	pge_database_put_off(database, duty, now);
}

static void
start_workers(PgeDuty duty, int64 now)
{
	PgeDatabase *database;
	int			i = find_free_slot(duty);

	while (i >= 0 && (database = pge_database_due(duty, now)) != NULL)
	{
		/* A worker would have to wait until the DROP or the copy is over. */
		if (pge_database_is_locked(database->oid))
			database->turns[duty].due_ms = now + LOCKED_RETRY_MS;
		else
			start_worker(database, duty, i, now);
		i = find_free_slot(duty);
	}
}

static void
start_all_workers(int64 now)
{
	pge_databases_find_deliveries(now);
	for (PgeDuty duty = 0; duty < PGE_DUTIES; duty++)
		start_workers(duty, now);
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	pge_rewrap_shared->waiting_count = pge_databases_count_due(now);
	LWLockRelease(pge_rewrap_shared->lock);
}

/* ---------------------------------------------------------------- */
/* The process                                                      */
/* ---------------------------------------------------------------- */

static void
detach(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	pge_rewrap_shared->launcher_pid = 0;
	LWLockRelease(pge_rewrap_shared->lock);
	pge_wake_detach();
}

/*
 * Takes over from an earlier launcher: keeps its running workers, and no
 * longer expects those that have not started yet.
 */
static void
attach(void)
{
	before_shmem_exit(detach, (Datum) 0);
	pge_wake_attach();
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	pge_rewrap_shared->launcher_pid = MyProcPid;
	for (int i = 0; i < PGE_WORKERS_MAX; i++)
	{
		if (pge_rewrap_shared->workers[i].state == PGE_WORKER_STARTING)
			pge_rewrap_shared->workers[i].state = PGE_WORKER_FREE;
	}
	LWLockRelease(pge_rewrap_shared->lock);
}

/* Marks the databases in which an earlier launcher's workers run. */
static void
adopt_workers(void)
{
	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	for (int i = 0; i < PGE_WORKERS_MAX; i++)
	{
		PgeWorkerSlot *slot = &pge_rewrap_shared->workers[i];
		PgeDatabase *database = pge_database_find(slot->database);

		if (slot->state != PGE_WORKER_FREE && database != NULL)
			database->turns[slot->duty].is_running = true;
	}
	LWLockRelease(pge_rewrap_shared->lock);
}

/* How long to sleep if nothing wakes us. */
static int64
sleep_ms(int64 now)
{
	int64		next_ms = Min(pge_databases_due_ms, now + LONGEST_SLEEP_MS);

	for (PgeDuty duty = 0; duty < PGE_DUTIES; duty++)
	{
		if (duty == PGE_DUTY_DELIVER || pge_rewrap_workers > 0)
			next_ms = Min(next_ms, pge_databases_next_ms(duty, now));
	}
	return Max(next_ms - now, 1);
}

void
pgenvelope_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	attach();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pge_databases_list(pge_clock_ms());
	adopt_workers();

	for (;;)
	{
		int64		now;
		int64		anchor_ms;

		ResetLatch(MyLatch);

		/* Exit quietly, but not with 0, which means: do not restart. */
		if (ProcDiePending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			pge_databases_heed_naptime(pge_clock_ms());
			pge_anchor_moved();
		}
		now = pge_clock_ms();
		bury_workers(now);
		take_wanted(now);
		if (pge_databases_due_ms <= now)
			pge_databases_list(now);
		start_all_workers(now);
		anchor_ms = Max(pge_anchor_attend() - now, 1);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) Min(sleep_ms(now), anchor_ms),
						 pge_wait_event_launcher());
	}
}

void
pge_launcher_init(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "pgenvelope launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgenvelope launcher", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pgenvelope", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgenvelope_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
