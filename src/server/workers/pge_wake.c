/*
 * pge_wake.c
 *	  Waking the launcher when a transaction commits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "rewrap/pge_activity.h"
#include "workers/pge_launcher.h"

/*
 * The outermost nesting level that asked, 0 if none did.  A deeper one need
 * not be remembered: it cannot outlive this one.
 */
static int	asking_level;

/*
 * A prepared transaction is forgotten: whoever commits it is another session,
 * and the timer finds what it filed.
 */
static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && asking_level > 0)
		pge_activity_want(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		asking_level = 0;
}

static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId mine,
						 SubTransactionId parent, void *arg)
{
	if (asking_level < GetCurrentTransactionNestLevel())
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		asking_level--;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		asking_level = 0;
}

void
pge_launcher_wake(void)
{
	static bool registered = false;
	int			level = GetCurrentTransactionNestLevel();

	if (pge_rewrap_shared == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		RegisterSubXactCallback(at_end_of_subtransaction, NULL);
		registered = true;
	}
	if (asking_level == 0 || level < asking_level)
		asking_level = level;
}
