/*
 * pge_step.h
 *	  What the parts of a rewrap job's step share: rows of the job's tables.
 *
 * All of this is called between pge_write_begin and pge_write_end.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_STEP_H
#define PGE_STEP_H

#include "executor/spi.h"

#include "catalog/pge_spi.h"
#include "rewrap/pge_job.h"

/* How long a step has others wait that meets a lock, in milliseconds. */
#define PGE_LOCK_WAIT_MS 500

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

/*
 * Has the step end by waiting for ms, and says why; with the job put off until
 * then, which says so, too.
 */
extern void pge_step_wait(PgeStepResult *result, int ms, const char *message);
extern void pge_job_wait(PgeJob *job, PgeStepResult *result, int ms,
						 const char *message);

/* The same, until failed values are tried again. */
extern void pge_job_wait_for_failures(PgeJob *job, PgeStepResult *result);

/* Has the next pass begin: finds the tables anew. */
extern void pge_job_begin_pass(PgeJob *job);

/* pge_target.c: the tables of a job. */
typedef struct PgeTarget
{
	Oid			relation;
	char	   *name;
	bool		in_place;
	Oid			relfilenode;
	BlockNumber next_block;
	BlockNumber total_blocks;	/* when the pass began */
	int			errors;			/* in a row */
} PgeTarget;

typedef struct PgePass
{
	int64		open;			/* tables that are not done yet */
	int			wait_ms;		/* until one of these may be tried */
	int64		found;			/* values found that did not fail */
	int64		busy;			/* passed over */
} PgePass;

extern void pge_targets_sync(const PgeJob *job);

/* The table to go on with; false: none can be tried now. */
extern bool pge_target_next(const PgeJob *job, PgeTarget *target);
extern bool pge_target_find(const PgeJob *job, Oid relation,
							PgeTarget *target);

/* Records what came of a batch, with its cursor if it was one by blocks. */
extern void pge_target_record(const PgeJob *job, const PgeTarget *target,
							  const PgeBatch *batch, int64 elapsed_ms,
							  bool by_blocks);
extern void pge_target_add_found(const PgeJob *job, Oid relation,
								 uint64 found);

/* The table is to be tried again later, or in another way, or not at all. */
extern void pge_target_put_off(const PgeJob *job, const PgeTarget *target,
							   const char *error, int wait_ms);
extern void pge_target_begin_anew(const PgeJob *job, const PgeTarget *target);
extern void pge_target_fall_back(const PgeJob *job, const PgeTarget *target,
								 const char *reason);
extern void pge_target_uncover(const PgeJob *job, const PgeTarget *target,
							   const char *reason);
extern void pge_target_drop(const PgeJob *job, const PgeTarget *target);
extern void pge_pass_look(const PgeJob *job, PgePass *pass);

/* pge_failure.c: the queue of values that failed. */

/* Queues failures; returns how many of them were not queued before. */
extern int	pge_failures_add(const PgeJob *job, Oid relation, List *failures);

/* How many values are queued; *wait_ms until the first is to be tried. */
extern int64 pge_failures_count(const PgeJob *job, int *wait_ms);

/*
 * Rows of one table with failures that are due: returns their number, with
 * palloc'd places.
 */
extern int	pge_failures_due(const PgeJob *job, Oid *relation,
							 ItemPointerData **tids);

/* Of the rows that were tried, forgets those that did not fail since. */
extern uint64 pge_failures_done(const PgeJob *job, Oid relation,
								const ItemPointerData *tids, int count,
								TimestampTz tried_at);

/* Has rows wait, that were not really tried. */
extern void pge_failures_put_off(const PgeJob *job, Oid relation,
								 const ItemPointerData *tids, int count,
								 int wait_ms);
/*
 * Forgets failures of a table that a whole pass has not met again: the rows
 * have moved, and are queued where they are now.
 */
extern void pge_failures_forget_stale(const PgeJob *job, Oid relation);
extern void pge_failures_forget(const PgeJob *job, Oid relation);

/*
 * pge_proof.c: notes whom the proof is to wait for, when the job begins and
 * when its passes are over; and a step of a job that is proving.
 */
extern void pge_proof_note_writers(const PgeJob *job);
extern void pge_proof_note_readers(const PgeJob *job);
extern void pge_proof_step(PgeJob *job, PgeStepResult *result);

#endif							/* PGE_STEP_H */
