/*
 * pge_rewrap_sql.c
 *	  The SQL functions that file, steer and watch rewrap jobs.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "admin/pge_admin.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_places.h"
#include "rewrap/pge_step.h"
#include "rights/pge_entitlement.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_start_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_pause_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_resume_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_cancel_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_retry_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_step_rewrap);
PG_FUNCTION_INFO_V1(pgenvelope_take_census);

#define STEP_COLUMNS 14
#define CENSUS_COLUMNS 5

/* ---------------------------------------------------------------- */
/* Filing                                                           */
/* ---------------------------------------------------------------- */

/* Rewrapping reveals no plaintext, so it has a privilege of its own. */
static void
require_rewrap(PgeKey *key)
{
	PgeProblem	problem;

	if (!superuser() && !pge_require_privilege(key, PGE_REWRAP, &problem))
		pge_raise(&problem);
}

static bool
read_kind(const char *kind)
{
	PgeProblem	problem;

	if (strcmp(kind, "reencrypt") == 0)
		return true;
	if (strcmp(kind, "rewrap") == 0)
		return false;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
				"the kind of a job is rewrap or reencrypt");
	pge_raise(&problem);
}

/* Values can be moved only to the version that new values get. */
static uint16
choose_target(FunctionCallInfo fcinfo, int n, PgeKey *key)
{
	PgeKeyVersion *active = pge_key_active(key);
	PgeProblem	problem;

	if (active == NULL)
	{
		pge_problem(&problem, PGE_KEY_NOT_ALLOWED, NULL,
					"key \"%s\" has no active version", key->name);
		pge_raise(&problem);
	}
	if (!PG_ARGISNULL(n) && PG_GETARG_INT32(n) != (int32) active->version)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT,
					"pgenvelope.activate_key and pgenvelope.rollback_key change the active version.",
					"version %d is not the active version of key \"%s\"",
					PG_GETARG_INT32(n), key->name);
		pge_raise(&problem);
	}
	return (uint16) active->version;
}

/*
 * Whether pgenvelope.set_rewrap_context has set where its contexts come from.
 */
static bool
has_context(Oid relation, const char *column)
{
	PgeWriter	writer = pge_write_begin();
	uint64		count;

	count = pge_run("SELECT FROM pgenvelope.rewrap_table"
					" WHERE contexts ? $2 AND (relation = $1 OR relation IN"
					" (SELECT relid FROM pg_partition_ancestors($1)))",
					pge_oid(relation), pge_text(column));
	pge_write_end(&writer);
	return count > 0;
}

/* Raises if columns have values of the key and no context, and names them. */
static void
require_contexts(uint64 key_id, const char *key_name)
{
	StringInfoData missing;
	ListCell   *cell;
	ListCell   *column;
	PgeProblem	problem;

	initStringInfo(&missing);
	foreach(cell, pge_places())
	{
		PgePlace   *place = lfirst(cell);

		if (place->uncovered != NULL)
			continue;
		foreach(column, place->columns)
		{
			char	   *name = lfirst(column);

			if (!has_context(place->relation, name) &&
				pge_census_has_key(place->relation,
								   get_attnum(place->relation, name), key_id))
				appendStringInfo(&missing, "%s%s.%s",
								 missing.len > 0 ? ", " : "", place->name,
								 quote_identifier(name));
		}
	}
	if (missing.len == 0)
		return;
	pge_problem(&problem, PGE_CONTEXT,
				"Say where it comes from with pgenvelope.set_rewrap_context.",
				"the context of values of key \"%s\" is not known", key_name);
	pge_problem_detail(&problem, "Columns: %s.", missing.data);
	pge_raise(&problem);
}

