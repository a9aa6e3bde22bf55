/*
 * pge_rewrap.h
 *	  Moving data keys from one version of a key to another, many at a time:
 *	  the cryptography and the decisions, without tables.
 *
 * A rewrap changes bytes 2..3 and 10..49 of a value and needs only the first
 * ENVL_OFFSET_NONCE bytes (docs/format.md).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REWRAP_H
#define PGE_REWRAP_H

#include "catalog/pge_catalog.h"
#include "core/envl_wrap.h"

/* The part of a value that a rewrap reads and writes. */
#define PGE_WRAP_PREFIX ENVL_OFFSET_NONCE

/* What to do with the values of one key. */
typedef struct PgeRewrap
{
	uint64		key_id;
	uint16		target;			/* version */
} PgeRewrap;

/*
 * Whether a value must be moved; len bytes of it are given.  That is so if it
 * has this key and another version than the target, and that version is not
 * pre_active: its share is on trial, and moving it back would end the trial.
 * Values of other keys, and what is no value at all, do not concern the job.
 */
extern bool pge_rewrap_wanted(const PgeRewrap *rewrap, const uint8 *prefix,
							  size_t len);

/*
 * As pge_rewrap_wanted, judged from the bytes alone, without the catalog.
 * False if the value stays, whatever the state of its version.
 */
extern bool pge_rewrap_concerns(const PgeRewrap *rewrap, const uint8 *prefix,
								size_t len);

/*
 * The version that values move to, which must be the active one.  NULL fills
 * in problem.
 */
extern PgeKeyVersion *pge_rewrap_target(const PgeRewrap *rewrap,
										PgeProblem *problem);

/* One value of a batch. */
typedef struct PgeRewrapItem
{
	uint8		old_prefix[PGE_WRAP_PREFIX];	/* as it is stored */
	uint8		new_prefix[PGE_WRAP_PREFIX];	/* out, if outcome is PGE_OK */
	PgeOutcome	outcome;		/* out: PGE_OK, or why it cannot be moved */
} PgeRewrapItem;

/*
 * Unwraps and wraps any number of values, ENVL_WRAP_BATCH at a time, and
 * unwraps every new wrap again to compare.  Each item has its own outcome: a
 * damaged header, a version that does not exist, is retired or destroyed, or a
 * wrap that does not open.  False fills in problem and makes all outcomes
 * invalid: a KEK is unavailable at the moment, or the target may not be
 * written. Data keys are wiped on every path, also by ereport.  Call
 * pge_catalog_begin first.
 */
extern bool pge_rewrap_items(const PgeRewrap *rewrap, PgeRewrapItem *items,
							 int count, PgeProblem *problem);

#endif							/* PGE_REWRAP_H */
