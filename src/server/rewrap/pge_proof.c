/*
 * pge_proof.c
 *	  The proof that no value needs a version: one scan of everything, under
 *	  one snapshot.
 *
 * A pass by block ranges proves nothing, since an UPDATE can move a row behind
 * its cursor.  A snapshot alone proves nothing either, while an open
 * transaction holds an old value and may still write it.  Such a transaction
 * can have the value in two ways.
 *
 * It may have encrypted the value.  Then it was running when the change of
 * versions took effect: a statement that begins after a commit learns of the
 * change before it encrypts anything (pge_catalog.c, hear_of_changes), and a
 * transaction that begins later has no earlier statement.  So the job's first
 * step, which comes after that commit, notes all transactions that are
 * running.
 *
 * Or it may have read the value, even if it began later.  Then it was running
 * when the last pass ended: a transaction that begins after that finds no old
 * value, except one that a noted transaction wrote.  It also has a lock on the
 * table, and keeps it until its end.  So at the end of the passes we note the
 * transactions that have touched a table with envelopes.  We also note those
 * that have an older snapshot, in case they touch such a table while the proof
 * is being taken.
 *
 * The proof waits for no other transaction, however long that reads something
 * else.  It does not cover what an old snapshot lets a transaction read, and
 * write, only after the proof.  Nor does it cover what an application has read
 * and writes in another transaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_failure.h"
#include "rewrap/pge_job.h"
#include "rewrap/pge_places.h"
#include "rewrap/pge_proof.h"
#include "rewrap/pge_step.h"

static const char waits_message[] =
	"waiting for transactions that may yet write old values";

/* How long a proof waits for a table's lock. */
#define LOCK_TIMEOUT "1min"

/* The result of a census. */
typedef struct Census
{
	TimestampTz taken_at;
	XLogRecPtr	lsn;
	int			tables;
	int64		values_read;
	List	   *counts;
	List	   *places;
} Census;

/* ---------------------------------------------------------------- */
/* Waiting for earlier transactions                                 */
/* ---------------------------------------------------------------- */

/* Suffix of a noted transaction that is waited for only if it uses a table. */
#define IF_USER '?'

static char *
transaction_name(VirtualTransactionId transaction)
{
	return psprintf("%d/%u", pge_vxid_backend(transaction),
					transaction.localTransactionId);
}

/*
 * Lists the names of this database's other transactions, prepared ones too.
 * Optionally lists only those with a snapshot.
 */
static List *
running_transactions(bool with_snapshot)
{
	int			count;
	VirtualTransactionId *running = GetCurrentVirtualXIDs(
		InvalidTransactionId, with_snapshot, false,
		PROC_IS_AUTOVACUUM | PROC_IN_VACUUM, &count);
	List	   *names = NIL;

	for (int i = 0; i < count; i++)
		names = lappend(names, makeString(transaction_name(running[i])));
	return names;
}

/* Lists those of them that have touched a table with envelopes. */
static List *
users_of_tables(void)
{
	List	   *running = running_transactions(false);
	List	   *users = NIL;
	List	   *places = running == NIL ? NIL : pge_places();
	ListCell   *cell;

	foreach(cell, places)
	{
		PgePlace   *place = lfirst(cell);
		LOCKTAG		tag;
		VirtualTransactionId *holders;
		int			count;

		if (place->uncovered != NULL)
			continue;
		SET_LOCKTAG_RELATION(tag, MyDatabaseId, place->relation);
		holders = GetLockConflicts(&tag, AccessExclusiveLock, &count);
		for (int i = 0; i < count; i++)
			users = list_append_unique(
				users, makeString(transaction_name(holders[i])));
	}
	return list_intersection(running, users);
}

