/*
 * pge_target.c
 *	  The tables of a rewrap job, as rows: how far the job is in each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_failure.h"
#include "rewrap/pge_places.h"
#include "rewrap/pge_step.h"
#include "rewrap/pge_target.h"

/* ---------------------------------------------------------------- */
/* At the beginning of a pass                                       */
/* ---------------------------------------------------------------- */

/* Deletes tables that are gone, or that no longer hold envelopes. */
static void
delete_others(const PgeJob *job, List *places)
{
	int			count = list_length(places);
	Datum	   *relations = palloc(Max(1, count) * sizeof(Datum));
	Datum	   *attributes = palloc(Max(1, count) * sizeof(Datum));
	ArrayType  *relation_array;
	ArrayType  *attribute_array;

	for (int i = 0; i < count; i++)
	{
		const PgePlace *place = list_nth(places, i);

		relations[i] = ObjectIdGetDatum(place->relation);
		attributes[i] = Int16GetDatum(place->attribute);
	}
	relation_array = construct_array(relations, count, OIDOID, sizeof(Oid),
									 true, TYPALIGN_INT);
	attribute_array = construct_array(attributes, count, INT2OID,
									  sizeof(int16), true, TYPALIGN_SHORT);
	pge_run("DELETE FROM pgenvelope.rewrap_target WHERE job_id = $1"
			" AND (relation, attribute) NOT IN"
			" (SELECT * FROM unnest($2, $3))",
			pge_bigint(job->job_id),
			pge_parameter(OIDARRAYOID, PointerGetDatum(relation_array)),
			pge_parameter(INT2ARRAYOID, PointerGetDatum(attribute_array)));
	pge_run("DELETE FROM pgenvelope.rewrap_failure f WHERE job_id = $1"
			" AND NOT EXISTS (SELECT FROM pgenvelope.rewrap_target t"
			" WHERE t.job_id = $1 AND t.relation = f.relation)",
			pge_bigint(job->job_id));
}

