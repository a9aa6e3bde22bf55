/*
 * pge_alert_worker.c
 *	  The duty to deliver: writes locks to the table, sends alerts to
 *	  listeners.
 *
 * If a worker cannot deliver everything, the launcher starts another one,
 * after a longer wait each time.  What was not committed stays queued.
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

/* Locks stay queued where the extension's update has yet to be run. */
static void
run_forget(PgeWork *work)
{
	if (pge_schema(NULL) == PGE_SCHEMA_ABSENT)
		pge_lock_forget(MyDatabaseId);
}

/*
 * Write locks first, since a listener may look for them; and in a transaction
 * of their own, since any role that may NOTIFY can make sending fail.  If the
 * extension was dropped there is no grant left to lock.  Returns how much was
 * delivered.
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

	/* Do not let another session's lock hold up delivery. */
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);
	while (deliver_once() > 0)
	{
		is_done = true;
		CHECK_FOR_INTERRUPTS();
	}
	memory->failures = is_done ? 0 : failures + 1;
	return is_done ? PGE_END_IDLE : PGE_END_FAILED;
}
