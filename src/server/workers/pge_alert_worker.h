/*
 * pge_alert_worker.h
 *	  The duty to deliver: writes locks to the table, sends alerts to
 *	  listeners.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ALERT_WORKER_H
#define PGE_ALERT_WORKER_H

#include "workers/pge_launcher.h"

/*
 * Writes the database's locks to the table and sends its alerts, until nothing
 * is left that can be done now.  Returns how the worker should end.
 */
extern PgeWorkerEnd pge_deliver(PgeMemory *memory);

#endif							/* PGE_ALERT_WORKER_H */
