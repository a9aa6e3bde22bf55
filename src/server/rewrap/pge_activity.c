/*
 * pge_activity.c
 *	  What the launcher, the workers and the monitoring functions share.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_commit.h"
#include "base/pge_wake.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_rewrap_settings.h"

PG_FUNCTION_INFO_V1(pgenvelope_rewrap_activity);

/* Columns of pgenvelope.rewrap_activity(). */
#define ACTIVITY_COLUMNS 9

/* How often a worker in a long step checks if a session wants the database. */
#define LOOK_EVERY_MS 500

PgeRewrapShared *pge_rewrap_shared;

/* This process's element, if it has one. */
static PgeActivity *mine;
static bool is_worker;
static int64 next_look_ms;

/* ---------------------------------------------------------------- */
/* Shared memory                                                    */
/* ---------------------------------------------------------------- */

void
pge_activity_request(void)
{
	RequestAddinShmemSpace(sizeof(PgeRewrapShared));
	RequestNamedLWLockTranche("pgenvelope_rewrap", 1);
}

static void
initialize_shared(void)
{
	PgeRewrapCounters *counters = &pge_rewrap_shared->counters;

	memset(pge_rewrap_shared, 0, sizeof(PgeRewrapShared));
	pge_rewrap_shared->lock =
		&GetNamedLWLockTranche("pgenvelope_rewrap")->lock;
	pg_atomic_init_u64(&counters->worker_starts, 0);
	pg_atomic_init_u64(&counters->batches, 0);
	pg_atomic_init_u64(&counters->rows_seen, 0);
	pg_atomic_init_u64(&counters->rewrapped, 0);
	pg_atomic_init_u64(&counters->in_place, 0);
	pg_atomic_init_u64(&counters->failed, 0);
	pg_atomic_init_u64(&counters->busy, 0);
	pg_atomic_init_u64(&counters->bytes, 0);
	pg_atomic_init_u64(&counters->paced_us, 0);
	pg_atomic_init_u64(&counters->lag_waits, 0);
}

void
pge_activity_attach(void)
{
	bool		found;

	pge_rewrap_shared = ShmemInitStruct("pgenvelope rewrap",
										sizeof(PgeRewrapShared), &found);
	if (!found)
		initialize_shared();
}

/* ---------------------------------------------------------------- */
/* Databases                                                        */
/* ---------------------------------------------------------------- */

bool
pge_activity_is_wanted(Oid database)
{
	if (pge_rewrap_shared->all_wanted)
		return true;
	for (int i = 0; i < pge_rewrap_shared->wanted_count; i++)
	{
		if (pge_rewrap_shared->wanted[i] == database)
			return true;
	}
	return false;
}

void
pge_activity_want(Oid database)
{
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	if (!pge_activity_is_wanted(database))
	{
		if (pge_rewrap_shared->wanted_count < PGE_WANTED_MAX)
			pge_rewrap_shared->wanted[pge_rewrap_shared->wanted_count++] =
				database;
		else
			pge_rewrap_shared->all_wanted = true;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	pge_wake_launcher();
}

static void
want_at_commit(int64 database)
{
	pge_activity_want((Oid) database);
}

/* If the transaction is prepared, the timer will find the jobs it filed. */
void
pge_activity_want_at_commit(void)
{
	if (pge_rewrap_shared != NULL)
		pge_at_commit(want_at_commit, MyDatabaseId, NULL);
}

/* Looks for a session lock, which needs no transaction. */
bool
pge_database_is_locked(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	if (LockAcquire(&tag, RowExclusiveLock, true, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, true);
	return false;
}

/* ---------------------------------------------------------------- */
/* What this process does                                           */
/* ---------------------------------------------------------------- */

static void
release_mine(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	memset(mine, 0, sizeof(PgeActivity));
	LWLockRelease(pge_rewrap_shared->lock);
	mine = NULL;
}

static void
at_exit(int code, Datum arg)
{
	release_mine();
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (!is_worker && event != XACT_EVENT_PRE_COMMIT &&
		event != XACT_EVENT_PRE_PREPARE)
		release_mine();
}

static void
claim(PgeActivity *activity)
{
	mine = activity;
	memset(mine, 0, sizeof(PgeActivity));
	mine->pid = MyProcPid;
	mine->database = MyDatabaseId;
}

void
pge_activity_begin_worker(int i)
{
	is_worker = true;
	before_shmem_exit(at_exit, (Datum) 0);
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	claim(&pge_rewrap_shared->activities[i]);
	LWLockRelease(pge_rewrap_shared->lock);
}

static void
claim_for_session(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		before_shmem_exit(at_exit, (Datum) 0);
		registered = true;
	}
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	for (int i = PGE_REWRAP_WORKERS_MAX; i < PGE_ACTIVITIES; i++)
	{
		if (pge_rewrap_shared->activities[i].pid == 0)
		{
			claim(&pge_rewrap_shared->activities[i]);
			break;
		}
	}
	LWLockRelease(pge_rewrap_shared->lock);
}

void
pge_activity_show(int64 job_id, const char *phase, const char *relation)
{
	if (pge_rewrap_shared == NULL)
		return;
	if (mine == NULL)
		claim_for_session();
	if (mine == NULL)
		return;
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	mine->job_id = job_id;
	strlcpy(mine->phase, phase, sizeof(mine->phase));
	strlcpy(mine->relation, relation, sizeof(mine->relation));
	mine->done = mine->total = 0;
	LWLockRelease(pge_rewrap_shared->lock);
}

void
pge_activity_progress(uint64 done, uint64 total)
{
	if (mine == NULL)
		return;
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	mine->done = done;
	mine->total = total;
	LWLockRelease(pge_rewrap_shared->lock);
	if (is_worker && pge_clock_ms() >= next_look_ms)
	{
		next_look_ms = pge_clock_ms() + LOOK_EVERY_MS;
		if (pge_database_is_locked(MyDatabaseId))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("rewrap worker leaves the database to another session")));
	}
}

