/*
 * pge_job.h
 *	  Rewrap jobs: filing them, and doing them step by step.
 *
 * A step is one transaction.  It picks a table of the job, does a batch of it,
 * and records cursor, counters and failures; or it begins a pass; or it takes
 * the proof.  The worker is a loop around it, and so is any test.  Steps of
 * one database exclude each other (by a lock on pgenvelope.rewrap_job).  This
 * is also why no in-place write happens while a proof is taken.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_JOB_H
#define PGE_JOB_H

#include "rewrite/pge_batch.h"

/*
 * Files a job, with the writer's rights (pge_spi.h).  If the key has a job
 * already, that is cancelled.  The launcher is notified at commit.  Returns
 * the new job's number.
 */
extern int64 pge_job_file(uint64 key_id, bool reencrypt, uint16 target,
						  const char *created_by);

/* The job of a key that has not ended, and its target; 0 if there is none. */
extern int64 pge_job_live(uint64 key_id, int *target);

/*
 * Cancels a job, records why, and drops its failures.  False if it had ended
 * already.  Like pge_job_file, this needs the writer's rights.
 */
extern bool pge_job_cancel(int64 job_id, const char *message);

typedef enum PgeStepEnd
{
	PGE_STEP_MORE,				/* there is more to do now */
	PGE_STEP_WAIT,				/* nothing can be done for wait_ms */
	PGE_STEP_OVER				/* the job is complete, paused or cancelled */
} PgeStepEnd;

typedef struct PgeStepResult
{
	PgeStepEnd	end;
	int			wait_ms;
	char		phase[32];		/* for pg_stat_activity: "rewrapping", ... */
	char		relation[NAMEDATALEN * 2 + 2];	/* schema.table, or "" */
	char		state[16];		/* the job's state now */
	uint64		rows_seen;
	uint64		rewrapped;
	uint64		in_place;
	uint64		failed;
	uint64		busy;
	uint64		bytes;
	BlockNumber next_block;
	BlockNumber total_blocks;
	char		message[256];	/* "" or what to report */
} PgeStepResult;

/*
 * The live job to work on now, oldest first, or 0.  If it is 0, *wait_ms is
 * the time until there may be one (-1: none is waiting).
 */
extern int64 pge_job_next(int *wait_ms);

typedef struct PgeJob
{
	int64		job_id;
	bool		reencrypt;
	PgeRewrap	rewrap;
	char		state[16];
	int			pass;
	int			wait_ms;		/* until not_before; 0 if that is past */
	int64		left_behind;	/* by the last proof; -1: there was none */
	bool		first_write;	/* this transaction had written nothing before
								 * the step */
} PgeJob;

typedef enum PgeJobFound
{
	PGE_JOB_FOUND,
	PGE_JOB_MISSING,
	PGE_JOB_BUSY				/* another session is changing it */
} PgeJobFound;

/*
 * Reads a job.  Locks it, if that is possible at once, unless it is proving.
 */
extern PgeJobFound pge_job_load(int64 job_id, PgeJob *job);

/* Reads a job without locking it; false if there is none. */
extern bool pge_job_look(int64 job_id, PgeJob *job);

/* Waits for a job's lock.  False if the job's state has changed. */
extern bool pge_job_lock(const PgeJob *job);

/*
 * Changes a job's state, its message (NULL for none), and the time until which
 * it is left alone, both here and in its row.
 */
extern void pge_job_set(PgeJob *job, const char *state, const char *message,
						int wait_ms);
extern bool pge_job_is_in(const PgeJob *job, const char *state);

/* Begins the next pass: finds the tables anew. */
extern void pge_job_begin_pass(PgeJob *job);

#endif							/* PGE_JOB_H */
