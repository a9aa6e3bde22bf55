/*
 * pge_failure.c
 *	  The queue of values that could not be rewrapped.
 *
 * A value is found again by the place of its row.  If the row has moved or is
 * gone, the entry is dropped: the next pass finds the value wherever it is.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "rewrap/pge_failure.h"
#include "rewrap/pge_rewrap_settings.h"
#include "rewrap/pge_step.h"

/* How many rows to try again at a time. */
#define ROWS_MAX 1000

static const char add_failure[] =
	"INSERT INTO pgenvelope.rewrap_failure AS f"
	" (job_id, relation, attribute, ctid_, category, first_at, last_at, next_try)"
	" VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp(),"
	" clock_timestamp() + interval '1 min')"
	" ON CONFLICT (job_id, relation, attribute, ctid_) DO UPDATE SET"
	" category = EXCLUDED.category, attempts = f.attempts + 1,"
	" last_at = EXCLUDED.last_at,"
	" next_try = EXCLUDED.last_at"
	" + least(interval '1 day', interval '1 min' * 2 ^ least(f.attempts, 11))"
	" RETURNING (attempts = 1)::int::bigint";

int
pge_failures_add(const PgeJob *job, Oid relation, List *failures)
{
	int			added = 0;
	ListCell   *cell;

	foreach(cell, failures)
	{
		PgeFailure *failure = lfirst(cell);

		pge_run(add_failure, pge_bigint(job->job_id), pge_oid(relation),
				pge_parameter(INT2OID, Int16GetDatum(failure->attribute)),
				pge_parameter(TIDOID, PointerGetDatum(&failure->tid)),
				pge_text(pge_outcome_name(failure->outcome)));
		added += (int) pge_row_int(0, 1);

		/*
		 * These are enough to pause the job.  The proof will report the
		 * others.
		 */
		if (added > pge_rewrap_max_failures)
			break;
	}
	return added;
}

int64
pge_failures_count(const PgeJob *job, int *wait_ms)
{
	pge_run("SELECT count(*), COALESCE(ceil(1000 * extract(epoch FROM"
			" greatest(min(greatest(next_try, '2000-01-01'))"
			" - clock_timestamp(), '0'))), 0)::bigint"
			" FROM pgenvelope.rewrap_failure WHERE job_id = $1",
			pge_bigint(job->job_id));
	*wait_ms = (int) pge_row_int(0, 2);
	return pge_row_int(0, 1);
}

int
pge_failures_due(const PgeJob *job, Oid *relation, ItemPointerData **tids)
{
	int			count;

	count = (int) pge_run("SELECT DISTINCT relation::bigint, ctid_"
						  " FROM pgenvelope.rewrap_failure"
						  " WHERE job_id = $1"
						  " AND next_try <= clock_timestamp()"
						  " AND relation = (SELECT relation"
						  " FROM pgenvelope.rewrap_failure"
						  " WHERE job_id = $1"
						  " AND next_try <= clock_timestamp()"
						  " ORDER BY next_try LIMIT 1)"
						  " ORDER BY ctid_ LIMIT $2",
						  pge_bigint(job->job_id), pge_integer(ROWS_MAX));
	if (count == 0)
		return 0;
	*relation = (Oid) pge_row_int(0, 1);
	*tids = palloc(count * sizeof(ItemPointerData));
	for (int i = 0; i < count; i++)
	{
		bool		isnull;
		Datum		tid = SPI_getbinval(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 2, &isnull);

		(*tids)[i] = *(ItemPointer) DatumGetPointer(tid);
	}
	return count;
}

static Datum
tids_datum(const ItemPointerData *tids, int count)
{
	Datum	   *elements = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		elements[i] = PointerGetDatum(&tids[i]);
	return PointerGetDatum(construct_array(elements, count, TIDOID,
										   sizeof(ItemPointerData), false,
										   TYPALIGN_SHORT));
}

uint64
pge_failures_done(const PgeJob *job, Oid relation, const ItemPointerData *tids,
				  int count, TimestampTz tried_at)
{
	return pge_run("DELETE FROM pgenvelope.rewrap_failure"
				   " WHERE job_id = $1 AND relation = $2"
				   " AND ctid_ = ANY ($3) AND last_at < $4",
				   pge_bigint(job->job_id), pge_oid(relation),
				   pge_parameter(TIDARRAYOID, tids_datum(tids, count)),
				   pge_timestamp(tried_at));
}

void
pge_failures_put_off(const PgeJob *job, Oid relation,
					 const ItemPointerData *tids, int count, int wait_ms)
{
	pge_run("UPDATE pgenvelope.rewrap_failure SET next_try ="
			" clock_timestamp() + $4 * interval '1 ms'"
			" WHERE job_id = $1 AND relation = $2 AND ctid_ = ANY ($3)",
			pge_bigint(job->job_id), pge_oid(relation),
			pge_parameter(TIDARRAYOID, tids_datum(tids, count)),
			pge_integer(wait_ms));
}

void
pge_failures_forget_stale(const PgeJob *job, Oid relation)
{
	pge_run("DELETE FROM pgenvelope.rewrap_failure f"
			" USING pgenvelope.rewrap_target t"
			" WHERE f.job_id = $1 AND f.relation = $2"
			" AND t.job_id = $1 AND t.relation = $2 AND t.attribute = 0"
			" AND f.last_at < t.started_at",
			pge_bigint(job->job_id), pge_oid(relation));
}

void
pge_failures_forget(const PgeJob *job, Oid relation)
{
	pge_run("DELETE FROM pgenvelope.rewrap_failure"
			" WHERE job_id = $1 AND relation = $2",
			pge_bigint(job->job_id), pge_oid(relation));
}
