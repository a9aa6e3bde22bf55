/*
 * pge_alert_worker.h
 *	  A worker's duty to deliver: locks to the table, alerts to the listeners.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ALERT_WORKER_H
#define PGE_ALERT_WORKER_H

#include "workers/pge_launcher.h"

/*
 * A worker's duty to deliver: writes the locks of the database to the table
 * and sends its alerts, until nothing is left that can be done now.  Returns
 * how the worker is to end.
 */
extern PgeWorkerEnd pge_deliver(PgeMemory *memory);

#endif							/* PGE_ALERT_WORKER_H */
