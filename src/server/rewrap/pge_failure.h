/*
 * pge_failure.h
 *	  The queue of values that could not be rewrapped.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_FAILURE_H
#define PGE_FAILURE_H

#include "rewrap/pge_job.h"

/* Queues failures.  Returns how many of them were not in the queue before. */
extern int	pge_failures_add(const PgeJob *job, Oid relation, List *failures);

/*
 * How many values are queued.  Sets *wait_ms to the time until the next try.
 */
extern int64 pge_failures_count(const PgeJob *job, int *wait_ms);

/*
 * Finds rows of one table whose failures are due.  Returns how many, and their
 * places, palloc'd.
 */
extern int	pge_failures_due(const PgeJob *job, Oid *relation,
							 ItemPointerData **tids);

/* Drops the entries of rows that were tried and did not fail again. */
extern uint64 pge_failures_done(const PgeJob *job, Oid relation,
								const ItemPointerData *tids, int count,
								TimestampTz tried_at);

/* Puts off rows that were not really tried. */
extern void pge_failures_put_off(const PgeJob *job, Oid relation,
								 const ItemPointerData *tids, int count,
								 int wait_ms);

/*
 * Drops a table's failures that a whole pass has not met again: their rows
 * have moved, and are queued under their new places.
 */
extern void pge_failures_forget_stale(const PgeJob *job, Oid relation);
extern void pge_failures_forget(const PgeJob *job, Oid relation);

#endif							/* PGE_FAILURE_H */
