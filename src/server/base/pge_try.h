/*
 * pge_try.h
 *	  Tries an operation that may fail, in a subtransaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TRY_H
#define PGE_TRY_H

/*
 * Calls work(argument) in a subtransaction, in the caller's memory context.
 * NULL: the work is committed.  Otherwise it was undone; returns the error in
 * that context, and the caller must free it or raise it again.
 */
extern ErrorData *pge_try(void (*work)(void *argument), void *argument);

/*
 * The same for a caller that must neither fail nor wait: it waits for a lock a
 * quarter of a second at most.  Only a cancel is raised.
 */
extern ErrorData *pge_try_soon(void (*work)(void *argument), void *argument);

#endif							/* PGE_TRY_H */
