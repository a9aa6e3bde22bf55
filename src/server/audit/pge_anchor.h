/*
 * pge_anchor.h
 *	  The head of the audit's chain outside the tables: in shared memory, and
 *	  in a file for each database, which the keeper writes.
 *
 * A backend publishes a new head after the commit of the transaction that made
 * it.  After a crash the file may lag behind, but it is never ahead.  So a
 * table that ends before its anchor has lost entries.  The chain key signs the
 * file (core/envl_audit.h), so that nobody without the key can forge it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ANCHOR_H
#define PGE_ANCHOR_H

#include "base/pge_shared.h"
#include "core/envl_audit.h"

/* The last entry of a database's chain; seq 0: none. */
typedef struct PgeAnchor
{
	Oid			database;
	uint64		seq;
	uint8		mac[ENVL_AUDIT_MAC_LEN];
	uint64		key_id;			/* of the audit key that chained it */
	uint16		version;
	uint8		signature[ENVL_AUDIT_MAC_LEN];	/* of pge_anchor_lines */
} PgeAnchor;

/* Room for the lines of an anchor, with their signature. */
#define PGE_ANCHOR_TEXT_SIZE 512

/*
 * Shared memory: called where the other shared memory is requested and made.
 */
extern void pge_anchor_request(void);
extern void pge_anchor_attach(void);

/*
 * Writes the signed text into PGE_ANCHOR_TEXT_SIZE bytes; returns its length.
 */
extern size_t pge_anchor_lines(const PgeAnchor *anchor, char *out);

/* The head of this database that this server knows.  False: none. */
extern bool pge_anchor_recall(PgeAnchor *anchor);

typedef enum PgeAnchorFile
{
	PGE_ANCHOR_ABSENT,
	PGE_ANCHOR_READ,			/* its signature is not checked yet */
	PGE_ANCHOR_DAMAGED,
	PGE_ANCHOR_UNREADABLE		/* errno says why */
} PgeAnchorFile;

/* Reads this database's file.  Raises nothing. */
extern PgeAnchorFile pge_anchor_read(PgeAnchor *anchor);

/* As pge_anchor_read, but raises if the file cannot be read. */
extern PgeAnchorFile pge_anchor_require(PgeAnchor *anchor);

/* Whether the last attempt to write this database's file failed. */
extern bool pge_anchor_is_failing(void);

/* Publishes a head.  Raises nothing. */
extern void pge_anchor_publish(const PgeAnchor *anchor);

/*
 * Called by the keeper: writes the files that need it.  Returns the latest
 * time of the next call (pge_clock_ms).
 */
extern int64 pge_anchor_attend(void);

/* Writes every file again, because the directory has changed. */
extern void pge_anchor_moved(void);

#endif							/* PGE_ANCHOR_H */
