/*
 * pge_replace.h
 *	  Replacing rows of a table by new versions of them: what UPDATE does,
 *	  without its triggers and rules, and waiting for nobody.
 *
 * A replacer lives within one subtransaction: after an error there is nothing
 * left of it that could be used again.
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
	Snapshot	snapshot;		/* under which the rows were read */
	EState	   *estate;
	ResultRelInfo *result;
	HeapTuple	row;			/* that is being replaced */
	bool		is_same_shape;	/* so far it differs in bytes within it only */
	TupleTableSlot *slot;		/* of the new row, virtual */
	TupleTableSlot *patched;	/* of the row itself, if that is it */
	TupleTableSlot *locked;		/* of a row that had to be locked first */
	LockTupleMode lock_mode;	/* that replacing a row takes */
	CommandId	command;
} PgeReplacer;

extern void pge_replacer_begin(PgeReplacer *replacer, const PgeTable *table,
							   Snapshot snapshot);
extern void pge_replacer_end(PgeReplacer *replacer);

/*
 * Takes a row, a copy of what was read, into the replacer's slot, to be
 * changed there; returns a memory context that lasts until the next row.
 */
extern MemoryContext pge_replacer_load(PgeReplacer *replacer, HeapTuple row);

/* Puts another value into the new row.  It lives until the next row. */
extern void pge_replacer_put(PgeReplacer *replacer, AttrNumber attribute,
							 Datum value);

/*
 * The bytes of an envelope that lies within the row, to be overwritten there
 * without putting another; NULL if it is stored elsewhere or compressed.
 */
extern uint8 *pge_replacer_bytes(PgeReplacer *replacer, AttrNumber attribute);

/*
 * Replaces the row by what it has become.  False: somebody else has locked,
 * changed or deleted it since it was read.  Raises what a constraint or an
 * index has against it.
 */
extern bool pge_replace(PgeReplacer *replacer);

#endif							/* PGE_REPLACE_H */