Datum
pgenvelope_start_rewrap(PG_FUNCTION_ARGS)
{
	char	   *role = GetUserNameFromId(GetUserId(), false);
	PgeKey	   *key;
	uint64		key_id;
	char	   *name;
	uint16		target;
	bool		reencrypt;
	int64		job_id;
	PgeWriter	writer;
	PgeProblem	problem;

	pge_require_writable("pgenvelope.start_rewrap()");
	pge_refuse_null(PG_ARGISNULL(0) || PG_ARGISNULL(1), "key and kind");
	reencrypt = read_kind(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	key = pge_key_locked(PG_GETARG_TEXT_PP(0));
	require_rewrap(key);
	key_id = key->key_id;
	name = pstrdup(key->name);
	target = choose_target(fcinfo, 2, key);
	if (reencrypt)
	{
		/*
		 * The privilege must hold in every context, since the job meets them
		 * all.
		 */
		if (!pge_require_privilege(key, PGE_DECRYPT, &problem) ||
			!pge_require_privilege(key, PGE_ENCRYPT, &problem))
			pge_raise(&problem);
		require_contexts(key_id, name);
	}
	writer = pge_write_begin();
	pge_require_visible(key_id);
	job_id = pge_job_file(key_id, reencrypt, target, role);
	pge_write_end(&writer);
	pge_audit_act("start_rewrap", key_id, name, target,
				  pge_act_details("job", psprintf("%lld", (long long) job_id),
								  "kind", reencrypt ? "reencrypt" : "rewrap"));
	PG_RETURN_INT64(job_id);
}

/* ---------------------------------------------------------------- */
/* Steering                                                         */
/* Runs a statement about a job.  $1 is the job, $2 is the caller's role. */

/* Runs a statement about a job, which is $1; $2 is the caller's role. */
static uint64
about_job(const char *statement, int64 job_id, const char *role)
{
	return pge_run(statement, pge_bigint(job_id), pge_text(role));
}

/* Raises if there is no such job, or the caller may not steer it. */
static void
require_job(int64 job_id)
{
	PgeWriter	writer = pge_write_begin();
	uint64		key_id = 0;
	PgeKey	   *key;

	if (about_job("SELECT key_id FROM pgenvelope.rewrap_job WHERE job_id = $1",
				  job_id, "") > 0)
		key_id = (uint64) pge_row_int(0, 1);
	pge_write_end(&writer);
	key = key_id != 0 ? pge_key_by_id(key_id) : NULL;
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rewrap job %lld does not exist", (long long) job_id),
				 errhint("The view pgenvelope.rewrap_progress lists the jobs.")));
	require_rewrap(key);
}

/* Begins to write to a job that the caller may steer. */
static PgeWriter
begin_steering(const char *function, int64 job_id)
{
	pge_require_writable(function);
	require_job(job_id);
	return pge_write_begin();
}

/* Locks the job's row; raises if the job has ended. */
static void
require_live(int64 job_id)
{
	char	   *state;

	about_job("SELECT state FROM pgenvelope.rewrap_job WHERE job_id = $1"
			  " FOR NO KEY UPDATE",
			  job_id, "");
	state = pge_row_text(0, 1);
	if (strcmp(state, "complete") == 0 || strcmp(state, "cancelled") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rewrap job %lld is %s", (long long) job_id, state)));
}

/* Reports how a job was steered, if it was. */
static void
tell(const char *act, int64 job_id, bool done)
{
	if (done)
		pge_audit_act(act, 0, NULL, 0,
					  pge_act_details("job",
									  psprintf("%lld", (long long) job_id)));
	else
		pge_acting_end();
}

#define UPDATE_JOB "UPDATE pgenvelope.rewrap_job SET "

#define GO_ON \
	"message = NULL, not_before = '-infinity', state = CASE WHEN" \
	" started_at IS NULL THEN 'waiting' ELSE 'running' END"

Datum
pgenvelope_pause_rewrap(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	char	   *role = GetUserNameFromId(GetUserId(), false);
	PgeWriter	writer;
	uint64		changed;

	writer = begin_steering("pgenvelope.pause_rewrap()", job_id);
	require_live(job_id);
	changed = about_job(UPDATE_JOB
						"state = 'paused', message = 'paused by ' || $2"
						" WHERE job_id = $1 AND state <> 'paused'",
						job_id, role);
	pge_write_end(&writer);
	tell("pause_rewrap", job_id, changed > 0);
	PG_RETURN_BOOL(changed > 0);
}

Datum
pgenvelope_resume_rewrap(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	PgeWriter	writer;
	uint64		changed;

	writer = begin_steering("pgenvelope.resume_rewrap()", job_id);
	require_live(job_id);
	changed = about_job(UPDATE_JOB GO_ON
						" WHERE job_id = $1 AND state = 'paused'",
						job_id, "");
	pge_write_end(&writer);
	tell("resume_rewrap", job_id, changed > 0);
	pge_activity_want_at_commit();
	PG_RETURN_BOOL(changed > 0);
}

Datum
pgenvelope_cancel_rewrap(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	char	   *role = GetUserNameFromId(GetUserId(), false);
	PgeWriter	writer;
	bool		cancelled;

	writer = begin_steering("pgenvelope.cancel_rewrap()", job_id);
	cancelled = pge_job_cancel(job_id, psprintf("cancelled by %s", role));
	pge_write_end(&writer);
	tell("cancel_rewrap", job_id, cancelled);
	PG_RETURN_BOOL(cancelled);
}

Datum
pgenvelope_retry_rewrap(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	PgeWriter	writer;
	uint64		count;

	writer = begin_steering("pgenvelope.retry_rewrap()", job_id);
	require_live(job_id);
	count = about_job("UPDATE pgenvelope.rewrap_failure"
					  " SET next_try = '-infinity' WHERE job_id = $1",
					  job_id, "");
	about_job("UPDATE pgenvelope.rewrap_target SET not_before = '-infinity'"
			  " WHERE job_id = $1",
			  job_id, "");
	about_job(UPDATE_JOB GO_ON " WHERE job_id = $1", job_id, "");
	pge_write_end(&writer);
	tell("retry_rewrap", job_id, true);
	pge_activity_want_at_commit();
	PG_RETURN_INT64((int64) count);
}

/* ---------------------------------------------------------------- */
/* Watching                                                         */
/* ---------------------------------------------------------------- */

static TupleDesc
row_type(FunctionCallInfo fcinfo)
{
	TupleDesc	descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(descriptor);
}

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(string);
}

