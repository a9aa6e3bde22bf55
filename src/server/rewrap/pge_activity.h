/*
 * pge_activity.h
 *	  What the launcher, the workers and the monitoring functions share.
 *
 * A worker slot goes FREE -> STARTING (by the launcher) -> RUNNING (by the
 * worker) -> ENDED (by the worker, or by the launcher if the worker is lost)
 * -> FREE (by the launcher, after it has read how the worker ended).  A worker
 * finds its slot by index and serial number.  So a worker that starts late,
 * after its launcher has gone, finds out that it is no longer expected.
 *
 * Locking protocol.  PgeRewrapShared.lock covers everything except what is
 * marked atomic: exclusive to change, shared to read.  Hold it for a few
 * instructions only; do not wait or allocate under it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ACTIVITY_H
#define PGE_ACTIVITY_H

#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "base/pge_shared.h"
#include "rewrap/pge_rewrap_settings.h"

/*
 * What a worker was started for.  Each duty has places of its own.  So jobs
 * that wait for a provider or a standby do not delay alerts, and
 * pgenvelope.rewrap_workers = 0 stops only jobs.
 */
typedef enum PgeDuty
{
	PGE_DUTY_REWRAP,			/* jobs, and what is scheduled by time */
	PGE_DUTY_DELIVER,			/* locks to the table, alerts to listeners */
	PGE_DUTIES
} PgeDuty;

/* Workers that deliver at the same time, each in a different database. */
#define PGE_DELIVER_WORKERS 4

/* Slots of workers; those that rewrap come first. */
#define PGE_WORKERS_MAX (PGE_REWRAP_WORKERS_MAX + PGE_DELIVER_WORKERS)

/* Databases that can wait to be looked at; if more do, look at all of them. */
#define PGE_WANTED_MAX 64

/* Sessions whose progress is shown at the same time, besides the workers. */
#define PGE_SESSIONS_MAX 16

#define PGE_ACTIVITIES (PGE_REWRAP_WORKERS_MAX + PGE_SESSIONS_MAX)

/* What a process is doing. */
typedef struct PgeActivity
{
	pid_t		pid;			/* 0: unused */
	Oid			database;
	int64		job_id;			/* 0: none */
	char		phase[64];		/* "rewrapping", ... */
	char		relation[NAMEDATALEN * 2 + 2];	/* schema.table, or "" */
	uint64		done;			/* of total, in the phase's own unit */
	uint64		total;			/* 0: not known */
	uint64		rows_seen;		/* since the process began */
	uint64		rewrapped;		/* values, since the process began */
} PgeActivity;

typedef enum PgeWorkerState
{
	PGE_WORKER_FREE = 0,
	PGE_WORKER_STARTING,		/* registered with the postmaster */
	PGE_WORKER_RUNNING,
	PGE_WORKER_ENDED
} PgeWorkerState;

/* How a worker ended, for the launcher. */
typedef enum PgeWorkerEnd
{
	PGE_END_LOST = 0,			/* terminated or crashed without a report */
	PGE_END_IDLE,				/* nothing to do for again_ms */
	PGE_END_ABSENT,				/* the database lacks the extension */
	PGE_END_FAILED,				/* an error, which the worker has logged */
	PGE_END_YIELDED				/* there is more to do; others come first */
} PgeWorkerEnd;

/* What one worker of a database passes on to the next. */
typedef struct PgeMemory
{
	int			failures;		/* errors since the last success */
	uint32		logged_error;	/* hash of the last error that was logged */
	int			lost;			/* workers in a row that did not report how
								 * they ended */
	int64		job_id;			/* the job of the last of them */
} PgeMemory;

typedef struct PgeWorkerSlot
{
	PgeWorkerState state;
	PgeDuty		duty;
	uint32		serial;			/* different for each start */
	Oid			database;
	Latch	   *latch;			/* RUNNING: the worker's */
	bool		is_wanted;		/* it must look again before it ends */
	PgeWorkerEnd end;			/* ENDED: how */
	int64		again_ms;		/* ENDED idle: when there may be work, -1 if
								 * that is not known */
	PgeMemory	memory;			/* in and out; RUNNING: the worker's own */
} PgeWorkerSlot;

/* Of all rewrapping since the server started; all atomic. */
typedef struct PgeRewrapCounters
{
	pg_atomic_uint64 worker_starts;
	pg_atomic_uint64 batches;
	pg_atomic_uint64 rows_seen;
	pg_atomic_uint64 rewrapped;
	pg_atomic_uint64 in_place;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 busy;
	pg_atomic_uint64 bytes;
	pg_atomic_uint64 paced_us;	/* waiting that the rate limits caused */
	pg_atomic_uint64 lag_waits; /* how often a standby was waited for */
} PgeRewrapCounters;

typedef struct PgeRewrapShared
{
	LWLock	   *lock;
	pid_t		launcher_pid;	/* 0 if there is none */
	bool		all_wanted;		/* look at every database */
	int			wanted_count;	/* otherwise look at these */
	Oid			wanted[PGE_WANTED_MAX];
	int			waiting_count;	/* databases that wait for a free worker */
	uint32		last_serial;
	PgeRewrapCounters counters;
	PgeWorkerSlot workers[PGE_WORKERS_MAX];
	PgeActivity activities[PGE_ACTIVITIES]; /* what each does; a worker's by
											 * its slot */
} PgeRewrapShared;

/* NULL unless the library was preloaded. */
extern PgeRewrapShared *pge_rewrap_shared;

/* Called for all our shared memory, in pge_shmem.c. */
extern void pge_activity_request(void);
extern void pge_activity_attach(void);

/* Records that a database has to be looked at, and wakes the launcher. */
extern void pge_activity_want(Oid database);

/*
 * Does the same when this transaction commits, or nothing if it is rolled
 * back.
 */
extern void pge_activity_want_at_commit(void);

/* Whether such a record is still waiting.  Caller holds the lock. */
extern bool pge_activity_is_wanted(Oid database);

/* Shows what worker number i does, from now until this process ends. */
extern void pge_activity_begin_worker(int i);

/*
 * Shows what this process does.  In a session this lasts until the end of the
 * transaction; if too many are shown already, it shows nothing.
 */
extern void pge_activity_show(int64 job_id, const char *phase,
							  const char *relation);

/*
 * Shows the progress.  It is cheap, so call it as often as you like.  In a
 * worker it raises an error if a session wants the database for itself.
 */
extern void pge_activity_progress(uint64 done, uint64 total);

/* Adds to the totals that are shown for this process. */
extern void pge_activity_add(uint64 rows_seen, uint64 rewrapped);

/*
 * Whether a process holds a lock on a database under which no session can
 * connect to it, as DROP DATABASE and CREATE DATABASE ... TEMPLATE do.
 */
extern bool pge_database_is_locked(Oid database);

#endif							/* PGE_ACTIVITY_H */
