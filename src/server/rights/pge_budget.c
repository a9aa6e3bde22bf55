/*
 * pge_budget.c
 *	  Budgets of grants: how many values a role may open in a minute, and in
 *	  a transaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "utils/hsearch.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "rights/pge_budget.h"
#include "rights/pge_tally.h"

/* What this process may yet open by a grant without asking again. */
typedef struct Account
{
	int64		grant_id;		/* hash key */
	struct Account *next;		/* the next that this transaction uses */
	bool		is_used;		/* by this transaction: in the list */
	uint32		batch;			/* how much credit to take next */
	uint32		minute_credit;
	int64		minute_began_ms;	/* of the minute it was taken from */
	uint32		transaction_credit;
	PgeTransactionTally *tally; /* NULL: not looked for yet */
} Account;

static HTAB *accounts;
static Account *used_accounts;	/* by this transaction */

/* ---------------------------------------------------------------- */
/* Accounts                                                         */
/* ---------------------------------------------------------------- */

static void
give_back_minute(PgeTally *tally, void *argument)
{
	const Account *account = argument;

	pge_minute_return(&tally->opened, account->minute_credit,
					  account->minute_began_ms);
}

static void
settle(Account *account)
{
	if (account->minute_credit > 0)
		(void) pge_tally_look(account->grant_id, give_back_minute, account);

	/* A parallel worker's leader goes on with the transaction. */
	if (account->transaction_credit > 0 && IsParallelWorker())
		pg_atomic_fetch_sub_u32(&account->tally->opened,
								account->transaction_credit);
	account->is_used = false;
	account->minute_credit = account->transaction_credit = 0;
	account->tally = NULL;
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE && event != XACT_EVENT_PARALLEL_COMMIT &&
		event != XACT_EVENT_PARALLEL_ABORT)
		return;
	for (Account *account = used_accounts; account != NULL;
		 account = account->next)
		settle(account);
	used_accounts = NULL;
}

static void
create_accounts(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(int64);
	control.entrysize = sizeof(Account);
	accounts = hash_create("pgenvelope budgets", 16, &control,
						   HASH_ELEM | HASH_BLOBS);
	RegisterXactCallback(at_end_of_transaction, NULL);
}

static Account *
account_of(const PgeGrant *grant)
{
	Account    *account = used_accounts;
	bool		found;

	if (likely(account != NULL && account->grant_id == grant->grant_id))
		return account;
	if (accounts == NULL)
		create_accounts();
	account = hash_search(accounts, &grant->grant_id, HASH_ENTER, &found);
	if (!found)
		memset(&account->next, 0,
			   sizeof(Account) - offsetof(Account, next));
	if (!account->is_used)
	{
		account->is_used = true;
		account->batch = 1;
		account->next = used_accounts;
		used_accounts = account;
	}
	return account;
}

/* ---------------------------------------------------------------- */
/* Credit                                                           */
/* ---------------------------------------------------------------- */

typedef struct Taking
{
	Account    *account;
	uint32		allowed;
	int64		now_ms;
} Taking;

static void
take_minute(PgeTally *tally, void *argument)
{
	Taking	   *taking = argument;
	Account    *account = taking->account;

	account->minute_credit = pge_minute_take(&tally->opened, taking->allowed,
											 account->batch, taking->now_ms,
											 &account->minute_began_ms);
}

/* Credit of the current minute, or why there is none. */
static PgeCharge
provide_minute(Account *account, const PgeGrant *grant)
{
	Taking		taking = {account, grant->per_minute, pge_clock_ms()};

	if (likely(account->minute_credit > 0 &&
			   taking.now_ms < account->minute_began_ms + PGE_MINUTE_MS))
		return PGE_CHARGED;
	account->minute_credit = 0;
	if (!pge_tally_with(grant->grant_id, take_minute, &taking))
		return PGE_UNCOUNTED;
	return account->minute_credit > 0 ? PGE_CHARGED : PGE_OVER_MINUTE;
}

/* The same of the transaction. */
static PgeCharge
provide_transaction(Account *account, const PgeGrant *grant)
{
	if (likely(account->transaction_credit > 0))
		return PGE_CHARGED;
	if (account->tally == NULL)
		account->tally = pge_transaction_tally(grant->grant_id);
	if (account->tally == NULL)
		return PGE_UNCOUNTED;
	account->transaction_credit =
		pge_transaction_take(account->tally, grant->per_transaction,
							 account->batch);
	return account->transaction_credit > 0 ? PGE_CHARGED :
											 PGE_OVER_TRANSACTION;
}

PgeCharge
pge_budget_charge(const PgeGrant *grant)
{
	Account    *account = account_of(grant);
	PgeCharge	charge = PGE_CHARGED;
	bool		had_credit = account->minute_credit > 0 ||
		account->transaction_credit > 0;

	if (grant->per_transaction > 0)
		charge = provide_transaction(account, grant);
	if (charge == PGE_CHARGED && grant->per_minute > 0)
		charge = provide_minute(account, grant);
	if (charge != PGE_CHARGED)
		return charge;
	if (!had_credit)
		account->batch = Min(account->batch * 2, PGE_CREDIT_MAX);
	if (grant->per_transaction > 0)
		account->transaction_credit--;
	if (grant->per_minute > 0)
		account->minute_credit--;
	return PGE_CHARGED;
}
