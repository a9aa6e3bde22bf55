/*
 * pge_limit.h
 *	  Whether one more value may be opened: budgets and locks of the grants by
 *	  which the current user may decrypt.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LIMIT_H
#define PGE_LIMIT_H

#include "context/pge_context.h"
#include "rights/pge_lock.h"

/* Whether there is anything to ask: cheap, and mostly not. */
static inline bool
pge_limit_applies(const PgeKey *key)
{
	return unlikely(key->has_budget || key->has_lock ||
					key->lock_serial != pge_lock_serial());
}

/*
 * Whether one of the grants that match admits one more value.  A grant without
 * a budget is tried first, then one with budget left, which is charged, then
 * one whose budget only reports.  A locked grant never admits a value.  False
 * fills in problem, and the alert has been raised.
 */
extern bool pge_limit_admit(PgeKey *key, PgeContext *context,
							PgeProblem *problem);

#endif							/* PGE_LIMIT_H */