Datum
pgenvelope_step_rewrap(PG_FUNCTION_ARGS)
{
	static const char *const ends[] = {
		[PGE_STEP_MORE] = "more",
		[PGE_STEP_WAIT] = "wait",
		[PGE_STEP_OVER] = "over",
	};
	TupleDesc	descriptor = row_type(fcinfo);
	Datum		values[STEP_COLUMNS] = {0};
	bool		nulls[STEP_COLUMNS] = {0};
	PgeStepResult result;
	int			n = 0;

	pge_require_writable("pgenvelope.step_rewrap()");
	require_job(PG_GETARG_INT64(0));
	pge_job_step(PG_GETARG_INT64(0), &result);
	pge_acting_end();

	values[n++] = CStringGetTextDatum(ends[result.end]);
	values[n++] = Int32GetDatum(result.wait_ms);
	values[n] = text_or_null(result.state, &nulls[n]);
	n++;
	values[n] = text_or_null(result.phase, &nulls[n]);
	n++;
	values[n] = text_or_null(result.relation, &nulls[n]);
	n++;
	values[n++] = Int64GetDatum(result.next_block);
	values[n++] = Int64GetDatum(result.total_blocks);
	values[n++] = Int64GetDatum((int64) result.rows_seen);
	values[n++] = Int64GetDatum((int64) result.rewrapped);
	values[n++] = Int64GetDatum((int64) result.in_place);
	values[n++] = Int64GetDatum((int64) result.failed);
	values[n++] = Int64GetDatum((int64) result.busy);
	values[n++] = Int64GetDatum((int64) result.bytes);
	values[n] = text_or_null(result.message, &nulls[n]);
	n++;
	Assert(n == STEP_COLUMNS && n == descriptor->natts);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/* One row of pgenvelope.take_census. */
static Datum
census_row(TupleDesc descriptor, const PgeCount *count)
{
	PgeKey	   *key = count->key_id != 0 ? pge_key_by_id(count->key_id) : NULL;
	char	   *column = get_attname(count->relation, count->attribute, true);
	Datum		values[CENSUS_COLUMNS];
	bool		nulls[CENSUS_COLUMNS] = {0};
	NameData	name;

	namestrcpy(&name, column != NULL ? column : "");
	values[0] = ObjectIdGetDatum(count->relation);
	values[1] = NameGetDatum(&name);
	values[2] = CStringGetTextDatum(
		key != NULL ? key->name :
					  psprintf("%012llx", (unsigned long long) count->key_id));
	values[3] = Int32GetDatum(count->version);
	values[4] = Int64GetDatum((int64) count->count);
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

static bool
show_count(void *argument, const PgePlace *place, BlockNumber block,
		   BlockNumber total)
{
	if (block == 0)
		pge_activity_show(0, "counting", place->name);
	pge_activity_progress(block, total);
	return true;
}

/* Starts over under a newer snapshot if a table was changed meanwhile. */
static List *
count_everything(void)
{
	List	   *counts;
	PgeCensusEnd end;

	do
	{
		CHECK_FOR_INTERRUPTS();
		PushActiveSnapshot(GetLatestSnapshot());
		end = pge_census(pge_places_then(), GetActiveSnapshot(), show_count,
						 NULL, &counts);
		PopActiveSnapshot();
	} while (end == PGE_CENSUS_CHANGED);
	return counts;
}

Datum
pgenvelope_take_census(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	List	   *counts;
	Datum		row;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext context;

		pge_require_preload();
		pge_catalog_begin();
		call = SRF_FIRSTCALL_INIT();
		context = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->tuple_desc = row_type(fcinfo);
		call->user_fctx = count_everything();
		MemoryContextSwitchTo(context);
	}
	call = SRF_PERCALL_SETUP();
	counts = call->user_fctx;
	if (call->call_cntr >= (uint64) list_length(counts))
		SRF_RETURN_DONE(call);
	pge_catalog_begin();
	row = census_row(call->tuple_desc,
					 list_nth(counts, (int) call->call_cntr));
	SRF_RETURN_NEXT(call, row);
}
