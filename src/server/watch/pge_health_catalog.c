/*
 * pge_health_catalog.c
 *	  pgenvelope.health: jobs, rotations, second seals and the audit.
 *
 * The caller may be a readiness probe.  So what cannot be read is reported and
 * is no error, and no lock on the tables is waited for long.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "audit/pge_anchor.h"
#include "base/pge_compat.h"
#include "base/pge_try.h"
#include "catalog/pge_spi.h"
#include "keys/pge_keys_settings.h"
#include "rewrap/pge_activity.h"
#include "watch/pge_health.h"
#include "watch/pge_health_catalog.h"

/* ---------------------------------------------------------------- */
/* What the catalog says                                            */
/* ---------------------------------------------------------------- */

/*
 * Jobs.  $1 is true if a worker is busy or none can be, so that no job counts
 * as stalled.  A job that waits for something postpones itself (not_before).
 */
#define JOB_ROWS \
	"SELECT 'job' AS component, j.name, CASE WHEN j.state = 'paused'" \
	"  OR j.failed > 0 OR j.error IS NOT NULL OR j.is_stalled" \
	"  OR j.lost_workers > 2" \
	"  THEN 'degraded' ELSE 'ok' END AS status," \
	" 'Job ' || j.job_id || CASE" \
	"  WHEN j.state = 'paused' THEN ' is paused.'" \
	"  WHEN j.failed > 0 THEN ': ' || j.failed || ' values have failed.'" \
	"  WHEN j.error IS NOT NULL THEN ': ' || j.error" \
	"  WHEN j.is_stalled THEN ' has stood still for ten minutes.'" \
	"  ELSE ' is ' || j.state || '.' END" \
	" || coalesce(' (' || j.message || ')', '') AS message" \
	" FROM (SELECT r.*, k.name," \
	"  (SELECT count(*) FROM pgenvelope.rewrap_failure f" \
	"   WHERE f.job_id = r.job_id) AS failed," \
	"  (SELECT min(t.name || ': ' || t.last_error)" \
	"   FROM pgenvelope.rewrap_target t WHERE t.job_id = r.job_id" \
	"   AND t.state <> 'uncovered' AND t.errors > 2) AS error," \
	"  NOT $1 AND greatest(r.created_at, r.started_at, r.not_before," \
	"   (SELECT max(t.updated_at) FROM pgenvelope.rewrap_target t" \
	"    WHERE t.job_id = r.job_id))" \
	"   < clock_timestamp() - '10 minutes'::interval AS is_stalled" \
	"  FROM pgenvelope.rewrap_job r JOIN pgenvelope.key k USING (key_id)" \
	"  WHERE r.state IN ('waiting', 'running', 'proving', 'paused')) j"

/* Keys with scheduled rotation; a failed rotation is tried again. */
#define ROTATION_ROWS \
	"SELECT 'rotation', d.name, CASE WHEN d.due_at" \
	"  < clock_timestamp() - '1 hour'::interval" \
	"  THEN 'degraded' ELSE 'ok' END," \
	" CASE WHEN d.due_at < clock_timestamp() THEN 'It has been due since '" \
	"  ELSE 'It is due at ' END || date_trunc('second', d.due_at) || '.'" \
	" FROM (SELECT k.name, v.activated_at + k.rotate_every AS due_at" \
	"  FROM pgenvelope.key k JOIN pgenvelope.key_version v USING (key_id)" \
	"  WHERE v.state = 'active' AND k.rotate_every IS NOT NULL) d"

/* Versions without a second seal, if $2, the escrow provider, is set. */
#define ESCROW_ROWS \
	"SELECT 'escrow', $2, CASE WHEN e.missing > 0 THEN 'degraded'" \
	"  ELSE 'ok' END, CASE WHEN e.missing > 0 THEN e.missing" \
	"  || ' key versions have no second seal; pgenvelope.reseal_keys() makes it.'" \
	"  END FROM (SELECT count(*) AS missing FROM pgenvelope.key_version v" \
	"  WHERE v.sealed_kek IS NOT NULL AND NOT EXISTS (SELECT" \
	"   FROM pgenvelope.key_escrow s WHERE s.key_id = v.key_id" \
	"   AND s.version = v.version)) e WHERE $2 <> ''"

/* Rows whose key is missing after a restore. */
#define ORPHAN_ROWS \
	"SELECT 'catalog', o.finding, 'degraded'," \
	" 'Of this there are ' || sum(o.count)" \
	" || '; pgenvelope.lint() names them, and what to do.'" \
	" FROM pgenvelope.orphans o GROUP BY o.finding"

#define CATALOG_ROWS \
	"SELECT component, name COLLATE \"C\", status, message FROM (" JOB_ROWS " UNION ALL " ROTATION_ROWS " UNION ALL " ESCROW_ROWS \
	" UNION ALL " ORPHAN_ROWS ") r ORDER BY 1, 2"

