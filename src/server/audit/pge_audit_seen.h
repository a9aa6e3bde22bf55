/*
 * pge_audit_seen.h
 *	  The log entries that a verification has read, to find where a moved one
 *	  was.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_SEEN_H
#define PGE_AUDIT_SEEN_H

#include "audit/pge_audit_log.h"

typedef struct PgeSeen PgeSeen;

/* Makes an empty set in the current memory context, which holds all of it. */
extern PgeSeen *pge_seen_new(void);

extern void pge_seen_add(PgeSeen *seen, const PgeEntry *entry);
extern uint64 pge_seen_count(const PgeSeen *seen);

/* Call once, after all entries are added. */
extern void pge_seen_sort(PgeSeen *seen);

/*
 * Finds the original number of an entry whose MAC is wrong at its place; 0 if
 * there is none.  The number is right if it follows the number of the entry's
 * predecessor and makes the MAC right.
 */
extern uint64 pge_seen_place(const PgeSeen *seen, PgeEntry *entry);

#endif							/* PGE_AUDIT_SEEN_H */
