/*
 * pge_rewrap_settings.c
 *	  Settings of rewrap jobs: how they run, how fast, and when they wait.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "rewrap/pge_rewrap_settings.h"

int			pge_rewrap_workers;
int			pge_rewrap_naptime;
int			pge_rewrap_rate;
int			pge_rewrap_max_bytes_per_second;
int			pge_rewrap_batch_blocks;
int			pge_rewrap_batch_timeout;
bool		pge_rewrap_log_batches;
int			pge_rewrap_max_lag;
int			pge_rewrap_max_lag_bytes;
int			pge_rewrap_max_failures;

void
pge_rewrap_settings_init(void)
{
	DefineCustomIntVariable("pgenvelope.rewrap_workers",
							"Sets how many databases are rewrapped at a time; 0 has no workers.",
							NULL, &pge_rewrap_workers, 2, 0,
							PGE_REWRAP_WORKERS_MAX, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_naptime",
							"Sets how often each database is looked at for jobs that are due.",
							NULL, &pge_rewrap_naptime, 60000, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_rate",
							"Sets how many rows a second a worker reads at most; 0 sets no limit.",
							NULL, &pge_rewrap_rate, 10000, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_bytes_per_second",
							"Sets how many bytes of rows and pages a second a worker writes at most; 0 sets no limit.",
							NULL, &pge_rewrap_max_bytes_per_second, 0, 0,
							INT_MAX, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_batch_blocks",
							"Sets how many blocks of a table are rewrapped in one transaction.",
							NULL, &pge_rewrap_batch_blocks, 128, 1, 65536,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_batch_timeout",
							"Sets how long a worker's batch may take before it is cancelled and its table put off; 0 sets no limit.",
							NULL, &pge_rewrap_batch_timeout, 300000, 0,
							INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL,
							NULL);
	DefineCustomBoolVariable("pgenvelope.rewrap_log_batches",
							 "Logs a line for each batch of a job.",
							 "Off, it is logged as DEBUG1.",
							 &pge_rewrap_log_batches, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_lag",
							"Sets the replay lag of a standby beyond which jobs wait for it; 0 sets no limit.",
							NULL, &pge_rewrap_max_lag, 10000, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_lag_bytes",
							"Sets how much WAL a standby may have yet to replay before jobs wait for it; 0 sets no limit.",
							NULL, &pge_rewrap_max_lag_bytes, 64 * 1024 * 1024,
							0, INT_MAX, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_failures",
							"Sets how many values of a job may have failed before it pauses.",
							NULL, &pge_rewrap_max_failures, 1000, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
}
