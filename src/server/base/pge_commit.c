/*
 * pge_commit.c
 *	  Actions on shared memory to run when this transaction commits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "base/pge_commit.h"

typedef struct Pending
{
	PgeAtCommit action;
	int64		argument;
	const char *no_prepare;
	int			level;			/* of the subtransaction */
} Pending;

static List *pending;			/* of Pending */

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	ListCell   *cell;

	foreach(cell, pending)
	{
		const Pending *entry = lfirst(cell);

		if (event == XACT_EVENT_PRE_PREPARE && entry->no_prepare != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s", entry->no_prepare)));
		if (event == XACT_EVENT_COMMIT)
			entry->action(entry->argument);
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		list_free_deep(pending);
		pending = NIL;
	}
}

static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId mine,
						 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, pending)
	{
		Pending    *entry = lfirst(cell);

		if (entry->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->level = level - 1;
		else
			pending = foreach_delete_current(pending, cell);
	}
}

static void
append(PgeAtCommit action, int64 argument, const char *no_prepare)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	Pending    *entry = palloc(sizeof(Pending));

	entry->action = action;
	entry->argument = argument;
	entry->no_prepare = no_prepare;
	entry->level = GetCurrentTransactionNestLevel();
	pending = lappend(pending, entry);
	MemoryContextSwitchTo(old_context);
}

void
pge_at_commit(PgeAtCommit action, int64 argument, const char *no_prepare)
{
	static bool registered = false;
	ListCell   *cell;

	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		RegisterSubXactCallback(at_end_of_subtransaction, NULL);
		registered = true;
	}

	/* An action in the list lasts at least as long as a new one would. */
	foreach(cell, pending)
	{
		const Pending *entry = lfirst(cell);

		if (entry->action == action && entry->argument == argument)
			return;
	}
	append(action, argument, no_prepare);
}