void
pge_activity_add(uint64 rows_seen, uint64 rewrapped)
{
	if (mine == NULL)
		return;
	LWLockAcquire(pge_rewrap_shared->lock, LW_EXCLUSIVE);
	mine->rows_seen += rows_seen;
	mine->rewrapped += rewrapped;
	LWLockRelease(pge_rewrap_shared->lock);
}

/* ---------------------------------------------------------------- */
/* What all processes do                                            */
/* ---------------------------------------------------------------- */

/* Copies the elements in use; returns how many. */
static int
copy_activities(PgeActivity *copies)
{
	int			count = 0;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	for (int i = 0; i < PGE_ACTIVITIES; i++)
	{
		if (pge_rewrap_shared->activities[i].pid != 0)
			copies[count++] = pge_rewrap_shared->activities[i];
	}
	LWLockRelease(pge_rewrap_shared->lock);
	return count;
}

static HeapTuple
activity_tuple(TupleDesc descriptor, const PgeActivity *activity)
{
	Datum		values[ACTIVITY_COLUMNS];
	bool		nulls[ACTIVITY_COLUMNS] = {0};
	int			n = 0;

	values[n++] = Int32GetDatum(activity->pid);
	values[n++] = ObjectIdGetDatum(activity->database);
	nulls[n] = activity->job_id == 0;
	values[n++] = Int64GetDatum(activity->job_id);
	values[n++] = CStringGetTextDatum(activity->phase);
	nulls[n] = activity->relation[0] == '\0';
	values[n++] = CStringGetTextDatum(activity->relation);
	values[n++] = Int64GetDatum((int64) activity->done);
	nulls[n] = activity->total == 0;
	values[n++] = Int64GetDatum((int64) activity->total);
	values[n++] = Int64GetDatum((int64) activity->rows_seen);
	values[n++] = Int64GetDatum((int64) activity->rewrapped);
	Assert(n == ACTIVITY_COLUMNS && n == descriptor->natts);
	return heap_form_tuple(descriptor, values, nulls);
}

Datum
pgenvelope_rewrap_activity(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	PgeActivity *copies;
	HeapTuple	row;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old_context;
		TupleDesc	descriptor;

		pge_require_preload();
		call = SRF_FIRSTCALL_INIT();
		old_context = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &descriptor) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(descriptor);
		call->user_fctx = palloc(PGE_ACTIVITIES * sizeof(PgeActivity));
		call->max_calls = copy_activities(call->user_fctx);
		MemoryContextSwitchTo(old_context);
	}
	call = SRF_PERCALL_SETUP();
	copies = call->user_fctx;
	if (call->call_cntr >= call->max_calls)
		SRF_RETURN_DONE(call);
	row = activity_tuple(call->tuple_desc, &copies[call->call_cntr]);
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(row));
}
