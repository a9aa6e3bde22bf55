/*
 * pge_step.h
 *	  What the parts of a rewrap job's step share: rows of the job's tables.
 *
 * Call all of this between pge_write_begin and pge_write_end.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_STEP_H
#define PGE_STEP_H

#include "executor/spi.h"

#include "catalog/pge_spi.h"
#include "rewrap/pge_job.h"

/* How long to wait after a step that met a lock, in milliseconds. */
#define PGE_LOCK_WAIT_MS 500

/*
 * Makes the step end by waiting for ms, and says why.  pge_job_wait also puts
 * off the job until then, and records the reason there.
 */
extern void pge_step_wait(PgeStepResult *result, int ms, const char *message);
extern void pge_job_wait(PgeJob *job, PgeStepResult *result, int ms,
						 const char *message);

/* Does the same, until failed values are due to be tried again. */
extern void pge_job_wait_for_failures(PgeJob *job, PgeStepResult *result);

/* Does a step of a job, in the caller's transaction, as the tables' owner. */
extern void pge_job_step(int64 job_id, PgeStepResult *result);

#endif							/* PGE_STEP_H */