static Datum
columns_datum(const PgePlace *place)
{
	int			count = list_length(place->columns);
	Datum	   *names = palloc(Max(1, count) * sizeof(Datum));

	for (int i = 0; i < count; i++)
		names[i] = CStringGetTextDatum(list_nth(place->columns, i));
	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* Uses the table's own method, or that of its nearest partitioned parent. */
static void
upsert_target(const PgeJob *job, const PgePlace *place)
{
	pge_run("INSERT INTO pgenvelope.rewrap_target"
			" (job_id, relation, attribute, name, columns, last_error,"
			" state, method)"
			" VALUES ($1, $2, $3, $4, $5, $6,"
			" CASE WHEN $6 IS NULL THEN 'waiting' ELSE 'uncovered' END,"
			" COALESCE((SELECT t.method FROM pgenvelope.rewrap_table t"
			" LEFT JOIN pg_partition_ancestors($2)"
			" WITH ORDINALITY AS p(relid, n) ON p.relid = t.relation"
			" WHERE (t.relation = $2 OR p.relid IS NOT NULL)"
			" AND NOT $7 AND $6 IS NULL"
			" ORDER BY COALESCE(p.n, 0) LIMIT 1), 'update'))"
			" ON CONFLICT (job_id, relation, attribute) DO UPDATE SET"
			" name = EXCLUDED.name, columns = EXCLUDED.columns,"
			" last_error = EXCLUDED.last_error, state = EXCLUDED.state,"
			" method = EXCLUDED.method, relfilenode = 0, next_block = 0,"
			" found = 0, busy = 0, started_at = NULL, errors = 0,"
			" not_before = '-infinity'",
			pge_bigint(job->job_id), pge_oid(place->relation),
			pge_parameter(INT2OID, Int16GetDatum(place->attribute)),
			pge_text(place->name),
			pge_parameter(TEXTARRAYOID, columns_datum(place)),
			pge_text(place->uncovered), pge_boolean(job->reencrypt));
}

void
pge_targets_sync(const PgeJob *job)
{
	List	   *places = pge_places();
	ListCell   *cell;

	delete_others(job, places);
	foreach(cell, places)
	{
		upsert_target(job, lfirst(cell));
	}
}

/* ---------------------------------------------------------------- */
/* Choosing                                                         */
/* ---------------------------------------------------------------- */

#define SELECT_TARGET \
	"SELECT relation::bigint, name, (method = 'inplace')::int::bigint," \
	" relfilenode::bigint, next_block, total_blocks, errors::bigint" \
	" FROM pgenvelope.rewrap_target WHERE job_id = $1 AND attribute = 0"

static bool
select_target(const char *statement, const PgeJob *job, Oid relation,
			  PgeTarget *target)
{
	if (pge_run(statement, pge_bigint(job->job_id), pge_oid(relation)) == 0)
		return false;
	target->relation = (Oid) pge_row_int(0, 1);
	target->name = pge_row_text(0, 2);
	target->in_place = pge_row_int(0, 3) != 0;
	target->relfilenode = (Oid) pge_row_int(0, 4);
	target->next_block = (BlockNumber) pge_row_int(0, 5);
	target->total_blocks = (BlockNumber) pge_row_int(0, 6);
	target->errors = (int) pge_row_int(0, 7);
	return true;
}

bool
pge_target_next(const PgeJob *job, PgeTarget *target)
{
	return select_target(SELECT_TARGET " AND state IN ('waiting', 'running')"
									   " AND not_before <= clock_timestamp()"
									   " ORDER BY errors, state, name LIMIT 1",
						 job, InvalidOid, target);
}

bool
pge_target_find(const PgeJob *job, Oid relation, PgeTarget *target)
{
	return select_target(SELECT_TARGET " AND relation = $2", job, relation,
						 target);
}

void
pge_pass_look(const PgeJob *job, PgePass *pass)
{
	pge_run("SELECT count(*) FILTER (WHERE open),"
			" COALESCE(ceil(1000 * extract(epoch FROM greatest("
			" min(greatest(not_before, '2000-01-01')) FILTER (WHERE open)"
			" - clock_timestamp(), '0'))), 0)::bigint,"
			" COALESCE(sum(found), 0)::bigint,"
			" COALESCE(sum(busy), 0)::bigint"
			" FROM (SELECT *, state IN ('waiting', 'running') AS open"
			" FROM pgenvelope.rewrap_target WHERE job_id = $1) AS t",
			pge_bigint(job->job_id));
	pass->open = pge_row_int(0, 1);
	pass->wait_ms = (int) pge_row_int(0, 2);
	pass->found = pge_row_int(0, 3);
	pass->busy = pge_row_int(0, 4);
}

/* ---------------------------------------------------------------- */
/* Recording                                                        */
/* ---------------------------------------------------------------- */

void
pge_target_record(const PgeJob *job, const PgeTarget *target,
				  const PgeBatch *batch, int64 elapsed_ms, bool by_blocks)
{
	int64		failed = list_length(batch->failures);
	int64		found = Max((int64) batch->found - failed,
							(int64) batch->rewrapped);

	pge_run("UPDATE pgenvelope.rewrap_target SET"
			" relfilenode = CASE WHEN $3 THEN $4 ELSE relfilenode END,"
			" next_block = CASE WHEN $3 THEN $5 ELSE next_block END,"
			" total_blocks = CASE WHEN $3 THEN $6 ELSE total_blocks END,"
			" state = CASE WHEN $3 THEN $15 ELSE state END,"
			" rows_seen = rows_seen + $7, rewrapped = rewrapped + $8,"
			" in_place = in_place + $9, failed = failed + $10,"
			" busy = busy + $11, found = found + $12,"
			" bytes = bytes + $13, busy_ms = busy_ms + $14,"
			" batches = batches + 1, updated_at = clock_timestamp(),"
			" started_at = COALESCE(started_at, clock_timestamp()"
			" - $14 * interval '1 ms'),"
			" last_error = CASE WHEN errors > 0 THEN NULL"
			" ELSE last_error END,"
			" errors = 0, not_before = '-infinity'"
			" WHERE job_id = $1 AND relation = $2 AND attribute = 0",
			pge_bigint(job->job_id), pge_oid(target->relation),
			pge_boolean(by_blocks), pge_oid(batch->relfilenode),
			pge_bigint(batch->next_block), pge_bigint(batch->total_blocks),
			pge_bigint(batch->rows_seen), pge_bigint(batch->rewrapped),
			pge_bigint(batch->in_place), pge_bigint(failed),
			pge_bigint(batch->busy), pge_bigint(found),
			pge_bigint(batch->bytes), pge_bigint(elapsed_ms),
			pge_text(batch->end == PGE_BATCH_DONE ? "done" : "running"));
}

/* Runs a statement about a target; text may be NULL. */
static void
change(const char *statement, const PgeJob *job, Oid relation,
	   const char *text, int64 number)
{
	pge_run(statement, pge_bigint(job->job_id), pge_oid(relation),
			pge_text(text != NULL ? text : ""), pge_bigint(number));
}

#define UPDATE_TARGET "UPDATE pgenvelope.rewrap_target SET "
#define OF_TARGET " WHERE job_id = $1 AND relation = $2 AND attribute = 0"

void
pge_target_add_found(const PgeJob *job, Oid relation, uint64 found)
{
	change(UPDATE_TARGET "found = found + $4" OF_TARGET, job, relation, NULL,
		   (int64) found);
}

void
pge_target_put_off(const PgeJob *job, const PgeTarget *target,
				   const char *error, int wait_ms)
{
	change(UPDATE_TARGET "last_error = $3, errors = errors + 1,"
						 " not_before = clock_timestamp()"
						 " + $4 * interval '1 ms'" OF_TARGET,
		   job, target->relation, error, wait_ms);
}

void
pge_target_begin_anew(const PgeJob *job, const PgeTarget *target)
{
	change(UPDATE_TARGET "relfilenode = 0, next_block = 0, started_at = NULL,"
						 " state = 'waiting'" OF_TARGET,
		   job, target->relation, NULL, 0);
}

void
pge_target_fall_back(const PgeJob *job, const PgeTarget *target,
					 const char *reason)
{
	change(UPDATE_TARGET
		   "method = 'update', last_error = 'not in place: ' || $3" OF_TARGET,
		   job, target->relation, reason, 0);
}

void
pge_target_uncover(const PgeJob *job, const PgeTarget *target,
				   const char *reason)
{
	change(UPDATE_TARGET "state = 'uncovered', last_error = $3" OF_TARGET, job,
		   target->relation, reason, 0);
}

void
pge_target_drop(const PgeJob *job, const PgeTarget *target)
{
	change("DELETE FROM pgenvelope.rewrap_target" OF_TARGET, job,
		   target->relation, NULL, 0);
	pge_failures_forget(job, target->relation);
}
