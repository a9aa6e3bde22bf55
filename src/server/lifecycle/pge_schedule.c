/*
 * pge_schedule.c
 *	  Scheduled rotation: pgenvelope.schedule_rotation, and the worker's part
 *	  of it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "admin/pge_admin.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "base/pge_try.h"
#include "lifecycle/pge_rotate.h"
#include "lifecycle/pge_schedule.h"
#include "rewrap/pge_job.h"

PG_FUNCTION_INFO_V1(pgenvelope_schedule_rotation);
PG_FUNCTION_INFO_V1(pgenvelope_rotate_due_keys);

/* The longest time between rotations. */
#define YEARS_MAX 1000

/* Keys that are due, and whose versions no job or trial is using. */
#define DUE_KEYS \
	"SELECT k.name FROM pgenvelope.key k" \
	" JOIN pgenvelope.key_version v USING (key_id)" \
	" WHERE v.state = 'active'" \
	" AND v.activated_at + k.rotate_every <= clock_timestamp()" \
	" AND NOT EXISTS (SELECT FROM pgenvelope.key_version p" \
	"  WHERE p.key_id = k.key_id AND p.state = 'pre_active')" \
	" AND NOT EXISTS (SELECT FROM pgenvelope.rewrap_job j" \
	"  WHERE j.key_id = k.key_id" \
	"  AND j.state NOT IN ('complete', 'cancelled'))"

/*
 * Whether an interval is positive and can be added to any time to come.
 * Otherwise every query over all schedules would raise.
 */
static bool
is_schedule(Datum every)
{
	const Interval *interval = DatumGetIntervalP(every);
	const int	months = YEARS_MAX * MONTHS_PER_YEAR;
	const int	days = YEARS_MAX * 366;
	const int64 micros = days * USECS_PER_DAY;
	Interval	zero = {0};

	return interval->month <= months && interval->month >= -months &&
		interval->day <= days && interval->day >= -days &&
		interval->time <= micros && interval->time >= -micros &&
		DatumGetBool(DirectFunctionCall2(interval_gt, every,
										 IntervalPGetDatum(&zero)));
}

Datum
pgenvelope_schedule_rotation(PG_FUNCTION_ARGS)
{
	PgeChange	change;
	char	   *every = NULL;
	PgeProblem	problem;

	if (!PG_ARGISNULL(1) && !is_schedule(PG_GETARG_DATUM(1)))
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"the interval of a rotation must be positive, and at most %d years",
					YEARS_MAX);
		pge_raise(&problem);
	}
	pge_change_begin("pgenvelope.schedule_rotation()", PGE_ROTATE,
					 pge_getarg_varlena(fcinfo, 0), &change);
	pge_run("UPDATE pgenvelope.key SET rotate_every = $2 WHERE key_id = $1",
			pge_bigint((int64) change.key_id),
			pge_unless(PG_ARGISNULL(1),
					   pge_parameter(INTERVALOID, PG_GETARG_DATUM(1))));
	pge_change_end(&change);
	if (!PG_ARGISNULL(1))
		every = DatumGetCString(DirectFunctionCall1(interval_out,
													PG_GETARG_DATUM(1)));
	pge_audit_act("schedule_rotation", change.key_id, change.name, 0,
				  every == NULL ? NULL : pge_act_details("every", every));
	PG_RETURN_VOID();
}

/* The names of keys that are due, allocated in the caller's context. */
static List *
find_due_keys(void)
{
	MemoryContext outer = CurrentMemoryContext;
	PgeWriter	writer = pge_write_begin();
	List	   *names = NIL;
	uint64		count = pge_write_run(DUE_KEYS " ORDER BY k.name", 0, NULL,
									  NULL, NULL);

	for (uint64 i = 0; i < count; i++)
	{
		char	   *name = pge_row_text((int) i, 1);
		MemoryContext inner = MemoryContextSwitchTo(outer);

		names = lappend(names, pstrdup(name));
		MemoryContextSwitchTo(inner);
	}
	pge_write_end(&writer);
	return names;
}

/* A key that is due, and the result. */
typedef struct Due
{
	const char *name;
	bool		rotated;
} Due;

/* Rotates a key unless someone else has done so meanwhile. */
static void
rotate_if_due(void *argument)
{
	Due		   *due = argument;
	int			nest_level = NewGUCNestLevel();
	int			version = 0;
	PgeChange	change;

	/* A session that holds the key's lock is changing the key. */
	(void) set_config_option("lock_timeout", "1s", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	pge_change_begin("pgenvelope.rotate_key()", PGE_ROTATE,
					 cstring_to_text(due->name), &change);
	due->rotated = pge_run(DUE_KEYS " AND k.key_id = $1",
						   pge_bigint((int64) change.key_id)) > 0;
	if (due->rotated)
		version = pge_rotate(&change, PGE_NO_CANARY, true);
	pge_change_end(&change);
	if (due->rotated)
		pge_audit_act("rotate_due_keys", change.key_id, change.name, version,
					  NULL);
	else
		pge_acting_end();
	AtEOXact_GUC(true, nest_level);
}

/* As rotate_if_due, in a subtransaction; logs a failure. */
static bool
try_to_rotate(const char *name)
{
	Due			due = {name, false};
	ErrorData  *error = pge_try(rotate_if_due, &due);

	if (error == NULL)
		return due.rotated;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not rotate key \"%s\", which is due", name),
				 errdetail_internal("%s", error->message)));
	FreeErrorData(error);
	return false;
}

int
pge_rotate_due(void)
{
	List	   *names = find_due_keys();
	ListCell   *cell;
	int			rotated = 0;

	foreach(cell, names)
		rotated += try_to_rotate(lfirst(cell));
	list_free_deep(names);
	return rotated;
}

Datum
pgenvelope_rotate_due_keys(PG_FUNCTION_ARGS)
{
	int			rotated;

	pge_require_writable("pgenvelope.rotate_due_keys()");
	rotated = pge_rotate_due();
	pge_acting_end();
	PG_RETURN_INT32(rotated);
}
