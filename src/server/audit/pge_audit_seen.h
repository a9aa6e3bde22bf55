/*
 * pge_audit_seen.h
 *	  The entries of the audit's log that a verification has met, to find
 *	  where one that is at another place was.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_SEEN_H
#define PGE_AUDIT_SEEN_H

#include "audit/pge_audit_log.h"

typedef struct PgeSeen PgeSeen;

/* In the current memory context, where all of it stays. */
extern PgeSeen *pge_seen_new(void);

extern void pge_seen_add(PgeSeen *seen, const PgeEntry *entry);
extern uint64 pge_seen_count(const PgeSeen *seen);

/* Called once, when all are added. */
extern void pge_seen_sort(PgeSeen *seen);

/*
 * The number that an entry had, which does not have its MAC where it is; 0:
 * none.  It had one if that number, after the entry that it names as the one
 * before it, makes its MAC right.
 */
extern uint64 pge_seen_place(const PgeSeen *seen, PgeEntry *entry);

#endif							/* PGE_AUDIT_SEEN_H */
