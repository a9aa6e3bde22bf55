/*
 * pge_alert_worker.c
 *	  Who delivers alerts: a worker in the database they are of, which the
 *	  launcher starts as soon as something waits.
 *
 * It writes the locks of the database to the table and sends what waits on
 * the channel, in a transaction of its own, and ends when nothing is left.
 * If it fails the launcher starts another, ever later; what it did not commit
 * still waits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "rights/pge_alert.h"
#include "rights/pge_lock.h"
#include "workers/pge_databases.h"
#include "workers/pge_launcher.h"
#include "workers/pge_work.h"

/* A database whose worker fails waits no longer than this for the next. */
#define LONGEST_BACKOFF_MS 5000

/*
 * Databases that the launcher knows of.  There are more than workers, so that
 * some where nothing can be done for now do not stand in the way of others.
 */
#define DATABASES_MAX 128

/* Notifications that are sent in one transaction. */
#define SENT_AT_ONCE 16

/* ---------------------------------------------------------------- */
/* The launcher's part                                              */
/* ---------------------------------------------------------------- */

/* A worker that was started, in the launcher's memory. */
typedef struct Started
{
	Oid			database;		/* InvalidOid: none */
	BackgroundWorkerHandle *handle; /* NULL: none runs */
	int			failures;		/* workers that left something undone */
	int64		again_ms;		/* no other before then */
} Started;

static Started started[DATABASES_MAX];

static bool
waits_for(Oid database)
{
	bool		waits = false;
	int			place = 0;
	Oid			next;

	LWLockAcquire(pge_alerts->lock, LW_SHARED);
	for (int i = 0; i < PGE_ALERTS_MAX && !waits; i++)
		waits = pge_alerts->items[i].serial != 0 &&
			pge_alerts->items[i].database == database;
	LWLockRelease(pge_alerts->lock);
	while (!waits && OidIsValid(next = pge_lock_next_database(&place)))
		waits = next == database;
	return waits;
}

/* Drops what waits for a database that is no more. */
static void
forget(Oid database)
{
	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGE_ALERTS_MAX; i++)
	{
		if (pge_alerts->items[i].database == database)
			pge_alerts->items[i].serial = 0;
	}
	LWLockRelease(pge_alerts->lock);
	pge_lock_forget(database);
}

