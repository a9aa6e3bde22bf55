/*
 * pge_try.c
 *	  Tries an operation that may fail, in a subtransaction.
 *
 * Only the caller may raise the error again, after this subtransaction is
 * gone.  So code that catches it then undoes no more than its own work.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/pge_try.h"

/* How long pge_try_soon waits for a lock, in milliseconds. */
#define SOON_MS 250
#define SOON "250"

ErrorData *
pge_try(void (*work)(void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/* The work that pge_try_soon was given. */
typedef struct Errand
{
	void (*work)(void *argument);
	void	   *argument;
} Errand;

static void
do_soon(void *argument)
{
	const Errand *errand = argument;
	int			nest_level = NewGUCNestLevel();

	if (LockTimeout == 0 || LockTimeout > SOON_MS)
		(void) set_config_option("lock_timeout", SOON, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	errand->work(errand->argument);
	AtEOXact_GUC(true, nest_level);
}

ErrorData *
pge_try_soon(void (*work)(void *argument), void *argument)
{
	Errand		errand = {work, argument};
	ErrorData  *error = pge_try(do_soon, &errand);

	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}
