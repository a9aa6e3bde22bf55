/*
 * pge_try.h
 *	  Trying what may fail, in a subtransaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TRY_H
#define PGE_TRY_H

/*
 * Calls work(argument) in a subtransaction, in the caller's memory context.
 * NULL: it is committed.  Else it was undone, and this is the error, in that
 * context: the caller judges it, and frees it or has it raised again.
 */
extern ErrorData *pge_try(void (*work)(void *argument), void *argument);

/*
 * The same for somebody who must neither fail nor wait: a lock is waited for
 * a quarter of a second at most.  Only a cancel is raised.
 */
extern ErrorData *pge_try_soon(void (*work)(void *argument), void *argument);

#endif							/* PGE_TRY_H */
