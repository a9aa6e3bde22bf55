/*
 * pge_update.c
 *	  Rewrapping a range of blocks of a table by UPDATE, in C.
 *
 * Rows are read under the latest snapshot, and of each envelope only the first
 * bytes, wherever the rest is stored.  Rows with values to move are gathered,
 * go through the cryptography together, and are then written.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "rewrite/pge_update.h"
#include "rewrite/pge_update_write.h"

/*
 * Write rows when this many values, or this many bytes of rows, are gathered:
 * as much as a subtransaction can write before its pages leave the processor's
 * cache.
 */
#define GATHERED_ITEMS 512
#define GATHERED_BYTES (8 * 1024 * 1024)

/* End a batch early that writes more bytes than this. */
#define BATCH_BYTES (8 * 1024 * 1024)

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
 * Reads the first bytes of a value.  Fetching an out-of-line value may find it
 * damaged, which is a failure of that value and not of the batch.
 */
static PgeAttempt
read_prefix(PgeUpdate *update, Datum value, Prefix *prefix)
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

/*
 * Refuses a column whose context is not defined: its values cannot be opened.
 */
static void
refuse_unknown_context(PgeUpdate *update, AttrNumber attribute)
{
	Relation	relation = update->table.relation;
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation),
											 attribute - 1);

	update->batch->end = PGE_BATCH_REFUSED;
	pge_problem(&update->batch->problem, PGE_CONTEXT,
				"Define with pgenvelope.set_rewrap_context which columns it is made of.",
				"encryption context of column \"%s\" of table \"%s\" is not known",
				NameStr(column->attname), RelationGetRelationName(relation));
}

/* Gathers a value if it must be moved.  Returns its bytes out of line. */
static uint64
gather_value(PgeUpdate *update, PgeUpdateRow *row, AttrNumber attribute)
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
			pge_update_failed(update, attribute, &update->slot->tts_tid,
							  PGE_DAMAGED);
			return 0;
	}
	if (!pge_rewrap_wanted(&update->batch->rewrap, prefix.bytes, prefix.len))
		return 0;
	if (update->contexts != NULL && update->contexts[attribute - 1] == NULL)
		refuse_unknown_context(update, attribute);
	memcpy(item->old_prefix, prefix.bytes, PGE_WRAP_PREFIX);
	update->attributes[update->item_count++] = attribute;
	row->item_count++;
	return VARATT_IS_EXTERNAL(prefix.value) ?
		toast_raw_datum_size(value) :
		0;
}

/* Gathers the row in the slot.  Returns how many values must be moved. */
static int
gather_row(PgeUpdate *update)
{
	MemoryContext old_context = MemoryContextSwitchTo(update->context);
	PgeUpdateRow *row = &update->rows[update->row_count];

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
	return row->item_count;
}

/* Whether the next row might not fit. */
static bool
is_full(const PgeUpdate *update)
{
	return update->item_count + update->table.column_count >= GATHERED_ITEMS ||
		update->bytes >= GATHERED_BYTES;
}

/* Moves the gathered values.  False: batch->end says why not now. */
static bool
flush_rows(PgeUpdate *update)
{
	PgeBatch   *batch = update->batch;

	if (!pge_rewrap_items(&batch->rewrap, update->items, update->item_count,
						  &batch->problem))
	{
		batch->end = PGE_BATCH_UNAVAILABLE;
		return false;
	}
	pge_update_write(update);
	update->row_count = update->item_count = 0;
	update->bytes = 0;
	MemoryContextReset(update->context);
	return true;
}

/* ---------------------------------------------------------------- */
/* The batch                                                        */
/* ---------------------------------------------------------------- */

/* Drops generated columns, which are computed and not moved. */
static void
drop_generated(PgeTable *table)
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
check_replica_identity(void *argument)
{
	PgeUpdate  *update = argument;

	CheckCmdReplicaIdentity(update->table.relation, CMD_UPDATE);
}

static void
read_row_contexts(void *argument)
{
	PgeUpdate  *update = argument;

	update->contexts = pge_reencrypt_contexts(update->table.relation);
}

/*
 * Whether rows of the table can be updated at all; else fills in
 * batch->problem.
 */
