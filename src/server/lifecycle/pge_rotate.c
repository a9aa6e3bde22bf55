/*
 * pge_rotate.c
 *	  Choosing the version that encrypts: pgenvelope.rotate_key,
 *	  pgenvelope.activate_key, pgenvelope.rollback_key.
 *
 * A change of the active version files a job that moves stored values to it.
 * If the caller wants no job, a job with another target is still cancelled: it
 * would move values to a version that is no longer active.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "audit/pge_act.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "lifecycle/pge_rotate.h"
#include "rewrap/pge_job.h"

PG_FUNCTION_INFO_V1(pgenvelope_rotate_key);
PG_FUNCTION_INFO_V1(pgenvelope_activate_key);
PG_FUNCTION_INFO_V1(pgenvelope_rollback_key);

/* An argument that is a percentage; PGE_NO_CANARY if it is null. */
static int
canary_argument(FunctionCallInfo fcinfo, int n)
{
	int			percent;
	PgeProblem	problem;

	if (PG_ARGISNULL(n))
		return PGE_NO_CANARY;
	percent = PG_GETARG_INT32(n);
	if (percent < 0 || percent > 100)
	{
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"a canary's share is 0 to 100 per cent, not %d", percent);
		pge_raise(&problem);
	}
	return percent;
}

/* The target is the version that encrypts, from now on. */
static void
move_values(const PgeChange *change, int target, bool rewrap)
{
	int			live_target;
	int64		live;

	if (rewrap)
	{
		(void) pge_job_file(change->key_id, false, (uint16) target,
							change->role);
		return;
	}
	live = pge_job_live(change->key_id, &live_target);
	if (live != 0 && live_target != target)
		(void) pge_job_cancel(live,
							  psprintf("version %d is active now", target));
}

/* ---------------------------------------------------------------- */
/* A new version                                                    */
/* ---------------------------------------------------------------- */

/* A number that no version of the key has had. */
static int
find_next_number(const PgeChange *change)
{
	PgeProblem	problem;
	int			last;

	pge_run("SELECT max(version)::bigint FROM pgenvelope.key_version"
			" WHERE key_id = $1",
			pge_bigint((int64) change->key_id));
	last = (int) pge_row_int(0, 1);
	if (last == 0)
	{
		/*
		 * Stored values may name versions whose rows are missing, so no number
		 * is safe.
		 */
		pge_problem(&problem, PGE_KEY_NOT_FOUND,
					"Restore its rows of pgenvelope.key_version.",
					"key \"%s\" has no versions", change->name);
		pge_raise(&problem);
	}
	if (last == UINT16_MAX)
	{
		pge_problem(&problem, PGE_LIMIT, "Create another key.",
					"key \"%s\" has no version numbers left", change->name);
		pge_raise(&problem);
	}
	return last + 1;
}

static void
refuse_second_canary(const PgeChange *change)
{
	PgeProblem	problem;

	if (change->pre_active == 0)
		return;
	pge_problem(&problem, PGE_NOT_READY,
				"Activate it with pgenvelope.activate_key, or end its trial with pgenvelope.rollback_key.",
				"version %d of key \"%s\" is pre_active", change->pre_active,
				change->name);
	pge_raise(&problem);
}

int
pge_rotate(const PgeChange *change, int canary_percent, bool rewrap)
{
	char		provider[PROV_NAME_SIZE];
	PgeNewVersion made;
	int			next;

	refuse_second_canary(change);

	/* The new version stays with the provider of the active one. */
	pge_choose_provider(change->active != 0 ? change->provider : NULL,
						provider);
	next = find_next_number(change);
	pge_seal_version(provider, change->name, change->key_id, (uint16) next,
					 &made);
	pge_point(PGE_POINT_VERSION);
	if (canary_percent == PGE_NO_CANARY && change->active != 0)
		pge_change_move(change, change->active, PGE_STATE_DEACTIVATED, 0);
	pge_insert_version(change->key_id, (uint16) next, &made, canary_percent);
	if (canary_percent == PGE_NO_CANARY)
		move_values(change, next, rewrap);
	return next;
}

static void
audit_change(const char *act, const PgeChange *change, int version,
			 int canary_percent)
{
	pge_audit_act(act, change->key_id, change->name, version,
				  canary_percent == PGE_NO_CANARY ?
					  NULL :
					  pge_act_details("canary_percent",
									  psprintf("%d", canary_percent)));
}

Datum
pgenvelope_rotate_key(PG_FUNCTION_ARGS)
{
	int			canary_percent = canary_argument(fcinfo, 1);
	PgeChange	change;
	int			version;

	pge_change_begin("pgenvelope.rotate_key()", PGE_ROTATE,
					 pge_getarg_varlena(fcinfo, 0), &change);
	version = pge_rotate(&change, canary_percent,
						 pge_getarg_bool(fcinfo, 2, true));
	pge_change_end(&change);
	audit_change("rotate_key", &change, version, canary_percent);
	PG_RETURN_INT32(version);
}

