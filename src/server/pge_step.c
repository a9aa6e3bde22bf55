/*
 * pge_step.c
 *	  Doing a rewrap job step by step.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "pge_job.h"

void
pge_job_step(int64 job_id, PgeStepResult *result)
{
	memset(result, 0, sizeof(PgeStepResult));
	result->end = PGE_STEP_OVER;
}

int64
pge_job_next(int *wait_ms)
{
	*wait_ms = -1;
	return 0;
}
