/*
 * pge_work.h
 *	  A worker's transactions, whose errors do not end it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_WORK_H
#define PGE_WORK_H

#include "rewrap/pge_activity.h"
#include "rewrap/pge_job.h"

/* One transaction's worth of work; run sets what is out. */
typedef struct PgeWork
{
	void (*run)(struct PgeWork *work);
	bool		is_for_any;		/* in: also without the extension */
	int64		job_id;			/* in or out; 0: none */
	int			wait_ms;		/* in or out */
	const char *message;		/* in; may be NULL */
	PgeStepResult result;		/* out */
} PgeWork;

typedef enum PgeWorkEnd
{
	PGE_WORK_DONE,
	PGE_WORK_FAILED,			/* an error, which was logged if it is new */
	PGE_WORK_ABSENT				/* the database has not got this extension */
} PgeWorkEnd;

/*
 * Called once, when the worker is connected; pins the settings.  Errors are
 * counted in memory, which also says what was logged last.
 */
extern void pge_work_init(PgeMemory *memory_of_worker);

/* Runs a transaction. */
extern PgeWorkEnd pge_work_run(PgeWork *work);

/*
 * Notes why nothing happens on a job (NULL: no reason any more), and puts it
 * off for wait_ms.
 */
extern PgeWorkEnd pge_work_note(int64 job_id, const char *message,
								int wait_ms);

#endif							/* PGE_WORK_H */
