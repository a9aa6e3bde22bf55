/*
 * pge_update.c
 *	  Rewrapping a range of blocks of a table by UPDATE, in C.
 *
 * Rows are read under the latest snapshot; of each envelope only the first
 * bytes, wherever the rest is stored.  Those with a value to be moved are
 * gathered and go through the cryptography together, then through
 * subtransactions of as many rows as possible.  Rows are written one after
 * the other, so the row that raised an error is known: those before it are
 * written again without it, then it is tried alone, and its values are noted
 * as failures.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pge_compat.h"
#include "pge_replace.h"

/* Rows are written when so many values, or bytes of rows, are gathered. */
#define GATHERED_ITEMS 4096
#define GATHERED_BYTES (8 * 1024 * 1024)

/* A batch that is to write more bytes than these ends early. */
#define BATCH_BYTES (8 * 1024 * 1024)

/* A row with values to be moved, as it was read. */
typedef struct Row
{
	HeapTuple	tuple;
	int			first_item;
	int			item_count;
	uint64		bytes;			/* that replacing it writes, roughly */
} Row;

typedef struct Update
{
	PgeBatch   *batch;
	PgeTable	table;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	MemoryContext caller;		/* where the batch's failures go */

	/* What is gathered, until it is written. */
	MemoryContext context;
	Row		   *rows;
	int			row_count;
	PgeRewrapItem *items;
	AttrNumber *attributes;		/* of items */
	int			item_count;
	uint64		bytes;

	/* An attempt at writing rows [first, end). */
	PgeReplacer replacer;
	void	  **domain_states;	/* one for each column of the table */
	int			first;
	int			end;
	int			at;				/* the row that is being written */
	uint64		rewrapped;
	uint64		busy;
	uint64		written;		/* bytes */
} Update;

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

/* The first bytes of a value. */
typedef struct Prefix
{
	struct varlena *value;
	uint8		bytes[PGE_WRAP_PREFIX];
	size_t		len;
} Prefix;

static void
copy_prefix(Prefix *prefix, const struct varlena *value)
{
	prefix->len = Min(VARSIZE_ANY_EXHDR(value), PGE_WRAP_PREFIX);
	memcpy(prefix->bytes, VARDATA_ANY(value), prefix->len);
}

static void
fetch_prefix(void *argument)
{
	Prefix	   *prefix = argument;

	copy_prefix(prefix,
				pg_detoast_datum_slice(prefix->value, 0, PGE_WRAP_PREFIX));
}

/*
 * Reads the first bytes of a value.  Fetching what is stored out of line may
 * find it damaged, which is that value's failure and not the batch's.
 */
static PgeAttempt
read_prefix(Update *update, Datum value, Prefix *prefix)
{
	prefix->value = (struct varlena *) DatumGetPointer(value);
	if (likely(!VARATT_IS_EXTERNAL(prefix->value) &&
			   !VARATT_IS_COMPRESSED(prefix->value)))
	{
		copy_prefix(prefix, prefix->value);
		return PGE_ATTEMPT_DONE;
	}
	return pge_attempt(fetch_prefix, prefix, &update->batch->problem);
}

static void
fail(Update *update, AttrNumber attribute, ItemPointer tid, PgeOutcome outcome)
{
	MemoryContext old_context = MemoryContextSwitchTo(update->caller);

	pge_batch_failure(update->batch, attribute, tid, outcome);
	MemoryContextSwitchTo(old_context);
}

/* Gathers a value, if it is to be moved; returns its bytes out of line. */
static uint64
gather_value(Update *update, Row *row, AttrNumber attribute)
{
	PgeRewrapItem *item = &update->items[update->item_count];
	Prefix		prefix;
	Datum		value;
	bool		isnull;

	value = slot_getattr(update->slot, attribute, &isnull);
	if (isnull)
		return 0;
	switch (read_prefix(update, value, &prefix))
	{
		case PGE_ATTEMPT_DONE:
			break;
		case PGE_ATTEMPT_BUSY:
			update->batch->busy++;
			return 0;
		case PGE_ATTEMPT_FAILED:
			fail(update, attribute, &update->slot->tts_tid, PGE_DAMAGED);
			return 0;
	}
	if (!pge_rewrap_wanted(&update->batch->rewrap, prefix.bytes, prefix.len))
		return 0;
	memcpy(item->old_prefix, prefix.bytes, PGE_WRAP_PREFIX);
	update->attributes[update->item_count++] = attribute;
	row->item_count++;
	return VARATT_IS_EXTERNAL(prefix.value) ?
		toast_raw_datum_size(value) :
		0;
}

/* Gathers the row in the slot, if it has a value to be moved. */
static void
gather(Update *update)
{
	MemoryContext old_context = MemoryContextSwitchTo(update->context);
	Row		   *row = &update->rows[update->row_count];

	row->first_item = update->item_count;
	row->item_count = 0;
	row->bytes = 0;
	for (int i = 0; i < update->table.column_count; i++)
		row->bytes += gather_value(update, row, update->table.columns[i]);
	if (row->item_count > 0)
	{
		row->tuple = ExecCopySlotHeapTuple(update->slot);
		row->tuple->t_self = update->slot->tts_tid;
		row->bytes += row->tuple->t_len;
		update->bytes += row->bytes;
		update->row_count++;
	}
	MemoryContextSwitchTo(old_context);
}