/* Whether a worker is busy in this database, so that its jobs progress. */
static bool
is_worked_on(void)
{
	bool		is_busy = false;

	LWLockAcquire(pge_rewrap_shared->lock, LW_SHARED);
	for (int i = 0; i < PGE_ACTIVITIES; i++)
	{
		const PgeActivity *activity = &pge_rewrap_shared->activities[i];

		is_busy |= activity->pid != 0 && activity->job_id != 0 &&
			activity->database == MyDatabaseId;
	}
	LWLockRelease(pge_rewrap_shared->lock);
	return is_busy;
}

/* Reports that the state of a component is unknown, and why. */
static void
report_unknown(FunctionCallInfo fcinfo, const char *component,
			   const ErrorData *error)
{
	pge_health_report(fcinfo, component, NULL, DEGRADED,
					  error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ?
						  "Its tables are locked by another session." :
						  psprintf("Its tables cannot be read: SQLSTATE %s.",
								   unpack_sql_state(error->sqlerrcode)));
}

static void
report_catalog(void *argument)
{
	FunctionCallInfo fcinfo = argument;
	bool		moves = RecoveryInProgress() || is_worked_on();
	PgeWriter	writer = pge_write_begin();
	uint64		count = pge_run(CATALOG_ROWS, pge_boolean(moves),
								pge_text(pge_escrow_provider));

	for (int i = 0; i < (int) count; i++)
		pge_health_report(fcinfo, pge_row_text(i, 1), pge_row_text(i, 2),
						  pge_row_text(i, 3), pge_row_text(i, 4));
	pge_write_end(&writer);
}

void
pge_health_catalog(FunctionCallInfo fcinfo)
{
	ErrorData  *error = pge_try_soon(report_catalog, fcinfo);

	if (error != NULL)
		report_unknown(fcinfo, "catalog", error);
}

/* ---------------------------------------------------------------- */
/* The audit                                                        */
/* ---------------------------------------------------------------- */

/* Finds the number of the last entry, 0 if there is none. */
static void
find_last_entry(void *last)
{
	PgeWriter	writer = pge_write_begin();

	(void) pge_write_run("SELECT max(seq) FROM pgenvelope.audit_log", 0, NULL,
						 NULL, NULL);
	*(int64 *) last = pge_row_int(0, 1);
	pge_write_end(&writer);
}

/* What is wrong with the anchor and the log; NULL if nothing is. */
static const char *
find_trouble(PgeAnchorFile file, bool is_anchored, const PgeAnchor *head,
			 int64 last)
{
	if (file == PGE_ANCHOR_UNREADABLE)
		return "The anchor's file cannot be read; see pgenvelope.audit_anchor_directory.";
	if (file == PGE_ANCHOR_DAMAGED)
		return "The anchor's file is damaged; see pgenvelope.verify_audit().";
	if (pge_anchor_is_failing())
		return "The anchor's file cannot be written; the server's log says why.";
	if (!is_anchored)
		return "The log has no anchor; see pgenvelope.verify_audit().";
	if (head->seq > (uint64) last && !IsolationUsesXactSnapshot())
		return "The log ends before its anchor; see pgenvelope.verify_audit().";
	return NULL;
}

void
pge_health_audit(FunctionCallInfo fcinfo)
{
	PgeAnchor	head;
	PgeAnchor	written;
	PgeAnchorFile file = pge_anchor_read(&written);
	bool		is_anchored = pge_anchor_recall(&head);
	int64		last;
	ErrorData  *error;
	const char *trouble;

	if (!is_anchored && file == PGE_ANCHOR_READ)
		head = written;
	is_anchored |= file == PGE_ANCHOR_READ;
	error = pge_try_soon(find_last_entry, &last);
	if (error != NULL)
	{
		report_unknown(fcinfo, "audit", error);
		return;
	}
	if (last == 0 && !is_anchored && file == PGE_ANCHOR_ABSENT)
		return;					/* there is no audit key */
	trouble = find_trouble(file, is_anchored, &head, last);
	pge_health_report(fcinfo, "audit", NULL, trouble == NULL ? OK : DEGRADED,
					  trouble);
}

/* ---------------------------------------------------------------- */
/* Providers in use                                                 */
/* ---------------------------------------------------------------- */

/* Collects the names into *argument, a List in the caller's memory context. */
static void
find_used_providers(void *argument)
{
	List	  **names = argument;
	MemoryContext outer = CurrentMemoryContext;
	PgeWriter	writer = pge_write_begin();
	uint64		count;

	count = pge_write_run("SELECT provider FROM pgenvelope.key_version"
						  " WHERE sealed_kek IS NOT NULL"
						  " UNION SELECT provider FROM pgenvelope.key_escrow"
						  " ORDER BY 1",
						  0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		char	   *name = pge_row_text((int) i, 1);
		MemoryContext inner = MemoryContextSwitchTo(outer);

		*names = lappend(*names, makeString(pstrdup(name)));
		MemoryContextSwitchTo(inner);
	}
	pge_write_end(&writer);
}

List *
pge_health_used_providers(void)
{
	List	   *names = NIL;

	/* On failure the catalog's row gives the reason. */
	return pge_try_soon(find_used_providers, &names) == NULL ? names : NIL;
}
