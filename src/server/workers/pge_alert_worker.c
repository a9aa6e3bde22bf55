/*
 * pge_alert_worker.c
 *	  A worker's duty to deliver: locks to the table, alerts to the listeners.
 *
 * If it cannot do all of it the launcher starts another worker, ever later;
 * what was not committed still waits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"

#include "catalog/pge_table.h"
#include "rights/pge_alert.h"
#include "rights/pge_lock.h"
#include "workers/pge_alert_worker.h"
#include "workers/pge_launcher.h"

static void
run_save(PgeWork *work)
{
	pgstat_report_activity(STATE_RUNNING, "pgenvelope: writing locks");
	pge_lock_save();
}

static void
run_send(PgeWork *work)
{
	pgstat_report_activity(STATE_RUNNING, "pgenvelope: delivering alerts");
	pge_alert_send();
}

/* Where the extension has yet to be updated, locks wait. */
static void
run_forget(PgeWork *work)
{
	if (pge_schema(NULL) == PGE_SCHEMA_ABSENT)
		pge_lock_forget(MyDatabaseId);
}

/*
 * Locks first: a listener may look for them.  In a transaction of their own,
 * as whoever may NOTIFY can keep others from it.  Where the extension was
 * dropped there is no grant to be locked.  Returns how much was delivered.
 */
static int
deliver_once(void)
{
	PgeWork		save = {.run = run_save};
	PgeWork		send = {.run = run_send, .is_for_any = true};
	PgeWork		forget = {.run = run_forget, .is_for_any = true};
	PgeWorkEnd	end = pge_work_run(&save);
	int			count = 0;

	if (end == PGE_WORK_DONE)
		count += pge_lock_saved();
	else if (end == PGE_WORK_ABSENT)
		(void) pge_work_run(&forget);
	if (pge_work_run(&send) == PGE_WORK_DONE)
		count += pge_alert_sent();
	return count;
}

PgeWorkerEnd
pge_deliver(PgeMemory *memory)
{
	int			failures = memory->failures;
	bool		is_done = false;

	/* Nobody is to hold us up. */
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);
	while (deliver_once() > 0)
	{
		is_done = true;
		CHECK_FOR_INTERRUPTS();
	}
	memory->failures = is_done ? 0 : failures + 1;
	return is_done ? PGE_END_IDLE : PGE_END_FAILED;
}