/* Whether the next row might not find room. */
static bool
is_full(const Update *update)
{
	return update->item_count + update->table.column_count >= GATHERED_ITEMS ||
		update->bytes >= GATHERED_BYTES;
}

/* ---------------------------------------------------------------- */
/* Writing                                                          */
/* ---------------------------------------------------------------- */

/* Puts a moved value into the new row, in the current memory context. */
static void
put_value(Update *update, AttrNumber attribute, const PgeRewrapItem *item)
{
	TupleTableSlot *slot = update->replacer.slot;
	Form_pg_attribute column = TupleDescAttr(slot->tts_tupleDescriptor,
											 attribute - 1);
	Datum	   *value = &slot->tts_values[attribute - 1];
	struct varlena *whole = PG_DETOAST_DATUM_COPY(*value);

	memcpy(VARDATA(whole), item->new_prefix, PGE_WRAP_PREFIX);
	*value = PointerGetDatum(whole);
	if (get_typtype(column->atttypid) == TYPTYPE_DOMAIN)
		domain_check(*value, false, column->atttypid,
					 &update->domain_states[attribute - 1],
					 update->replacer.estate->es_query_cxt);
}

static void
write_row(Update *update, Row *row)
{
	MemoryContext old_context;
	int			moved = 0;

	old_context = MemoryContextSwitchTo(pge_replacer_load(&update->replacer,
														  row->tuple));
	for (int i = row->first_item; i < row->first_item + row->item_count; i++)
	{
		if (update->items[i].outcome != PGE_OK)
			continue;
		put_value(update, update->attributes[i], &update->items[i]);
		moved++;
	}
	MemoryContextSwitchTo(old_context);
	if (moved == 0)
		return;
	if (pge_replace(&update->replacer, &row->tuple->t_self))
	{
		update->rewrapped += moved;
		update->written += row->bytes;
	}
	else
		update->busy += moved;
}

/* The work of one subtransaction. */
static void
write_rows(void *argument)
{
	Update	   *update = argument;
	Relation	relation = update->table.relation;

	update->at = update->first;
	update->rewrapped = update->busy = update->written = 0;
	pge_replacer_begin(&update->replacer, &update->table, update->snapshot);
	update->domain_states =
		MemoryContextAllocZero(update->replacer.estate->es_query_cxt,
							   RelationGetNumberOfAttributes(relation) *
								   sizeof(void *));
	for (; update->at < update->end; update->at++)
	{
		CHECK_FOR_INTERRUPTS();
		write_row(update, &update->rows[update->at]);
	}
	pge_replacer_end(&update->replacer);
}

/* Notes that a row could not be written, or not now. */
static void
give_up(Update *update, Row *row, PgeAttempt why)
{
	PgeBatch   *batch = update->batch;

	for (int i = row->first_item; i < row->first_item + row->item_count; i++)
	{
		if (update->items[i].outcome != PGE_OK)
			continue;
		if (why == PGE_ATTEMPT_BUSY)
			batch->busy++;
		else
			fail(update, update->attributes[i], &row->tuple->t_self,
				 batch->problem.outcome);
	}
}

/*
 * Writes all rows that are gathered.  Each is written at most three times,
 * however many fail.
 */
static void
write_gathered(Update *update)
{
	PgeBatch   *batch = update->batch;

	update->first = 0;
	update->end = update->row_count;
	while (update->first < update->row_count)
	{
		PgeAttempt	result = pge_attempt(write_rows, update, &batch->problem);

		if (result == PGE_ATTEMPT_DONE)
		{
			batch->rewrapped += update->rewrapped;
			batch->busy += update->busy;
			batch->bytes += update->written;
			update->first = update->end;
		}
		else if (update->at > update->first && update->at < update->end)
		{
			update->end = update->at;
			continue;
		}
		else
			give_up(update, &update->rows[update->first++], result);
		update->end = update->row_count;
	}
}

/* Moves what is gathered.  False: batch->end says why it cannot be now. */
static bool
flush(Update *update)
{
	PgeBatch   *batch = update->batch;

	if (!pge_rewrap_items(&batch->rewrap, update->items, update->item_count,
						  &batch->problem))
	{
		batch->end = PGE_BATCH_UNAVAILABLE;
		return false;
	}
	for (int i = 0; i < update->row_count; i++)
	{
		Row		   *row = &update->rows[i];

		for (int j = row->first_item; j < row->first_item + row->item_count;
			 j++)
		{
			if (update->items[j].outcome != PGE_OK)
				fail(update, update->attributes[j], &row->tuple->t_self,
					 update->items[j].outcome);
		}
	}
	write_gathered(update);
	update->row_count = update->item_count = 0;
	update->bytes = 0;
	MemoryContextReset(update->context);
	return true;
}

/* ---------------------------------------------------------------- */
/* The batch                                                        */
/* ---------------------------------------------------------------- */

