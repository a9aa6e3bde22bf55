/*
 * pge_rewrap_settings.h
 *	  Settings of rewrap jobs: how they run, how fast, and when they wait.
 *
 * docs/reference.md describes each of them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REWRAP_SETTINGS_H
#define PGE_REWRAP_SETTINGS_H

/* The largest value of pgenvelope.rewrap_workers. */
#define PGE_REWRAP_WORKERS_MAX 32

extern int	pge_rewrap_workers; /* at a time, in all databases */
extern int	pge_rewrap_naptime; /* milliseconds */
extern int	pge_rewrap_rate;	/* rows a second, 0 for any */
extern int	pge_rewrap_max_bytes_per_second;	/* 0 for any */
extern int	pge_rewrap_batch_blocks;
extern int	pge_rewrap_batch_timeout;	/* milliseconds; 0: no limit */
extern bool pge_rewrap_log_batches;
extern int	pge_rewrap_max_lag; /* milliseconds, 0 for any */
extern int	pge_rewrap_max_lag_bytes;	/* 0 for any */
extern int	pge_rewrap_max_failures;

/* Defines them.  Called from _PG_init if the library is preloaded. */
extern void pge_rewrap_settings_init(void);

#endif							/* PGE_REWRAP_SETTINGS_H */