static Datum
names_datum(List *names, List *names_if_user)
{
	int			count = 0;
	Datum	   *elements = palloc(
		(list_length(names) + list_length(names_if_user) + 1) * sizeof(Datum));
	ListCell   *cell;

	foreach(cell, names)
		elements[count++] = CStringGetTextDatum(strVal(lfirst(cell)));
	foreach(cell, names_if_user)
		elements[count++] = CStringGetTextDatum(
			psprintf("%s%c", strVal(lfirst(cell)), IF_USER));
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * Notes all transactions, and which versions had stopped encrypting before
 * that.  A transaction that changes a version's state keeps its lock until all
 * sessions can learn of the change, so we need that lock.
 */
static bool
note_transactions(const PgeJob *job)
{
	Oid			table = pge_table("key_version");
	Datum		names;

	if (!ConditionalLockRelationOid(table, ShareLock))
		return false;
	names = names_datum(running_transactions(false), NIL);
	pge_run("UPDATE pgenvelope.rewrap_job SET waits_since = $3,"
			" waits_for = $2,"
			" proves = ARRAY(SELECT version"
			" FROM pgenvelope.key_version WHERE key_id = $4"
			" AND state IN ('deactivated', 'retired'))"
			" WHERE job_id = $1",
			pge_bigint(job->job_id), pge_parameter(TEXTARRAYOID, names),
			pge_timestamp(pge_shared->started_at),
			pge_bigint((int64) job->rewrap.key_id));
	UnlockRelationOid(table, ShareLock);
	return true;
}

/*
 * Whether transactions have been noted since the server started and since the
 * last version stopped encrypting.
 */
static bool
has_noted(const PgeJob *job)
{
	return pge_run("SELECT FROM pgenvelope.rewrap_job j"
				   " WHERE job_id = $1 AND waits_since = $2"
				   " AND NOT EXISTS (SELECT FROM pgenvelope.key_version v"
				   " WHERE v.key_id = j.key_id"
				   " AND state IN ('deactivated', 'retired')"
				   " AND version <> ALL (proves))",
				   pge_bigint(job->job_id),
				   pge_timestamp(pge_shared->started_at)) > 0;
}

void
pge_proof_note_writers(const PgeJob *job)
{
	/*
	 * No session knows yet of an uncommitted change; the proof step will note.
	 */
	if (!pge_catalog_changed_here())
		(void) note_transactions(job);
}

void
pge_proof_note_readers(const PgeJob *job)
{
	Datum		names = names_datum(users_of_tables(),
									running_transactions(true));

	/*
	 * Until this transaction commits, others still find the old values that it
	 * has moved.  In that case the proof step notes all transactions.
	 */
	pge_run("UPDATE pgenvelope.rewrap_job SET"
			" waits_since = CASE WHEN $3 THEN waits_since END,"
			" waits_for = ARRAY(SELECT DISTINCT name"
			" FROM unnest(waits_for || $2) AS name ORDER BY name)"
			" WHERE job_id = $1",
			pge_bigint(job->job_id),
			pge_parameter(TEXTARRAYOID, names),
			pge_boolean(job->first_write));
}

/* A transaction that was prepared meanwhile still counts as running. */
static bool
is_running(const char *name)
{
	VirtualTransactionId transaction;
	int			backend;

	if (sscanf(name, "%d/%u", &backend, &transaction.localTransactionId) != 2)
		return false;
	pge_set_vxid_backend(&transaction, backend);
	return !VirtualXactLock(transaction, false);
}

/* Whether any of the noted transactions is still running. */
static bool
still_running(const PgeJob *job)
{
	List	   *if_users = NIL;
	uint64		count;

	count = pge_run("SELECT unnest(waits_for)"
					" FROM pgenvelope.rewrap_job WHERE job_id = $1",
					pge_bigint(job->job_id));
	for (uint64 i = 0; i < count; i++)
	{
		char	   *name = pge_row_text((int) i, 1);
		char	   *mark = strchr(name, IF_USER);

		if (mark != NULL)
			*mark = '\0';
		if (!is_running(name))
			continue;
		if (mark == NULL)
			return true;
		if_users = lappend(if_users, makeString(name));
	}
	return if_users != NIL &&
		list_intersection(if_users, users_of_tables()) != NIL;
}

/* ---------------------------------------------------------------- */
/* The scan                                                         */
/* ---------------------------------------------------------------- */

/* Shows how far the scan is.  False: the job was paused or cancelled. */
static bool
look_up(void *argument, const PgePlace *place, BlockNumber block,
		BlockNumber total)
{
	const PgeJob *job = argument;
	PgeJob		now;

	if (block == 0)
		pge_activity_show(job->job_id, "proving", place->name);
	pge_point(PGE_POINT_COUNT);
	pge_activity_progress(block, total);
	return pge_job_look(job->job_id, &now) && pge_job_is_in(&now, job->state);
}

/*
 * Takes the census with a limit on waiting for locks.  If a table stays
 * locked, that is an error: we must not keep the snapshot, and let other jobs
 * wait, for that long.
 */
static PgeCensusEnd
take_census(PgeJob *job, Census *census)
{
	PgeCensusEnd end;
	ListCell   *cell;
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	memset(census, 0, sizeof(Census));

	/* Find all the places that the snapshot has, and no newer ones. */
	PushActiveSnapshot(GetTransactionSnapshot());
	census->places = pge_places_then();
	census->lsn = GetXLogInsertRecPtr();
	census->taken_at = GetCurrentTimestamp();
	end = pge_census(census->places, GetActiveSnapshot(), look_up, job,
					 &census->counts);
	PopActiveSnapshot();
	AtEOXact_GUC(true, nest_level);
	foreach(cell, census->places)
	{
		if (((PgePlace *) lfirst(cell))->uncovered == NULL)
			census->tables++;
	}
	foreach(cell, census->counts)
	{
		census->values_read += ((PgeCount *) lfirst(cell))->count;
	}
	return end;
}

static void
save_census(const Census *census)
{
	ListCell   *cell;

	pge_write_run("DELETE FROM pgenvelope.census_count", 0, NULL, NULL, NULL);
	foreach(cell, census->counts)
	{
		PgeCount   *count = lfirst(cell);

		pge_run("INSERT INTO pgenvelope.census_count (relation, attribute,"
				" key_id, version, count, taken_at)"
				" VALUES ($1, $2, $3, $4, $5, $6)",
				pge_oid(count->relation),
				pge_parameter(INT2OID, Int16GetDatum(count->attribute)),
				pge_bigint((int64) count->key_id), pge_integer(count->version),
				pge_bigint((int64) count->count),
				pge_timestamp(census->taken_at));
	}
}

/* How many values the job should have moved, and a column that has some. */
static int64
left_behind(const PgeJob *job, char **where)
{
	pge_run("SELECT COALESCE(sum(count), 0)::bigint,"
			" min(relation::regclass::text)"
			" FROM pgenvelope.census_count c"
			" LEFT JOIN pgenvelope.key_version v USING (key_id, version)"
			" WHERE key_id = $1 AND version <> $2"
			" AND v.state IS DISTINCT FROM 'pre_active'",
			pge_bigint((int64) job->rewrap.key_id),
			pge_integer(job->rewrap.target));
	*where = pge_row_text(0, 2);
	return pge_row_int(0, 1);
}

static void
write_proofs(const PgeJob *job, const Census *census)
{
	pge_run("INSERT INTO pgenvelope.key_proof (key_id, version, proved_at,"
			" lsn, tables, values_read, job_id, uncovered)"
			" SELECT $1, version, $3, $4, $5, $6, $2, $7"
			" FROM pgenvelope.key_version v"
			" WHERE key_id = $1 AND state IN ('deactivated', 'retired')"
			" AND version = ANY ((SELECT proves FROM pgenvelope.rewrap_job"
			" WHERE job_id = $2)::integer[])"
			" AND NOT EXISTS (SELECT FROM pgenvelope.census_count c"
			" WHERE c.key_id = $1 AND c.version = v.version)"
			" ON CONFLICT (key_id, version) DO UPDATE SET"
			" proved_at = EXCLUDED.proved_at, lsn = EXCLUDED.lsn,"
			" tables = EXCLUDED.tables, values_read = EXCLUDED.values_read,"
			" job_id = EXCLUDED.job_id, uncovered = EXCLUDED.uncovered",
			pge_bigint((int64) job->rewrap.key_id), pge_bigint(job->job_id),
			pge_timestamp(census->taken_at),
			pge_parameter(PG_LSNOID, LSNGetDatum(census->lsn)),
			pge_integer(census->tables), pge_bigint(census->values_read),
			pge_integer(list_length(census->places) - census->tables));
}

/*
 * What the proof does not cover: NULL, or a sentence that names some places.
 */
static const char *
uncovered_message(const Census *census)
{
	StringInfoData message;
	int			count = 0;
	ListCell   *cell;

	initStringInfo(&message);
	foreach(cell, census->places)
	{
		PgePlace   *place = lfirst(cell);

		if (place->uncovered == NULL)
			continue;
		if (count++ < 3)
			appendStringInfo(&message, "%s%s (%s)",
							 count == 1 ? "not covered: " : ", ", place->name,
							 place->uncovered);
	}
	if (count > 3)
		appendStringInfo(&message, " and %d more", count - 3);
	return count == 0 ? NULL : message.data;
}

/* ---------------------------------------------------------------- */
/* The step                                                         */
/* ---------------------------------------------------------------- */

static void
set_left_behind(PgeJob *job, int64 left)
{
	pge_run("UPDATE pgenvelope.rewrap_job SET left_behind = $2"
			" WHERE job_id = $1",
			pge_bigint(job->job_id), pge_bigint(left));
}

/*
 * Values were written since the last pass, and another pass will find them.
 * But if the last pass failed to find just as many, an operator has to look.
 */
static void
go_on(PgeJob *job, int64 left, const char *where)
{
	char	   *message = psprintf("%lld values of other versions were found, in %s and maybe elsewhere",
								   (long long) left, where);

	if (left == job->left_behind)
	{
		pge_job_set(job, "paused",
					psprintf("%s; no pass can move them", message), 0);
		return;
	}
	set_left_behind(job, left);
	pge_job_set(job, "running", message, 0);
	pge_job_begin_pass(job);
}

static void
prove(PgeJob *job, PgeStepResult *result)
{
	Census		census;
	PgeCensusEnd end = take_census(job, &census);
	int64		left;
	int64		failures;
	int			unused;
	char	   *where;
	const char *uncovered;

	/* It took a while: the job may have been paused or cancelled. */
	if (end == PGE_CENSUS_STOPPED || !pge_job_lock(job))
	{
		result->end = PGE_STEP_MORE;
		return;
	}
	if (end == PGE_CENSUS_CHANGED)
	{
		pge_job_wait(job, result, PGE_LOCK_WAIT_MS,
					 "a table was changed during the proof, which begins again");
		return;
	}
	if (still_running(job))
	{
		pge_job_wait(job, result, PGE_LOCK_WAIT_MS, waits_message);
		return;
	}
	save_census(&census);
	write_proofs(job, &census);
	left = left_behind(job, &where);
	failures = pge_failures_count(job, &unused);
	result->end = PGE_STEP_MORE;
	if (left > failures)
	{
		go_on(job, left, where);
		return;
	}
	if (failures > 0)
	{
		set_left_behind(job, 0);
		pge_job_wait_for_failures(job, result);
		return;
	}
	pge_point(PGE_POINT_PROOF);
	uncovered = uncovered_message(&census);
	pge_job_set(job, "complete", uncovered, 0);
	if (uncovered != NULL)
		strlcpy(result->message, uncovered, sizeof(result->message));
	result->end = PGE_STEP_OVER;
}

void
pge_proof_step(PgeJob *job, PgeStepResult *result)
{
	strlcpy(result->phase, "proving", sizeof(result->phase));

	/*
	 * Our own uncommitted changes may still be rolled back, or more may
	 * follow.
	 */
	if (IsTransactionBlock() || !job->first_write)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a proof cannot be taken within a transaction block"),
				 errhint("In a procedure, commit after each step.")));
	if (!has_noted(job))
	{
		if (note_transactions(job))
			result->end = PGE_STEP_MORE;
		else
			pge_job_wait(job, result, PGE_LOCK_WAIT_MS,
						 "waiting for a change of keys to end");
		return;
	}
	if (still_running(job))
		pge_job_wait(job, result, PGE_LOCK_WAIT_MS, waits_message);
	else
		prove(job, result);
}
