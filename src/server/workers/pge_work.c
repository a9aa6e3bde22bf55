/*
 * pge_work.c
 *	  A worker's transactions.  An error in one does not end the worker.
 *
 * They commit asynchronously, and so do not wait for a standby.  If a server
 * crash undoes the last steps of a job, it undoes the job's cursor with them,
 * and the steps are repeated.  The versions that they rely on are durable
 * before that, and so are locks that were written (ForceSyncCommit).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "catalog/pge_spi.h"
#include "workers/pge_work.h"

static PgeMemory *memory;
static MemoryContext work_context;

/* Keep settings of a role, a database or a file from stopping the worker. */
static void
pin_settings(void)
{
	static const char *const pinned[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
#if PGE_TRANSACTION_TIMEOUT
		{"transaction_timeout", "0"},
#endif
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"session_replication_role", "origin"},
		{"role", "none"},
		{"exit_on_error", "off"},
		{"standard_conforming_strings", "on"},
		{"zero_damaged_pages", "off"},
		{"synchronous_commit", "off"},
	};

	for (int i = 0; i < (int) lengthof(pinned); i++)
		SetConfigOption(pinned[i][0], pinned[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_type, PGC_SUSET,
					PGC_S_OVERRIDE);
}

void
pge_work_init(PgeMemory *memory_of_worker)
{
	memory = memory_of_worker;
	pin_settings();
	work_context = AllocSetContextCreate(TopMemoryContext,
										 "pgenvelope worker",
										 ALLOCSET_DEFAULT_SIZES);
}

static void
describe(void *arg)
{
	PgeWork    *work = arg;

	if (work->job_id != 0)
		errcontext("rewrap job " INT64_FORMAT, work->job_id);
}

/* Whether there is work for us in this database.  If not, logs why, once. */
static bool
is_schema_ours(void)
{
	char	   *version;
	PgeSchema	schema = pge_schema(&version);
	uint32		hash;

	if (schema == PGE_SCHEMA_OTHER)
	{
		hash = hash_bytes((const unsigned char *) version,
						  (int) strlen(version));
		if (hash != memory->logged_error)
			ereport(LOG,
					(errmsg("database \"%s\" has version %s of extension pgenvelope, and the library %s: nothing is done in it",
							get_database_name(MyDatabaseId), version,
							PGENVELOPE_VERSION)));
		memory->logged_error = hash;
	}
	return schema == PGE_SCHEMA_OURS;
}

static PgeWorkEnd
run_in_transaction(PgeWork *work)
{
	bool		is_ours;
	ErrorContextCallback callback;

	callback.callback = describe;
	callback.arg = work;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	is_ours = work->is_for_any || is_schema_ours();
	if (is_ours)
		work->run(work);
	PopActiveSnapshot();
	CommitTransactionCommand();
	error_context_stack = callback.previous;
	return is_ours ? PGE_WORK_DONE : PGE_WORK_ABSENT;
}

/* Logs the current error, unless it is the same as the last one. */
static void
log_error_once(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(work_context);
	ErrorData  *error = CopyErrorData();
	uint32		hash = hash_bytes((const unsigned char *) error->message,
								  (int) strlen(error->message)) ^
		(uint32) error->sqlerrcode;

	MemoryContextSwitchTo(old_context);
	if (hash != memory->logged_error)
		EmitErrorReport();
	memory->logged_error = hash;
}

PgeWorkEnd
pge_work_run(PgeWork *work)
{
	volatile PgeWorkEnd end = PGE_WORK_FAILED;

	PG_TRY();
	{
		end = run_in_transaction(work);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		error_context_stack = NULL;

		/* An error raised only to give up the database is no failure. */
		if (geterrcode() != ERRCODE_OBJECT_IN_USE ||
			!pge_database_is_locked(MyDatabaseId))
		{
			log_error_once();
			memory->failures++;
		}
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	MemoryContextReset(work_context);
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return end;
}

static void
run_note(PgeWork *work)
{
	PgeWriter	writer = pge_write_begin();

	pge_run("UPDATE pgenvelope.rewrap_job SET message = $2,"
			" not_before = greatest(not_before,"
			" pg_catalog.clock_timestamp() + $3 * '1 ms'::interval),"
			" lost_workers = $4 WHERE job_id = $1"
			" AND state IN ('waiting', 'running', 'proving')",
			pge_bigint(work->job_id), pge_text(work->message),
			pge_integer(work->wait_ms), pge_integer(memory->lost));
	pge_write_end(&writer);
}

PgeWorkEnd
pge_work_note(int64 job_id, const char *message, int wait_ms)
{
	PgeWork		work = {.run = run_note, .job_id = job_id};

	work.message = message;
	work.wait_ms = wait_ms;
	return pge_work_run(&work);
}
