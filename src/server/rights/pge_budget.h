/*
 * pge_budget.h
 *	  Budgets of grants: how many values a role may open in a minute, and in
 *	  a transaction.
 *
 * What was opened is counted in shared memory (pge_tally.h), for the whole
 * cluster and for a transaction with all its parallel workers.  A process
 * takes credit from there in batches, more each time up to PGE_CREDIT_MAX,
 * never more than an eighth of what is left, and gives back what it has not
 * used when its transaction ends.  So a budget is never exceeded, but a value
 * may be refused while other processes still hold credit.
 *
 * A rollback of a transaction or a savepoint does not undo the count: the
 * values have been seen.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_BUDGET_H
#define PGE_BUDGET_H

#include "catalog/pge_catalog.h"

#define PGE_CREDIT_MAX 64

typedef enum PgeCharge
{
	PGE_CHARGED,
	PGE_OVER_MINUTE,
	PGE_OVER_TRANSACTION,
	PGE_UNCOUNTED				/* there is no place to count it */
} PgeCharge;

/* Charges one value to a grant's budgets, if it has any. */
extern PgeCharge pge_budget_charge(const PgeGrant *grant);

#endif							/* PGE_BUDGET_H */
