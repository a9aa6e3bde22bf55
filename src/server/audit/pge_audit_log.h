/*
 * pge_audit_log.h
 *	  pgenvelope.audit_log: admin acts, chained under the audit key.
 *
 * An appender holds a lock until its transaction ends, so the chain has the
 * order of the commits.  An entry follows the head that this server knows
 * (pge_anchor.h), whatever the table's last row is.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_LOG_H
#define PGE_AUDIT_LOG_H

#include "audit/pge_act.h"
#include "audit/pge_anchor.h"
#include "catalog/pge_catalog.h"

/* The chained columns, in this order. */
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

/* As text in the database's encoding; NULL for null. */
typedef struct PgeEntry
{
	const char *fields[PGE_ENTRY_FIELDS];
	uint8		previous[ENVL_AUDIT_MAC_LEN];
	uint8		mac[ENVL_AUDIT_MAC_LEN];
} PgeEntry;

/* The columns for pge_entry_read; others may follow. */
#define PGE_ENTRY_COLUMNS \
	"seq::text, trunc(extract(epoch FROM at) * 1000000)::text," \
	" act, key_id::text, key, version::text, detail::text, role," \
	" session_role, authenticated_role, client, trace_id," \
	" audit_key_id::text, audit_version::text, previous, mac"

/*
 * Reads a row of that query into SPI's memory.  False if it is no entry at
 * all. A malformed MAC is read as zeroes.
 */
extern bool pge_entry_read(int row, PgeEntry *entry);

/* The entry's number; 0 or over PG_INT64_MAX if it has none. */
extern uint64 pge_entry_seq(const PgeEntry *entry);

/*
 * Computes the right MAC of an entry, by the key that it names.  False fills
 * in problem: the key is unavailable.
 */
extern bool pge_entry_mac(const PgeEntry *entry, uint8 *mac,
						  PgeProblem *problem);

/* Whether the entry's MAC is right. */
extern bool pge_entry_is_sound(const PgeEntry *entry);

/*
 * Appends an act, with the rights of the tables' owner.  last is this
 * transaction's last entry, or NULL.  False if this database has no audit key.
 * Raises if the act cannot be chained.
 */
extern bool pge_audit_append(const PgeAct *act, const char *role,
							 const PgeAnchor *last, PgeAnchor *head);

/*
 * Finds what the chain is anchored to: the head in shared memory, or the
 * file's.  False, with seq 0, if there is none.  trusted: the file is not
 * damaged and its signature is right.
 */
extern bool pge_audit_anchor(PgeAnchor *anchor, bool *trusted);

/* The act of pgenvelope.accept_restore; verification looks for it. */
#define PGE_ACCEPT_RESTORE "accept_restore"

#endif							/* PGE_AUDIT_LOG_H */
