/*
 * pge_work.h
 *	  A worker's transactions.  An error in one does not end the worker.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_WORK_H
#define PGE_WORK_H

#include "rewrap/pge_activity.h"
#include "rewrap/pge_job.h"

/* The work of one transaction; run sets the fields marked "out". */
typedef struct PgeWork
{
	void (*run)(struct PgeWork *work);
	bool		is_for_any;		/* in: run even without the extension */
	int64		job_id;			/* in or out; 0: none */
	int			wait_ms;		/* in or out */
	const char *message;		/* in; may be NULL */
	PgeStepResult result;		/* out */
} PgeWork;

typedef enum PgeWorkEnd
{
	PGE_WORK_DONE,
	PGE_WORK_FAILED,			/* an error, logged if it is a new one */
	PGE_WORK_ABSENT				/* the database does not have this extension */
} PgeWorkEnd;

/*
 * Call once, when the worker is connected; pins the settings.  Errors are
 * counted in memory, which also records the last one logged.
 */
extern void pge_work_init(PgeMemory *memory_of_worker);

/* Runs a transaction. */
extern PgeWorkEnd pge_work_run(PgeWork *work);

/*
 * Records why nothing happens on a job (NULL: no reason any more), and puts it
 * off for wait_ms.
 */
extern PgeWorkEnd pge_work_note(int64 job_id, const char *message,
								int wait_ms);

#endif							/* PGE_WORK_H */