/* Sees which workers have ended, and what they have left. */
static void
bury(int64 now)
{
	for (int i = 0; i < DATABASES_MAX; i++)
	{
		Started    *worker = &started[i];
		pid_t		pid;

		if (worker->handle == NULL ||
			GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(worker->handle);
		worker->handle = NULL;
		if (!waits_for(worker->database))
		{
			worker->database = InvalidOid;
			continue;
		}
		worker->again_ms = now +
			pge_backoff_ms(worker->failures++, LONGEST_BACKOFF_MS);
		pge_databases_list(now);
		if (pge_database_find(worker->database) == NULL)
		{
			forget(worker->database);
			worker->database = InvalidOid;
		}
	}
}

static void
start(Started *worker)
{
	BackgroundWorker request = {0};

	strlcpy(request.bgw_name, "pgenvelope alert worker", BGW_MAXLEN);
	strlcpy(request.bgw_type, "pgenvelope alert worker", BGW_MAXLEN);
	strlcpy(request.bgw_function_name, "pgenvelope_alert_main", BGW_MAXLEN);
	request.bgw_main_arg = ObjectIdGetDatum(worker->database);
	worker->handle = pge_launch(&request);
	if (worker->handle == NULL)
		worker->again_ms = pge_clock_ms() +
			pge_backoff_ms(worker->failures++, LONGEST_BACKOFF_MS);
}

/* The element of a database, or a free one; NULL if there is neither. */
static Started *
find_started(Oid database)
{
	Started    *free_one = NULL;

	for (int i = 0; i < DATABASES_MAX; i++)
	{
		if (started[i].database == database)
			return &started[i];
		if (started[i].database == InvalidOid && free_one == NULL)
			free_one = &started[i];
	}
	if (free_one != NULL)
	{
		memset(free_one, 0, sizeof(*free_one));
		free_one->database = database;
	}
	return free_one;
}

/* Whether as many workers run as may.  When one ends we are woken. */
static bool
is_busy(void)
{
	int			count = 0;

	for (int i = 0; i < DATABASES_MAX; i++)
		count += started[i].handle != NULL;
	return count >= PGE_ALERT_WORKERS;
}

static void
serve(Oid database, int64 now)
{
	Started    *worker = find_started(database);

	if (worker != NULL && worker->handle == NULL && worker->again_ms <= now &&
		!is_busy())
		start(worker);
}

int64
pge_alert_serve(int64 now)
{
	Oid			databases[PGE_ALERTS_MAX];
	int			count = 0;
	int			place = 0;
	Oid			database;
	int64		next_ms = PG_INT64_MAX;

	bury(now);
	LWLockAcquire(pge_alerts->lock, LW_SHARED);
	for (int i = 0; i < PGE_ALERTS_MAX; i++)
	{
		if (pge_alerts->items[i].serial != 0)
			databases[count++] = pge_alerts->items[i].database;
	}
	LWLockRelease(pge_alerts->lock);
	for (int i = 0; i < count; i++)
		serve(databases[i], now);
	while (OidIsValid(database = pge_lock_next_database(&place)))
		serve(database, now);
	for (int i = 0; i < DATABASES_MAX && !is_busy(); i++)
	{
		if (OidIsValid(started[i].database) && started[i].handle == NULL)
			next_ms = Min(next_ms, started[i].again_ms);
	}
	return next_ms;
}

/* ---------------------------------------------------------------- */
/* The worker                                                       */
/* ---------------------------------------------------------------- */

static uint64 sending[SENT_AT_ONCE];
static int	sending_count;

static void
detach(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	pge_alerts->databases[DatumGetInt32(arg)] = InvalidOid;
	LWLockRelease(pge_alerts->lock);
}

/* A place among the databases with a worker; -1: there is one, or no place. */
static int
claim_place(Oid database)
{
	int			place = -1;

	for (int i = 0; i < PGE_ALERT_WORKERS; i++)
	{
		if (pge_alerts->databases[i] == database)
			return -1;
		if (pge_alerts->databases[i] == InvalidOid)
			place = i;
	}
	if (place >= 0)
		pge_alerts->databases[place] = database;
	return place;
}

/* One worker a database, or both would send the same. */
static void
attach(Oid database)
{
	int			place;

	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	place = claim_place(database);
	LWLockRelease(pge_alerts->lock);
	if (place < 0)
		proc_exit(0);
	before_shmem_exit(detach, Int32GetDatum(place));
}

/* Notifies of what waits.  Returns whether there was anything. */
static bool
notify(void)
{
	char(*payloads)[PGE_ALERT_SIZE] = palloc(SENT_AT_ONCE *
											 PGE_ALERT_SIZE);

	sending_count = 0;
	LWLockAcquire(pge_alerts->lock, LW_SHARED);
	for (int i = 0; i < PGE_ALERTS_MAX && sending_count < SENT_AT_ONCE; i++)
	{
		const PgeAlertItem *item = &pge_alerts->items[i];

		if (item->serial == 0 || item->database != MyDatabaseId)
			continue;
		strlcpy(payloads[sending_count], item->payload, PGE_ALERT_SIZE);
		sending[sending_count++] = item->serial;
	}
	LWLockRelease(pge_alerts->lock);
	for (int i = 0; i < sending_count; i++)
		Async_Notify(PGE_ALERT_CHANNEL, payloads[i]);
	pfree(payloads);
	return sending_count > 0;
}

static void
forget_sent(void)
{
	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGE_ALERTS_MAX; i++)
	{
		for (int j = 0; j < sending_count; j++)
		{
			if (pge_alerts->items[i].serial == sending[j])
				pge_alerts->items[i].serial = 0;
		}
	}
	LWLockRelease(pge_alerts->lock);
}

/*
 * Where the extension was dropped, there is no grant to be locked; where it
 * has yet to be updated, locks wait.  Returns whether any lock was written.
 */
static bool
save_locks(void)
{
	PgeSchema	schema = pge_schema(NULL);

	if (schema == PGE_SCHEMA_OURS)
		return pge_lock_save() > 0;
	if (schema == PGE_SCHEMA_ABSENT)
		pge_lock_forget(MyDatabaseId);
	return false;
}

static void
begin(const char *what)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, what);
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Locks first: a listener may look for them.  In a transaction of their own,
 * as whoever may NOTIFY can keep others from it.  False: nothing was done.
 */
static bool
deliver(void)
{
	bool		is_saved;
	bool		is_sent;

	begin("pgenvelope: writing locks");
	is_saved = save_locks();
	commit();
	pge_lock_saved();
	begin("pgenvelope: delivering alerts");
	is_sent = notify();
	commit();
	forget_sent();
	return is_saved || is_sent;
}

void
pgenvelope_alert_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	attach(database);

	/* Those who are in a database that lets nobody in are watched, too. */
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);
	pge_work_pin_settings("pgenvelope alert worker");

	/* A lock is to last, whatever standbys do; nobody is to hold us up. */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);
	while (deliver())
		CHECK_FOR_INTERRUPTS();
}
