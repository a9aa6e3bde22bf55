/*
 * pge_audit_log.h
 *	  pgenvelope.audit_log: admin acts, chained under the audit key.
 *
 * Whoever appends holds a lock to the end of its transaction, so the chain is
 * in the order of commits.  An entry follows the head that this server knows
 * (pge_anchor.h), not whatever the table's last row is.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_LOG_H
#define PGE_AUDIT_LOG_H

#include "audit/pge_act.h"
#include "audit/pge_anchor.h"
#include "catalog/pge_catalog.h"

/* The columns that are chained, in this order. */
enum
{
	PGE_ENTRY_SEQ,
	PGE_ENTRY_AT,				/* microseconds since 1970 */
	PGE_ENTRY_ACT,
	PGE_ENTRY_KEY_ID,
	PGE_ENTRY_KEY,
	PGE_ENTRY_VERSION,
	PGE_ENTRY_DETAIL,
	PGE_ENTRY_ROLE,
	PGE_ENTRY_SESSION_ROLE,
	PGE_ENTRY_AUTHENTICATED_ROLE,
	PGE_ENTRY_CLIENT,
	PGE_ENTRY_TRACE_ID,
	PGE_ENTRY_AUDIT_KEY_ID,
	PGE_ENTRY_AUDIT_VERSION,
	PGE_ENTRY_FIELDS
};

/* As text of the database; NULL is null. */
typedef struct PgeEntry
{
	const char *fields[PGE_ENTRY_FIELDS];
	uint8		previous[ENVL_AUDIT_MAC_LEN];
	uint8		mac[ENVL_AUDIT_MAC_LEN];
} PgeEntry;

/* What is selected for pge_entry_read; other columns may follow. */
#define PGE_ENTRY_COLUMNS \
	"seq::text, trunc(extract(epoch FROM at) * 1000000)::text," \
	" act, key_id::text, key, version::text, detail::text, role," \
	" session_role, authenticated_role, client, trace_id," \
	" audit_key_id::text, audit_version::text, previous, mac"

/*
 * A row of it, in the procedure's memory.  False: it is no entry at all, and a
 * MAC that is none is zeroes.
 */
extern bool pge_entry_read(int row, PgeEntry *entry);

/* Its number; 0 or over PG_INT64_MAX: it has none. */
extern uint64 pge_entry_seq(const PgeEntry *entry);

/*
 * The MAC that an entry ought to have, by the key that it names.  False: that
 * key is not to be had, see problem.
 */
extern bool pge_entry_mac(const PgeEntry *entry, uint8 *mac,
						  PgeProblem *problem);

/* Whether the entry has the MAC that it ought to have. */
extern bool pge_entry_is_sound(const PgeEntry *entry);

/*
 * Appends an act, by the rights of the tables' owner.  last is this
 * transaction's last entry, or NULL.  False: this database has no audit key.
 * Raises if the act cannot be chained.
 */
extern bool pge_audit_append(const PgeAct *act, const char *role,
							 const PgeAnchor *last, PgeAnchor *head);

/*
 * What the chain is anchored to: shared memory's head, or the file's.  False,
 * and seq 0, if there is none.  trusted: the file is not damaged, and its
 * signature is good.
 */
extern bool pge_audit_anchor(PgeAnchor *anchor, bool *trusted);

/* The act of pgenvelope.accept_restore; verification looks for it. */
#define PGE_ACCEPT_RESTORE "accept_restore"

#endif							/* PGE_AUDIT_LOG_H */
