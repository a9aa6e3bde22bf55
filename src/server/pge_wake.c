/*
 * pge_wake.c
 *	  Waking the launcher when a transaction commits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"

#include "pge_activity.h"
#include "pge_commit.h"
#include "pge_launcher.h"

static void
want_database(int64 database)
{
	pge_activity_want((Oid) database);
}

/* If it is prepared, the timer finds what it filed. */
void
pge_launcher_wake(void)
{
	if (pge_rewrap_shared != NULL)
		pge_at_commit(want_database, MyDatabaseId, NULL);
}
