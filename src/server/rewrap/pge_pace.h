/*
 * pge_pace.h
 *	  How fast a rewrap worker may go.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PACE_H
#define PGE_PACE_H

/* Call when a batch begins. */
extern void pge_pace_begin(void);

/*
 * Call when a batch has read this many rows and written this many bytes.
 * Returns the time, by pge_clock_ms, before which the next one must not begin.
 * Batches are not split, so the rate holds on average.  Unused time is lost: a
 * job that was held up does not hurry afterwards.
 */
extern int64 pge_pace_end(uint64 rows, uint64 bytes, bool held_up_vacuum);

/*
 * Whether a standby or logical subscriber lags behind by more than
 * pgenvelope.rewrap_max_lag_bytes or pgenvelope.rewrap_max_lag.  Its name goes
 * to name, of NAMEDATALEN bytes.  Call it outside of transactions, as often as
 * you like.
 */
extern bool pge_pace_is_lagging(char *name);

#endif							/* PGE_PACE_H */
