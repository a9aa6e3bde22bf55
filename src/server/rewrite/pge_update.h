/*
 * pge_update.h
 *	  The two halves of the update method: pge_update.c reads rows and gathers
 *	  those with values to move, pge_update_write.c writes them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_UPDATE_H
#define PGE_UPDATE_H

#include "rewrite/pge_reencrypt.h"
#include "rewrite/pge_replace.h"

/* A row with values to move, as it was read. */
typedef struct PgeUpdateRow
{
	HeapTuple	tuple;
	int			first_item;
	int			item_count;
	uint64		bytes;			/* that replacing it writes, approximately */
} PgeUpdateRow;

typedef struct PgeUpdate
{
	PgeBatch   *batch;
	PgeTable	table;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	Oid		   *domains;		/* by column, or InvalidOid */
	PgeRowContext **contexts;	/* by column, for reencryption; or NULL */
	MemoryContext caller;		/* for the batch's failures */

	/* What is gathered and not yet written. */
	MemoryContext context;
	PgeUpdateRow *rows;
	int			row_count;
	PgeRewrapItem *items;
	AttrNumber *attributes;		/* of items */
	int			item_count;
	uint64		bytes;

	/* The current attempt to write rows [first, end). */
	PgeReplacer replacer;
	void	  **domain_states;	/* one for each column of the table */
	int			first;
	int			end;
	int			at;				/* the row being written */
	uint64		rewrapped;
	uint64		busy;
	uint64		written;		/* bytes */
} PgeUpdate;

/*
 * By UPDATE, in C: works for every table.  Rows are replaced by
 * table_tuple_update, with index entries, generated columns, constraints and
 * the replica identity check, but no triggers and no rules, as the table's
 * owner in a security-restricted operation.  Waits for nobody's row lock.  An
 * error of one row (a constraint, say) is that row's failure.
 */
extern void pge_update_batch(PgeBatch *batch);

/*
 * Like pge_update_batch, for rows at these places only; adds to batch what was
 * written, failed or busy.  Rows that were seen and values that were found
 * are the caller's to count, the cursor stays, and end is only set if
 * something is in the way.
 */
extern void pge_update_rows(PgeBatch *batch, ItemPointerData *tids, int count);

#endif							/* PGE_UPDATE_H */