/* ---------------------------------------------------------------- */
/* Another version                                                  */
/* ---------------------------------------------------------------- */

static void
make_active(const PgeChange *change, int version)
{
	if (change->active != 0)
		pge_change_move(change, change->active, PGE_STATE_DEACTIVATED, 0);
	pge_change_move(change, version, PGE_STATE_ACTIVE, 0);
}

/* The version to activate; raises if it cannot be activated. */
static int
choose_version(FunctionCallInfo fcinfo, const PgeChange *change)
{
	int			version;
	PgeState	state;
	PgeProblem	problem;

	if (PG_ARGISNULL(1) && change->pre_active == 0)
	{
		pge_problem(&problem, PGE_NOT_READY,
					"Name the version, or make one with pgenvelope.rotate_key.",
					"key \"%s\" has no pre_active version", change->name);
		pge_raise(&problem);
	}
	version = PG_ARGISNULL(1) ? change->pre_active : PG_GETARG_INT32(1);
	state = pge_change_state(change, version);
	if (state == PGE_STATE_PRE_ACTIVE)
		return version;
	if (state != PGE_STATE_DEACTIVATED)
		pge_refuse_state(change, version, state,
						 state == PGE_STATE_RETIRED ?
							 "pgenvelope.restore_key brings it back." :
							 NULL);
	refuse_second_canary(change);
	return version;
}

Datum
pgenvelope_activate_key(PG_FUNCTION_ARGS)
{
	int			canary_percent = canary_argument(fcinfo, 2);
	PgeChange	change;
	int			version;
	int			now_active;

	pge_change_begin("pgenvelope.activate_key()", PGE_ROTATE,
					 pge_getarg_varlena(fcinfo, 0), &change);
	version = choose_version(fcinfo, &change);
	if (canary_percent == PGE_NO_CANARY)
	{
		make_active(&change, version);
		move_values(&change, version, pge_getarg_bool(fcinfo, 3, true));
		now_active = version;
	}
	else
	{
		if (version != change.pre_active)
			pge_refuse_state(&change, version, PGE_STATE_DEACTIVATED,
							 "Only a pre_active version has a share of new values.");
		pge_change_move(&change, version, PGE_STATE_PRE_ACTIVE,
						canary_percent);
		now_active = change.active;
	}
	pge_change_end(&change);
	audit_change("activate_key", &change, version, canary_percent);
	if (now_active == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(now_active);
}

/*
 * The version that was active before the active one.  Rolling back goes down
 * the numbers and skips versions that were only on trial.
 */
static int
find_previous(const PgeChange *change)
{
	PgeProblem	problem;
	PgeState	state;
	int			version;

	if (pge_run("SELECT version::bigint FROM pgenvelope.key_version"
				" WHERE key_id = $1 AND version < $2"
				" AND activated_at IS NOT NULL"
				" ORDER BY version DESC LIMIT 1",
				pge_bigint((int64) change->key_id),
				pge_integer(change->active)) == 0)
	{
		pge_problem(&problem, PGE_NOT_READY,
					"pgenvelope.activate_key activates any version that is deactivated.",
					"key \"%s\" has no version to roll back to", change->name);
		pge_raise(&problem);
	}
	version = (int) pge_row_int(0, 1);
	state = pge_change_state(change, version);
	if (state != PGE_STATE_DEACTIVATED)
		pge_refuse_state(change, version, state,
						 state == PGE_STATE_RETIRED ?
							 "pgenvelope.restore_key brings it back." :
							 "pgenvelope.activate_key activates any version that is deactivated.");
	return version;
}

static void
require_active(const PgeChange *change)
{
	PgeProblem	problem;

	if (change->active != 0)
		return;
	pge_problem(&problem, PGE_NOT_READY,
				"pgenvelope.activate_key activates any version that is deactivated.",
				"key \"%s\" has no active version", change->name);
	pge_raise(&problem);
}

Datum
pgenvelope_rollback_key(PG_FUNCTION_ARGS)
{
	PgeChange	change;
	int			version;

	pge_change_begin("pgenvelope.rollback_key()", PGE_ROTATE,
					 pge_getarg_varlena(fcinfo, 0), &change);
	require_active(&change);
	if (change.pre_active != 0)
	{
		version = change.active;
		pge_change_move(&change, change.pre_active, PGE_STATE_DEACTIVATED, 0);
	}
	else
	{
		version = find_previous(&change);
		make_active(&change, version);
	}
	move_values(&change, version, true);
	pge_change_end(&change);
	audit_change("rollback_key", &change, version, PGE_NO_CANARY);
	PG_RETURN_INT32(version);
}
