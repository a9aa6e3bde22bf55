/*
 * pge_launcher.h
 *	  The launcher, which starts a worker in every database with work, and
 *	  the workers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LAUNCHER_H
#define PGE_LAUNCHER_H

#include "postmaster/bgworker.h"

/* Registers the launcher; called from _PG_init in the postmaster. */
extern void pge_launcher_init(void);

/*
 * Has a worker look at this database as soon as this transaction commits;
 * nothing if it is rolled back.
 */
extern void pge_launcher_wake(void);

/*
 * The launcher starts a worker in a database; of the request, name, type,
 * function and argument are the caller's.  Returns a handle that is to be
 * pfree'd; NULL: max_worker_processes are in use.
 */
extern BackgroundWorkerHandle *pge_launch(BackgroundWorker *worker);

/* Background workers' entry points. */
extern PGDLLEXPORT void pgenvelope_launcher_main(Datum arg);
extern PGDLLEXPORT void pgenvelope_worker_main(Datum arg);
extern PGDLLEXPORT void pgenvelope_alert_main(Datum arg);

#endif							/* PGE_LAUNCHER_H */
