/*
 * pge_launcher.h
 *	  The launcher, which starts a worker in each database with work, and the
 *	  workers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LAUNCHER_H
#define PGE_LAUNCHER_H

#include "workers/pge_work.h"

/* Registers the launcher; called from _PG_init in the postmaster. */
extern void pge_launcher_init(void);

/* Background workers' entry points. */
extern PGDLLEXPORT void pgenvelope_launcher_main(Datum arg);
extern PGDLLEXPORT void pgenvelope_worker_main(Datum arg);

#endif							/* PGE_LAUNCHER_H */
