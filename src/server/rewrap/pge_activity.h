/*
 * pge_activity.h
 *	  What the launcher, the workers and everybody who watches them share.
 *
 * A worker slot goes FREE -> STARTING (by the launcher) -> RUNNING (by the
 * worker) -> ENDED (by the worker, or by the launcher if it is lost) -> FREE
 * (by the launcher, which has read then how it ended).  A worker finds its
 * slot by index and serial number, so that one that starts late, after its
 * launcher has gone, knows that it is no longer expected.
 *
 * Locking protocol.  PgeRewrapShared.lock covers everything but what is
 * marked atomic: exclusive to change, shared to read.  It is held for a few
 * instructions; nobody waits or allocates under it.
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
 * What a worker was started for.  Each duty has places of its own, so that
 * jobs that wait for a provider or a standby keep no alert from being
 * delivered, and pgenvelope.rewrap_workers = 0 stops jobs only.
 */
typedef enum PgeDuty
{
	PGE_DUTY_REWRAP,			/* jobs, and what is due by the clock */
	PGE_DUTY_DELIVER,			/* locks to the table, alerts to listeners */
	PGE_DUTIES
} PgeDuty;

/* Workers that deliver at a time; each is in a database of its own. */
#define PGE_DELIVER_WORKERS 4

/* Slots of workers: first those that rewrap. */
#define PGE_WORKERS_MAX (PGE_REWRAP_WORKERS_MAX + PGE_DELIVER_WORKERS)

/* Databases that may be waiting to be looked at; more: all are looked at. */
#define PGE_WANTED_MAX 64

/* Sessions whose progress is shown at a time, beside the workers'. */
#define PGE_SESSIONS_MAX 16

#define PGE_ACTIVITIES (PGE_REWRAP_WORKERS_MAX + PGE_SESSIONS_MAX)

/* What one process is doing. */
typedef struct PgeActivity
{
	pid_t		pid;			/* 0: nobody's */
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

/* How a worker ended, as the launcher wants to know. */
typedef enum PgeWorkerEnd
{
	PGE_END_LOST = 0,			/* terminated or crashed: it did not say */
	PGE_END_IDLE,				/* nothing to do for again_ms */
	PGE_END_ABSENT,				/* the database has not got the extension */
	PGE_END_FAILED,				/* an error, which it has logged */
	PGE_END_YIELDED				/* there is more to do; somebody else's turn */
} PgeWorkerEnd;

/* What is told from one worker of a database to the next. */
typedef struct PgeMemory
{
	int			failures;		/* errors since the last success */
	uint32		logged_error;	/* hash of the last error that was logged */
	int			lost;			/* workers in a row that did not say how they
								 * ended */
	int64		job_id;			/* the job that the last of them was at */
} PgeMemory;

typedef struct PgeWorkerSlot
{
	PgeWorkerState state;
	PgeDuty		duty;
	uint32		serial;			/* another one for each start */
	Oid			database;
	Latch	   *latch;			/* RUNNING: the worker's */
	bool		is_wanted;		/* it must look again before it ends */
	PgeWorkerEnd end;			/* ENDED: how */
	int64		again_ms;		/* ENDED idle: when there may be work, -1 if
								 * no time is known */
	PgeMemory	memory;			/* in and out; RUNNING: the worker's own */
} PgeWorkerSlot;

/* Of all who rewrap since the server started; all atomic. */
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
	pg_atomic_uint64 paced_us;	/* time that the rate limits asked for */
	pg_atomic_uint64 lag_waits; /* times that a standby was waited for */
} PgeRewrapCounters;

typedef struct PgeRewrapShared
{
	LWLock	   *lock;
	pid_t		launcher_pid;	/* 0 if there is none */
	bool		all_wanted;		/* every database is to be looked at */
	int			wanted_count;	/* else these are */
	Oid			wanted[PGE_WANTED_MAX];
	int			waiting_count;	/* databases that wait for a free worker */
	uint32		last_serial;
	PgeRewrapCounters counters;
	PgeWorkerSlot workers[PGE_WORKERS_MAX];
	PgeActivity activities[PGE_ACTIVITIES]; /* who rewraps: by its slot */
} PgeRewrapShared;

/* NULL unless the library was preloaded. */
extern PgeRewrapShared *pge_rewrap_shared;

/* Called with the other shared memory, in pge_shared.c. */
extern void pge_activity_request(void);
extern void pge_activity_attach(void);

/* Notes that a database is to be looked at, and wakes the launcher. */
extern void pge_activity_want(Oid database);

/*
 * The same, as soon as this transaction commits; nothing if it is rolled back.
 */
extern void pge_activity_want_at_commit(void);

/* Whether that was noted, and not taken up yet.  Caller holds the lock. */
extern bool pge_activity_is_wanted(Oid database);

/* Shows, from now to this process's end, what worker number i does. */
extern void pge_activity_begin_worker(int i);

/*
 * Shows what this process does.  In a session this lasts until the end of the
 * transaction, and shows nothing if too many are shown already.
 */
extern void pge_activity_show(int64 job_id, const char *phase,
							  const char *relation);

/*
 * Shows how far it is: call it as often as you like, it is cheap.  In a
 * worker it raises an error if a session wants the database for itself.
 */
extern void pge_activity_progress(uint64 done, uint64 total);

/* Adds to what the process shows that it did. */
extern void pge_activity_add(uint64 rows_seen, uint64 rewrapped);

/*
 * Whether somebody has a lock on a database that no session can connect
 * against, as DROP DATABASE and CREATE DATABASE ... TEMPLATE have.
 */
extern bool pge_database_is_locked(Oid database);

#endif							/* PGE_ACTIVITY_H */
