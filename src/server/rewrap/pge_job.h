/*
 * pge_job.h
 *	  Rewrap jobs: filing them, and doing them step by step.
 *
 * A step is one transaction: it picks a table of the job, has a batch of it
 * done, records cursor, counters and failures, or begins a pass, or takes the
 * proof.  The worker is a loop around it, and so is any test.  Steps of one
 * database exclude each other (a lock on pgenvelope.rewrap_job), which is
 * also why no in-place write happens while a proof is taken.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_JOB_H
#define PGE_JOB_H

#include "rewrite/pge_batch.h"

/*
 * Files a job, by the writer's rights (pge_spi.h), in place of one that the
 * key may have, which is cancelled; the launcher hears of it at commit.
 * Returns its number.
 */
extern int64 pge_job_file(uint64 key_id, bool reencrypt, uint16 target,
						  const char *created_by);

/* The job of a key that is not over, and its target; 0 if there is none. */
extern int64 pge_job_live(uint64 key_id, int *target);

/*
 * Cancels a job, says why, and forgets what had failed; false if it was over.
 * Both by the writer's rights.
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
	char		state[16];		/* of the job, now */
	uint64		rows_seen;
	uint64		rewrapped;
	uint64		in_place;
	uint64		failed;
	uint64		busy;
	uint64		bytes;
	BlockNumber next_block;
	BlockNumber total_blocks;
	char		message[256];	/* "" or what is to be told */
} PgeStepResult;

/*
 * The live job that is to be worked on now, oldest first, or 0; *wait_ms is
 * then how long until there may be one (-1: none is waiting).
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
	PGE_JOB_BUSY				/* somebody else is changing it */
} PgeJobFound;

/* Reads a job; locks it, if it can be locked at once, unless it is proving. */
extern PgeJobFound pge_job_load(int64 job_id, PgeJob *job);

/* Reads a job without locking it; false if there is none. */
extern bool pge_job_look(int64 job_id, PgeJob *job);

/* Locks a job, waiting; false if it is no longer in the state that it was. */
extern bool pge_job_lock(const PgeJob *job);

/*
 * Changes a job's state, message (NULL for none), and the time before which
 * nothing is done on it, here and in its row.
 */
extern void pge_job_set(PgeJob *job, const char *state, const char *message,
						int wait_ms);
extern bool pge_job_is_in(const PgeJob *job, const char *state);

/* Has the next pass begin: finds the tables anew. */
extern void pge_job_begin_pass(PgeJob *job);

#endif							/* PGE_JOB_H */
