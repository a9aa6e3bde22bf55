/*
 * pge_commit.h
 *	  Actions on shared memory to run when this transaction commits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_COMMIT_H
#define PGE_COMMIT_H

/* It must not raise an error. */
typedef void (*PgeAtCommit)(int64 argument);

/*
 * Calls action with argument, once, when this transaction has committed; not
 * if it, or the subtransaction, is rolled back.  Another session commits a
 * prepared transaction, and does not know the action.  So PREPARE is refused
 * with the given message or, if that is NULL, forgets the action.
 */
extern void pge_at_commit(PgeAtCommit action, int64 argument,
						  const char *no_prepare);

#endif							/* PGE_COMMIT_H */
