/*
 * pge_rewrap.h
 *	  Moving data keys from one version of a key to another, many at a time:
 *	  the cryptography and the decisions, without tables.
 *
 * A rewrap changes bytes 2..3 and 10..49 of a value and needs no others than
 * the first ENVL_OFFSET_NONCE (docs/format.md), so that is all it is given.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REWRAP_H
#define PGE_REWRAP_H

#include "catalog/pge_catalog.h"
#include "core/envl_wrap.h"

/* What a rewrap reads and writes of a value. */
#define PGE_WRAP_PREFIX ENVL_OFFSET_NONCE

/* What is wanted of the values of one key. */
typedef struct PgeRewrap
{
	uint64		key_id;
	uint16		target;			/* version */
} PgeRewrap;

/*
 * Whether a value, of which len bytes are given, has to be moved: it is of
 * this key, of another version than the target, and that version is not
 * pre_active (its share is on trial, and moving it back would end the trial).
 * Values of other keys, and what is no value at all, are not this job's.
 */
extern bool pge_rewrap_wanted(const PgeRewrap *rewrap, const uint8 *prefix,
							  size_t len);

/*
 * What of this the bytes alone say, without a look at the catalog: false if it
 * need not be moved, whatever the state of its version.
 */
extern bool pge_rewrap_concerns(const PgeRewrap *rewrap, const uint8 *prefix,
								size_t len);

/*
 * The version that values are moved to, which can only be the active one.
 * NULL fills in problem.
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
 * unwraps every new wrap again to compare.  Each has an outcome of its own:
 * damaged header, version that does not exist, is retired or destroyed, wrap
 * that does not open.  False fills in problem and says that no outcome is to
 * be believed: a KEK is unavailable at the moment, or the target may not be
 * written.  Data keys are wiped on every path, also by ereport.  Begin with
 * pge_catalog_begin.
 */
extern bool pge_rewrap_items(const PgeRewrap *rewrap, PgeRewrapItem *items,
							 int count, PgeProblem *problem);

#endif							/* PGE_REWRAP_H */
