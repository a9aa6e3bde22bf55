/*
 * pge_limit.c
 *	  Whether one more value may be opened.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"

#include "rights/pge_alert.h"
#include "rights/pge_budget.h"
#include "rights/pge_entitlement.h"
#include "rights/pge_limit.h"

/* ---------------------------------------------------------------- */
/* Asking                                                           */
/* ---------------------------------------------------------------- */

/* Updates which of the key's grants are locked, if any lock has changed. */
static void
look_for_locks(PgeKey *key)
{
	uint64		serial = pge_lock_serial();

	if (key->lock_serial == serial)
		return;
	key->has_lock = false;
	for (int i = 0; i < key->grant_count; i++)
	{
		PgeGrant   *grant = &key->grants[i];

		grant->is_locked = grant->privilege == PGE_DECRYPT &&
			pge_grant_is_locked(grant);
		key->has_lock = key->has_lock || grant->is_locked;
	}
	key->lock_serial = serial;
}

/* The result of trying the grants that match. */
typedef struct Verdict
{
	const PgeGrant *serving;	/* NULL: none does */
	const PgeGrant *over;		/* over its budget, and only reports if one
								 * such is there */
	PgeCharge	charge;			/* what of it */
	const PgeGrant *locked;
} Verdict;

static void
try_budget(const PgeGrant *grant, Verdict *verdict)
{
	PgeCharge	charge = pge_budget_charge(grant);

	if (charge == PGE_CHARGED)
		verdict->serving = grant;
	else if (verdict->over == NULL ||
			 (grant->only_reports && !verdict->over->only_reports))
	{
		verdict->over = grant;
		verdict->charge = charge;
	}
}

static void
judge(const PgeGrant *const *grants, int count, Verdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	for (int i = 0; i < count; i++)
	{
		if (grants[i]->is_locked)
			verdict->locked = grants[i];
		else if (!pge_grant_has_budget(grants[i]))
			verdict->serving = grants[i];
	}
	for (int i = 0; i < count && verdict->serving == NULL; i++)
	{
		if (!grants[i]->is_locked)
			try_budget(grants[i], verdict);
	}
}

/* ---------------------------------------------------------------- */
/* Answering                                                        */
/* ---------------------------------------------------------------- */

static bool
refuse_locked(const PgeKey *key, const PgeGrant *grant, PgeProblem *problem)
{
	PgeAlert	alert = {.kind = PGE_ALERT_LOCKED, .key = key};

	alert.grant_id = grant->grant_id;
	alert.action = "deny";
	pge_alert(&alert);
	pge_problem(problem, PGE_NOT_ENTITLED,
				"Whoever holds \"grant\" on the key can unlock it with pgenvelope.unlock_grant.",
				"permission denied for key \"%s\"", key->name);
	pge_problem_detail(problem, "The grant by which role \"%s\" could decrypt is locked.",
					   GetUserNameFromId(GetUserId(), true));
	return false;
}

static void
explain_over(const PgeGrant *grant, PgeCharge charge, PgeProblem *problem)
{
	if (charge == PGE_OVER_MINUTE)
		pge_problem_detail(problem, "Its grant allows %d values a minute.",
						   grant->per_minute);
	else if (charge == PGE_OVER_TRANSACTION)
		pge_problem_detail(problem, "Its grant allows %d values a transaction.",
						   grant->per_transaction);
	else
		pge_problem_detail(problem, "Too many grants with budgets are in use to count another.");
}

/* Raises a budget's alert; false if the budget must be enforced. */
static bool
answer_over(const PgeKey *key, const Verdict *verdict, PgeProblem *problem)
{
	const PgeGrant *grant = verdict->over;
	bool		is_minute = verdict->charge == PGE_OVER_MINUTE;
	PgeAlert	alert = {.kind = PGE_ALERT_BUDGET, .key = key};

	alert.grant_id = grant->grant_id;
	alert.action = grant->only_reports ? "report" : "deny";
	if (verdict->charge != PGE_UNCOUNTED)
	{
		alert.limit = is_minute ? "minute" : "transaction";
		alert.allowed = is_minute ? grant->per_minute : grant->per_transaction;
	}
	pge_alert(&alert);
	if (grant->only_reports)
		return true;
	pge_problem(problem, PGE_OVER_BUDGET,
				"Whoever holds \"grant\" on the key can change it with pgenvelope.limit_grant.",
				"decrypt budget of role \"%s\" for key \"%s\" is spent",
				GetUserNameFromId(GetUserId(), true), key->name);
	explain_over(grant, verdict->charge, problem);
	return false;
}

bool
pge_limit_admit(PgeKey *key, PgeContext *context, PgeProblem *problem)
{
	const PgeGrant *const *grants;
	int			count;
	Verdict		verdict;

	look_for_locks(key);
	if (!key->has_budget && !key->has_lock)
		return true;
	grants = pge_entitled_all(key, PGE_DECRYPT, context, &count);
	judge(grants, count, &verdict);
	if (likely(verdict.serving != NULL))
		return true;
	if (verdict.over != NULL)
		return answer_over(key, &verdict, problem);
	if (verdict.locked != NULL)
		return refuse_locked(key, verdict.locked, problem);
	elog(ERROR, "no grant to decrypt with");
	return false;
}
