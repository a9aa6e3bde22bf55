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
settle(Account *account)
{
	PgeTally   *tally = account->minute_credit > 0 ?
		pge_tally_find(account->grant_id) :
		NULL;

	if (tally != NULL)
	{
		pge_count_return(&tally->opened, account->minute_credit,
						 account->minute_began_ms);
		pge_tally_release();
	}

	/* A parallel worker's leader goes on with the transaction. */
	if (account->transaction_credit > 0 && IsParallelWorker())
		pge_count_return(&account->tally->opened, account->transaction_credit,
						 0);
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

/* Credit of the current minute, or why there is none. */
static PgeCharge
provide_minute(Account *account, const PgeGrant *grant)
{
	int64		now_ms = pge_clock_ms();
	PgeTally   *tally;

	if (likely(account->minute_credit > 0 &&
			   now_ms < account->minute_began_ms + PGE_MINUTE_MS))
		return PGE_CHARGED;
	account->minute_credit = 0;
	tally = pge_tally_make(grant->grant_id);
	if (tally == NULL)
		return PGE_UNCOUNTED;
	account->minute_credit =
		pge_count_take(&tally->opened, grant->per_minute, account->batch,
					   now_ms, &account->minute_began_ms);
	pge_tally_release();
	return account->minute_credit > 0 ? PGE_CHARGED : PGE_OVER_MINUTE;
}

/* The same of the transaction. */
static PgeCharge
provide_transaction(Account *account, const PgeGrant *grant)
{
	int64		began_ms;

	if (likely(account->transaction_credit > 0))
		return PGE_CHARGED;
	if (account->tally == NULL)
		account->tally = pge_transaction_tally(grant->grant_id);
	if (account->tally == NULL)
		return PGE_UNCOUNTED;
	account->transaction_credit =
		pge_count_take(&account->tally->opened, grant->per_transaction,
					   account->batch, 0, &began_ms);
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
