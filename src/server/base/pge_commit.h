/*
 * pge_commit.h
 *	  What is to be done in shared memory when this transaction commits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_COMMIT_H
#define PGE_COMMIT_H

/* It must not raise an error. */
typedef void (*PgeAtCommit)(int64 argument);

/*
 * Has action called with argument, once, when this transaction has committed;
 * not if it, or the subtransaction, is rolled back.  A prepared transaction is
 * committed by another session, which knows nothing of this: PREPARE is
 * refused with that message or, if it is NULL, forgets the action.
 */
extern void pge_at_commit(PgeAtCommit action, int64 argument,
						  const char *no_prepare);

#endif							/* PGE_COMMIT_H */
