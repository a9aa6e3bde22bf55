/*
 * pge_lock.h
 *	  Locked grants: decrypting by one is refused, everywhere and at once.
 *
 * A role that opens a honey value will roll back, so a lock does not depend on
 * its transaction: it is set in shared memory, where every process looks
 * before it opens a value, and written to pgenvelope.key_grant by a worker's
 * own transaction a moment later, so that it outlives the server's end.  On a
 * standby, which writes nothing, it lasts until the standby ends.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LOCK_H
#define PGE_LOCK_H

#include "catalog/pge_catalog.h"

/* Moves when any grant has been locked or unlocked; one atomic read. */
extern uint64 pge_lock_serial(void);

/* Whether a grant is locked, by its row or since. */
extern bool pge_grant_is_locked(const PgeGrant *grant);

/* Locks a grant at once.  False: there was no place to note it. */
extern bool pge_lock_grant(int64 grant_id);

/* Unlocks it when this transaction commits; the caller writes its row. */
extern void pge_unlock_at_commit(int64 grant_id);

/*
 * The database of the next lock, from *place on, that is not in the table
 * yet; InvalidOid: there is none.
 */
extern Oid	pge_lock_next_database(int *place);

/* Forgets the locks of a database that has no such grants any more. */
extern void pge_lock_forget(Oid database);

/*
 * For the worker: writes the locks of this database that are not in the table
 * yet.  After the commit it must call pge_lock_saved, which returns how many
 * there were.
 */
extern void pge_lock_save(void);
extern int	pge_lock_saved(void);

#endif							/* PGE_LOCK_H */
