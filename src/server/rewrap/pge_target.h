/*
 * pge_target.h
 *	  The tables of a rewrap job, as rows: how far the job is in each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TARGET_H
#define PGE_TARGET_H

#include "rewrap/pge_job.h"

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
	int64		busy;			/* skipped, since in use */
} PgePass;

extern void pge_targets_sync(const PgeJob *job);

/* Picks the table to go on with.  False: none can be tried now. */
extern bool pge_target_next(const PgeJob *job, PgeTarget *target);
extern bool pge_target_find(const PgeJob *job, Oid relation,
							PgeTarget *target);

/* Records the result of a batch, and its cursor if it was one by blocks. */
extern void pge_target_record(const PgeJob *job, const PgeTarget *target,
							  const PgeBatch *batch, int64 elapsed_ms,
							  bool by_blocks);
extern void pge_target_add_found(const PgeJob *job, Oid relation,
								 uint64 found);

/* These make the job try the table later, in another way, or not at all. */
extern void pge_target_put_off(const PgeJob *job, const PgeTarget *target,
							   const char *error, int wait_ms);
extern void pge_target_begin_anew(const PgeJob *job, const PgeTarget *target);
extern void pge_target_fall_back(const PgeJob *job, const PgeTarget *target,
								 const char *reason);
extern void pge_target_uncover(const PgeJob *job, const PgeTarget *target,
							   const char *reason);
extern void pge_target_drop(const PgeJob *job, const PgeTarget *target);
extern void pge_pass_look(const PgeJob *job, PgePass *pass);

#endif							/* PGE_TARGET_H */
