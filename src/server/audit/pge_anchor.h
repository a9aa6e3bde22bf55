/*
 * pge_anchor.h
 *	  The head of the audit's chain, outside of the tables: in shared memory,
 *	  and in a file for each database, which the keeper writes.
 *
 * A backend publishes a new head when the transaction that made it has
 * committed.  The file may lag behind that by a crash, never be ahead: so a
 * table that ends before its anchor has lost entries.  The file is signed by
 * the chain key (core/envl_audit.h), so that nobody without it makes another.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ANCHOR_H
#define PGE_ANCHOR_H

#include "base/pge_shared.h"
#include "core/envl_audit.h"

/* The last entry of a database's chain; seq 0: there is none. */
typedef struct PgeAnchor
{
	Oid			database;
	uint64		seq;
	uint8		mac[ENVL_AUDIT_MAC_LEN];
	uint64		key_id;			/* of the audit key that made it */
	uint16		version;
	uint8		signature[ENVL_AUDIT_MAC_LEN];	/* of pge_anchor_lines */
} PgeAnchor;

/* Room for the lines of an anchor, with their signature. */
#define PGE_ANCHOR_TEXT_SIZE 512

/* Called as those of pge_shared.c. */
extern void pge_anchor_request(void);
extern void pge_anchor_attach(void);

/* What is signed, into PGE_ANCHOR_TEXT_SIZE bytes; returns its length. */
extern size_t pge_anchor_lines(const PgeAnchor *anchor, char *out);

/* The head that this server knows of this database.  False: none. */
extern bool pge_anchor_recall(PgeAnchor *anchor);

typedef enum PgeAnchorFile
{
	PGE_ANCHOR_ABSENT,
	PGE_ANCHOR_READ,			/* its signature is not checked here */
	PGE_ANCHOR_DAMAGED,
	PGE_ANCHOR_UNREADABLE		/* errno says why */
} PgeAnchorFile;

/* What this database's file says.  Raises nothing. */
extern PgeAnchorFile pge_anchor_read(PgeAnchor *anchor);

/* pge_anchor_read, for whom a file that cannot be read is an error. */
extern PgeAnchorFile pge_anchor_require(PgeAnchor *anchor);

/* Whether this database's file could not be written when it was last tried. */
extern bool pge_anchor_is_failing(void);

/* Makes a head known.  Raises nothing. */
extern void pge_anchor_publish(const PgeAnchor *anchor);

/*
 * The keeper's part: writes the files that are to be written; returns when it
 * is to be called again at the latest (pge_clock_ms).
 */
extern int64 pge_anchor_attend(void);

/* The directory is another one now: has every file written again. */
extern void pge_anchor_moved(void);

#endif							/* PGE_ANCHOR_H */