/* Generated columns are computed, not moved. */
static void
leave_out_generated(PgeTable *table)
{
	TupleDesc	descriptor = RelationGetDescr(table->relation);
	int			count = 0;

	for (int i = 0; i < table->column_count; i++)
	{
		AttrNumber	number = table->columns[i];

		if (TupleDescAttr(descriptor, number - 1)->attgenerated == '\0')
			table->columns[count++] = number;
	}
	table->column_count = count;
}

static void
check_replica_identity(void *relation)
{
	CheckCmdReplicaIdentity(relation, CMD_UPDATE);
}

static bool
begin(Update *update, PgeBatch *batch)
{
	Relation	relation;
	int			room;

	memset(update, 0, sizeof(Update));
	update->batch = batch;
	update->caller = CurrentMemoryContext;
	if (!pge_table_open(batch, RowExclusiveLock, &update->table))
		return false;
	leave_out_generated(&update->table);
	relation = update->table.relation;
	if (pge_attempt(check_replica_identity, relation, &batch->problem) !=
		PGE_ATTEMPT_DONE)
	{
		batch->end = PGE_BATCH_REFUSED;
		pge_problem(&batch->problem, PGE_NOT_READY,
					"Set a replica identity for it, with ALTER TABLE.",
					"table \"%s\" publishes updates and has no replica identity",
					RelationGetRelationName(relation));
		pge_table_close(&update->table);
		return false;
	}
	update->context = AllocSetContextCreate(CurrentMemoryContext,
											"pgenvelope update",
											ALLOCSET_DEFAULT_SIZES);
	room = GATHERED_ITEMS + update->table.column_count;
	update->rows = palloc(room * sizeof(Row));
	update->items = palloc(room * sizeof(PgeRewrapItem));
	update->attributes = palloc(room * sizeof(AttrNumber));
	update->slot = table_slot_create(relation, NULL);
	update->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(update->snapshot);
	return true;
}

static void
end(Update *update)
{
	PopActiveSnapshot();
	UnregisterSnapshot(update->snapshot);
	ExecDropSingleTupleTableSlot(update->slot);
	pfree(update->rows);
	pfree(update->items);
	pfree(update->attributes);
	MemoryContextDelete(update->context);
	pge_table_close(&update->table);
	CommandCounterIncrement();
}

/* Whether so much is written, or soon will be, that the batch should end. */
static bool
is_enough(const Update *update)
{
	const PgeBatch *batch = update->batch;

	return (batch->value_count > 0 &&
			batch->rewrapped + update->item_count >=
				(uint64) batch->value_count) ||
		batch->bytes + update->bytes >= BATCH_BYTES;
}

/* Reads blocks from batch->next_block on; returns the first one not read. */
static BlockNumber
walk(Update *update, BlockNumber stop)
{
	PgeBatch   *batch = update->batch;
	BlockNumber block = batch->next_block;
	ItemPointerData from;
	ItemPointerData to;
	TableScanDesc scan;

	ItemPointerSet(&from, block, FirstOffsetNumber);
	ItemPointerSet(&to, stop - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(update->table.relation, update->snapshot,
									&from, &to);
	while (batch->end == PGE_BATCH_MORE &&
		   table_scan_getnextslot_tidrange(scan, ForwardScanDirection,
										   update->slot))
	{
		BlockNumber at = ItemPointerGetBlockNumber(&update->slot->tts_tid);

		CHECK_FOR_INTERRUPTS();
		if (at != block && is_enough(update))
		{
			stop = at;
			break;
		}
		block = at;
		batch->rows_seen++;
		gather(update);
		if (is_full(update))
			(void) flush(update);
	}
	ExecClearTuple(update->slot);
	table_endscan(scan);
	return stop;
}

void
pge_update_batch(PgeBatch *batch)
{
	Update		update;
	BlockNumber stop;

	if (!begin(&update, batch))
		return;
	stop = batch->total_blocks;
	if (batch->next_block < stop)
	{
		if (batch->block_count < stop - batch->next_block)
			stop = batch->next_block + Max(batch->block_count, 1);
		stop = walk(&update, stop);
		if (batch->end == PGE_BATCH_MORE && flush(&update))
			batch->next_block = stop;
	}
	if (batch->end == PGE_BATCH_MORE &&
		batch->next_block >= batch->total_blocks)
		batch->end = PGE_BATCH_DONE;
	end(&update);
}

void
pge_update_rows(PgeBatch *batch, ItemPointerData *tids, int count)
{
	PgeBatchEnd batch_end = batch->end;
	Update		update;

	if (!begin(&update, batch))
		return;
	for (int i = 0; i < count && batch->end == PGE_BATCH_MORE; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (ItemPointerGetBlockNumber(&tids[i]) >= batch->total_blocks ||
			!table_tuple_fetch_row_version(update.table.relation, &tids[i],
										   update.snapshot, update.slot))
			continue;
		gather(&update);
		ExecClearTuple(update.slot);
		if (is_full(&update))
			(void) flush(&update);
	}
	if (batch->end == PGE_BATCH_MORE && flush(&update))
		batch->end = batch_end;
	end(&update);
}
