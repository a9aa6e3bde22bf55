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

#endif							/* PGE_FAILURE_H */
