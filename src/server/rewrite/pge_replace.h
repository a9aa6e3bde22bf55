/*
 * pge_replace.h
 *	  Replacing rows of a table with new versions of them: what UPDATE does,
 *	  without triggers and rules, and without waiting.
 *
 * A replacer lives within one subtransaction; after an error nothing of it can
 * be used again.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REPLACE_H
#define PGE_REPLACE_H

#include "nodes/execnodes.h"
#include "utils/snapshot.h"

#include "rewrite/pge_batch.h"

typedef struct PgeReplacer
{
	Relation	relation;
	Snapshot	snapshot;		/* that the rows were read under */
	EState	   *estate;
	ResultRelInfo *result;
	HeapTuple	row;			/* the row to replace */
	bool		is_same_shape;	/* so far it differs only in bytes within it */
	TupleTableSlot *slot;		/* virtual, of the new row */
	TupleTableSlot *patched;	/* of the old row with overwritten bytes */
	TupleTableSlot *locked;		/* of a row that had to be locked first */
	LockTupleMode lock_mode;	/* the lock that replacing a row takes */
	CommandId	command;
} PgeReplacer;

extern void pge_replacer_begin(PgeReplacer *replacer, const PgeTable *table,
							   Snapshot snapshot);
extern void pge_replacer_end(PgeReplacer *replacer);

/*
 * Loads a row, a copy of what was read, into the replacer's slot, to be
 * changed there.  Returns a memory context that lives until the next row.
 */
extern MemoryContext pge_replacer_load(PgeReplacer *replacer, HeapTuple row);

/*
 * Puts another value into the new row.  The value must live until the next
 * row.
 */
extern void pge_replacer_put(PgeReplacer *replacer, AttrNumber attribute,
							 Datum value);

/*
 * The bytes of an envelope within the row, to overwrite in place of a call of
 * pge_replacer_put; NULL if it is stored out of line or compressed.
 */
extern uint8 *pge_replacer_bytes(PgeReplacer *replacer, AttrNumber attribute);

/*
 * Replaces the row with the new one.  False if another session has locked,
 * changed or deleted it since it was read.  Raises errors of constraints and
 * indexes.
 */
extern bool pge_replace(PgeReplacer *replacer);

#endif							/* PGE_REPLACE_H */