static bool
prepare_table(PgeUpdate *update)
{
	PgeBatch   *batch = update->batch;
	const char *name = RelationGetRelationName(update->table.relation);

	drop_generated(&update->table);
	if (pge_attempt(check_replica_identity, update, &batch->problem) !=
		PGE_ATTEMPT_DONE)
		return pge_problem(&batch->problem, PGE_NOT_READY,
						   "Set a replica identity for it, with ALTER TABLE.",
						   "table \"%s\" publishes updates and has no replica identity",
						   name);
	if (batch->reencrypt &&
		pge_attempt(read_row_contexts, update, &batch->problem) !=
			PGE_ATTEMPT_DONE)
		return pge_problem(&batch->problem, PGE_CONTEXT,
						   "Define again, with pgenvelope.set_rewrap_context, which columns they are made of.",
						   "encryption contexts of table \"%s\" cannot be made",
						   name);
	return true;
}

static void
allocate_room(PgeUpdate *update)
{
	TupleDesc	descriptor = RelationGetDescr(update->table.relation);
	int			room = GATHERED_ITEMS + update->table.column_count;

	update->context = AllocSetContextCreate(CurrentMemoryContext,
											"pgenvelope update",
											ALLOCSET_DEFAULT_SIZES);
	update->rows = palloc(room * sizeof(PgeUpdateRow));
	update->items = palloc(room * sizeof(PgeRewrapItem));
	update->attributes = palloc(room * sizeof(AttrNumber));
	update->domains = palloc0(descriptor->natts * sizeof(Oid));
	for (int i = 0; i < update->table.column_count; i++)
	{
		AttrNumber	number = update->table.columns[i];
		Oid			type = TupleDescAttr(descriptor, number - 1)->atttypid;

		if (get_typtype(type) == TYPTYPE_DOMAIN)
			update->domains[number - 1] = type;
	}
}

static bool
begin_update(PgeUpdate *update, PgeBatch *batch)
{
	memset(update, 0, sizeof(PgeUpdate));
	update->batch = batch;
	update->caller = CurrentMemoryContext;
	if (!pge_table_open(batch, RowExclusiveLock, &update->table))
		return false;
	if (!prepare_table(update))
	{
		batch->end = PGE_BATCH_REFUSED;
		pge_table_close(&update->table);
		return false;
	}
	allocate_room(update);
	update->slot = table_slot_create(update->table.relation, NULL);
	update->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(update->snapshot);
	return true;
}

static void
end_update(PgeUpdate *update)
{
	PopActiveSnapshot();
	UnregisterSnapshot(update->snapshot);
	ExecDropSingleTupleTableSlot(update->slot);
	pfree(update->rows);
	pfree(update->items);
	pfree(update->attributes);
	pfree(update->domains);
	MemoryContextDelete(update->context);
	pge_table_close(&update->table);
	CommandCounterIncrement();
}

/* Whether so much is written or gathered that the batch should end. */
static bool
is_enough(const PgeUpdate *update)
{
	const PgeBatch *batch = update->batch;

	return (batch->value_count > 0 &&
			batch->rewrapped + update->item_count >=
				(uint64) batch->value_count) ||
		batch->bytes + update->bytes >= BATCH_BYTES;
}

/* Reads blocks from batch->next_block on.  Returns the first one not read. */
static BlockNumber
walk_blocks(PgeUpdate *update, BlockNumber stop)
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
		batch->found += gather_row(update);
		if (is_full(update))
			(void) flush_rows(update);
	}
	ExecClearTuple(update->slot);
	table_endscan(scan);
	return stop;
}

void
pge_update_batch(PgeBatch *batch)
{
	PgeUpdate	update;
	BlockNumber stop;

	if (!begin_update(&update, batch))
		return;
	stop = batch->total_blocks;
	if (batch->next_block < stop)
	{
		if (batch->block_count < stop - batch->next_block)
			stop = batch->next_block + Max(batch->block_count, 1);
		stop = walk_blocks(&update, stop);
		if (batch->end == PGE_BATCH_MORE && flush_rows(&update))
			batch->next_block = stop;
	}
	if (batch->end == PGE_BATCH_MORE &&
		batch->next_block >= batch->total_blocks)
		batch->end = PGE_BATCH_DONE;
	end_update(&update);
}

void
pge_update_rows(PgeBatch *batch, ItemPointerData *tids, int count)
{
	PgeBatchEnd batch_end = batch->end;
	PgeUpdate	update;

	if (!begin_update(&update, batch))
		return;
	for (int i = 0; i < count && batch->end == PGE_BATCH_MORE; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (ItemPointerGetBlockNumber(&tids[i]) >= batch->total_blocks ||
			!table_tuple_fetch_row_version(update.table.relation, &tids[i],
										   update.snapshot, update.slot))
			continue;
		(void) gather_row(&update);
		ExecClearTuple(update.slot);
		if (is_full(&update))
			(void) flush_rows(&update);
	}
	if (batch->end == PGE_BATCH_MORE && flush_rows(&update))
		batch->end = batch_end;
	end_update(&update);
}
