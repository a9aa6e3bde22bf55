/*
 * pge_job.c
 *	  Rewrap jobs: filing them, and which of them is next.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "pge_compat.h"
#include "pge_job.h"
#include "pge_write.h"

/* The job that the key may have gives way: two would undo each other's work. */
static int64
cancel_live_job(uint64 key_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum((int64) key_id)};
	int64		job_id;
	bool		isnull;

	if (pge_write_run("UPDATE pgenvelope.rewrap_job"
					  " SET state = 'cancelled', finished_at = CURRENT_TIMESTAMP"
					  " WHERE key_id = $1"
					  " AND state NOT IN ('complete', 'cancelled')"
					  " RETURNING job_id",
					  1, types, values, NULL) == 0)
		return 0;
	job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	values[0] = Int64GetDatum(job_id);
	pge_write_run("DELETE FROM pgenvelope.rewrap_failure WHERE job_id = $1", 1,
				  types, values, NULL);
	return job_id;
}

int64
pge_job_file(uint64 key_id, bool reencrypt, uint16 target,
			 const char *created_by)
{
	Oid			types[] = {TEXTOID, INT8OID, INT4OID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(reencrypt ? "reencrypt" : "rewrap"),
		Int64GetDatum((int64) key_id), Int32GetDatum(target),
		CStringGetTextDatum(created_by)};
	int64		superseded = cancel_live_job(key_id);
	int64		job_id;
	bool		isnull;

	pge_write_run("INSERT INTO pgenvelope.rewrap_job"
				  " (kind, key_id, target_version, created_by)"
				  " VALUES ($1, $2, $3, $4) RETURNING job_id",
				  lengthof(types), types, values, NULL);
	job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	if (superseded != 0)
	{
		Oid			two[] = {INT8OID, INT8OID};
		Datum		jobs[] = {Int64GetDatum(superseded),
							  Int64GetDatum(job_id)};

		pge_write_run("UPDATE pgenvelope.rewrap_job"
					  " SET message = 'superseded by job ' || $2 WHERE job_id = $1",
					  2, two, jobs, NULL);
	}
	return job_id;
}
