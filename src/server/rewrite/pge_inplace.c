/*
 * pge_inplace.c
 *	  A batch by the method "inplace": overwriting wraps on their pages.
 *
 * The table is locked as writers lock it, and only if the lock can be had
 * without waiting in its queue.  That keeps out index builds and changes of
 * the table, and lets VACUUM work.  A lock on each page makes writing safe
 * (pge_page.c).  A batch ends after a tenth of a second, and its transaction
 * should end then too, so that nobody waits longer for the table.
 *
 * The batch reads a group of pages, one by one.  With no page locked or pinned
 * it unwraps and wraps the data keys of all their values.  Then it writes each
 * page where that still holds what was read.  So a pass logs at most one image
 * of a page, and locks it only to copy some bytes and insert the record.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/relcache.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "rewrite/pge_batch.h"
#include "rewrite/pge_inplace.h"
#include "rewrite/pge_inplace_guard.h"
#include "rewrite/pge_page.h"
#include "rewrite/pge_update.h"

/* How long the table stays locked. */
#define BATCH_MS 100

/*
 * The size of a group: four calls of the wrap's cipher, half a BULKREAD ring.
 */
#define GROUP_VALUES (4 * ENVL_WRAP_BATCH)
#define GROUP_PAGES 16

/* How often to try a page that is in use, one millisecond apart. */
#define ATTEMPTS 5

/*
 * End the batch when this many rows, or this many bytes of values, wait for
 * UPDATE.
 */
#define ROWS_MAX 1000
#define ROW_BYTES_MAX (16 * 1024 * 1024)

typedef struct GroupPage
{
	BlockNumber block;
	int			first;			/* of its values in the group */
	int			count;
	bool		done;
} GroupPage;

typedef struct Walk
{
	PgeBatch   *batch;
	BufferAccessStrategy strategy;
	instr_time	start;
	BlockNumber end;			/* of this batch's range */
	PgeTable	table;
	bool	   *missing_wanted; /* by column: whether tuples that lack it
								 * count, because the default's value has
								 * another version */

	/* The current group of pages. */
	int			page_count;
	GroupPage	pages[GROUP_PAGES];
	int			value_count;
	PgeSpot    *spots;
	PgeRewrapItem *items;

	/* Rows for UPDATE. */
	int			row_count;
	int			row_room;
	ItemPointerData *rows;
	Size		row_bytes;
} Walk;

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

/* Whether hint bits alone say that the tuple is aborted or deleted. */
static bool
is_surely_dead(HeapTupleHeader header)
{
	uint16		infomask = header->t_infomask;

	return HeapTupleHeaderXminInvalid(header) ||
		((infomask & HEAP_XMAX_COMMITTED) &&
		 !HEAP_XMAX_IS_LOCKED_ONLY(infomask));
}

static void
add_row(Walk *walk, ItemPointer tid)
{
	if (walk->row_count == walk->row_room)
	{
		walk->row_room *= 2;
		walk->rows = repalloc(walk->rows,
							  walk->row_room * sizeof(ItemPointerData));
	}
	walk->rows[walk->row_count++] = *tid;
}

/* Notes the values of a tuple that may have to be moved. */
static void
read_tuple(Walk *walk, GroupPage *page, HeapTuple tuple)
{
	TupleDesc	descriptor = RelationGetDescr(walk->table.relation);
	bool		update = false;

	for (int i = 0; i < walk->table.column_count; i++)
	{
		AttrNumber	attribute = walk->table.columns[i];
		bool		elsewhere;
		Size		len;
		uint8	   *value = pge_page_value(tuple, attribute, descriptor, &len,
										   &elsewhere);

		if (elsewhere && (len > 0 || walk->missing_wanted[i]))
		{
			update = true;
			walk->row_bytes += len;
		}
		if (value == NULL ||
			!pge_rewrap_concerns(&walk->batch->rewrap, value, len) ||
			page->count == PGE_PAGE_VALUES)
			continue;
		walk->spots[walk->value_count].offset = ItemPointerGetOffsetNumber(
			&tuple->t_self);
		walk->spots[walk->value_count].attribute = attribute;
		memcpy(walk->items[walk->value_count].old_prefix, value,
			   PGE_WRAP_PREFIX);
		walk->value_count++;
		page->count++;
	}
	if (update)
		add_row(walk, &tuple->t_self);
}

/*
 * Drops the values that stay.  That reads the catalog, which takes other locks
 * and so cannot be done with a page locked.
 */
static void
keep_wanted(Walk *walk, GroupPage *page)
{
	int			kept = page->first;

	for (int i = page->first; i < page->first + page->count; i++)
	{
		if (!pge_rewrap_wanted(&walk->batch->rewrap,
							   walk->items[i].old_prefix, PGE_WRAP_PREFIX))
			continue;
		walk->spots[kept] = walk->spots[i];
		walk->items[kept] = walk->items[i];
		kept++;
	}
	page->count = kept - page->first;
	walk->value_count = kept;
}

static Buffer
open_page(Walk *walk, BlockNumber block)
{
	return ReadBufferExtended(walk->table.relation, MAIN_FORKNUM, block,
							  RBM_NORMAL, walk->strategy);
}

/* Whether enough rows wait for UPDATE. */
static bool
has_enough_rows(const Walk *walk)
{
	return walk->row_count >= ROWS_MAX || walk->row_bytes >= ROW_BYTES_MAX;
}

static void
read_page(Walk *walk, BlockNumber block)
{
	GroupPage  *page = &walk->pages[walk->page_count];
	Buffer		buffer = open_page(walk, block);
	HeapTupleData tuple;
	OffsetNumber last;

	page->block = block;
	page->first = walk->value_count;
	page->count = 0;
	page->done = false;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		if (!pge_page_tuple(walk->table.relation, buffer, offset, &tuple) ||
			is_surely_dead(tuple.t_data))
			continue;
		walk->batch->rows_seen++;
		read_tuple(walk, page, &tuple);
	}
	UnlockReleaseBuffer(buffer);
	keep_wanted(walk, page);
	if (page->count > 0)
		walk->page_count++;
}

/* Reads pages until the group is full or the range ends. */
static void
read_group(Walk *walk)
{
	walk->page_count = 0;
	walk->value_count = 0;
	while (walk->batch->next_block < walk->end &&
		   walk->page_count < GROUP_PAGES &&
		   walk->value_count < GROUP_VALUES && !has_enough_rows(walk))
	{
		CHECK_FOR_INTERRUPTS();
		read_page(walk, walk->batch->next_block++);
	}
}

/* ---------------------------------------------------------------- */
/* Writing                                                          */
/* ---------------------------------------------------------------- */

/*
 * Reports the values of a page that cannot be moved, except in tuples that
 * nobody will see again.
 */
static void
report_failures(Walk *walk, const GroupPage *page)
{
	Relation	relation = walk->table.relation;
	Buffer		buffer = open_page(walk, page->block);
	TransactionId oldest = GetOldestNonRemovableTransactionId(relation);
	HeapTupleData tuple;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (int i = page->first; i < page->first + page->count; i++)
	{
		if (walk->items[i].outcome == PGE_OK)
			continue;
		if (!pge_page_tuple(relation, buffer, walk->spots[i].offset, &tuple) ||
			HeapTupleSatisfiesVacuum(&tuple, oldest, buffer) !=
				HEAPTUPLE_LIVE)
		{
			walk->batch->found--;
			continue;
		}
		pge_batch_failure(walk->batch, walk->spots[i].attribute,
						  &tuple.t_self, walk->items[i].outcome);
	}
	UnlockReleaseBuffer(buffer);
}

/* Writes a page.  False if it is in use. */
static bool
write_page(Walk *walk, const GroupPage *page)
{
	Buffer		buffer = open_page(walk, page->block);
	PgeWritten	written = {0, 0};
	bool		done = pge_page_write(walk->table.relation, buffer,
									  walk->spots + page->first,
									  walk->items + page->first, page->count,
									  &written);

	ReleaseBuffer(buffer);
	walk->batch->rewrapped += written.values;
	walk->batch->in_place += written.values;
	walk->batch->bytes += written.bytes;
	return done;
}

/* Decides about the values of a page that stays in use. */
static void
skip_page(Walk *walk, const GroupPage *page)
{
	ItemPointerData tid;
	OffsetNumber last = InvalidOffsetNumber;

	if (!walk->batch->update_busy)
	{
		walk->batch->busy += page->count;
		return;
	}
	for (int i = page->first; i < page->first + page->count; i++)
	{
		if (walk->spots[i].offset == last ||
			walk->items[i].outcome != PGE_OK)
			continue;
		last = walk->spots[i].offset;
		ItemPointerSet(&tid, page->block, last);
		add_row(walk, &tid);
	}
	/* pge_update_rows counts them. */
	walk->batch->found -= page->count;
}

static void
write_group(Walk *walk)
{
	int			left = walk->page_count;

	for (int attempt = 0; attempt < ATTEMPTS && left > 0; attempt++)
	{
		if (attempt > 0)
			pg_usleep(1000);
		for (int i = 0; i < walk->page_count; i++)
		{
			GroupPage  *page = &walk->pages[i];

			if (page->done || !write_page(walk, page))
				continue;
			pge_point(PGE_POINT_PAGE);
			page->done = true;
			left--;
		}
	}
	for (int i = 0; i < walk->page_count; i++)
	{
		const GroupPage *page = &walk->pages[i];
		bool		failed = false;

		if (!page->done)
			skip_page(walk, page);
		for (int j = page->first; j < page->first + page->count; j++)
			failed |= walk->items[j].outcome != PGE_OK;
		if (failed)
			report_failures(walk, page);
	}
}

/* ---------------------------------------------------------------- */
/* The batch                                                        */
/* ---------------------------------------------------------------- */

/*
 * Whether the target version is committed.  A rollback does not undo what is
 * written here, so the version must not come from this transaction.
 */
static bool
is_target_committed(PgeBatch *batch)
{
	Relation	table = table_open(pge_table("key_version"), AccessShareLock);
	ScanKeyData condition[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		committed = true;

	ScanKeyInit(&condition[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) batch->rewrap.key_id));
	ScanKeyInit(&condition[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(batch->rewrap.target));
	scan = systable_beginscan(table, pge_primary_key_index(table), true,
							  NULL, lengthof(condition), condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		committed = !TransactionIdIsCurrentTransactionId(
			HeapTupleHeaderGetXmin(tuple->t_data));
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	if (!committed)
		pge_problem(&batch->problem, PGE_NOT_SUPPORTED, NULL,
					"version %u was made or changed in this transaction",
					batch->rewrap.target);
	return committed;
}

/*
 * Whether the default's value must be moved, which rows from before the
 * column's creation have.
 */
static bool
is_missing_wanted(const Walk *walk, AttrNumber attribute)
{
	bool		isnull;
	Datum		value = getmissingattr(RelationGetDescr(walk->table.relation),
									   attribute, &isnull);
	struct varlena *bytes;

	if (isnull)
		return false;
	bytes = PG_DETOAST_DATUM_PACKED(value);
	return pge_rewrap_wanted(&walk->batch->rewrap,
							 (uint8 *) VARDATA_ANY(bytes),
							 VARSIZE_ANY_EXHDR(bytes));
}

/*
 * Prepares the walk.  False if the method is not possible for the table;
 * batch->problem says why.
 */
static bool
begin_walk(Walk *walk)
{
	PgeBatch   *batch = walk->batch;
	int			columns = walk->table.column_count;

	batch->end = PGE_BATCH_REFUSED;
	if (!pge_inplace_allowed(walk->table.relation, walk->table.columns,
							 columns, &batch->problem) ||
		!is_target_committed(batch))
		return false;

	walk->missing_wanted = palloc(columns * sizeof(bool));
	for (int i = 0; i < columns; i++)
		walk->missing_wanted[i] = is_missing_wanted(walk,
													walk->table.columns[i]);
	walk->spots = palloc((GROUP_VALUES + PGE_PAGE_VALUES) * sizeof(PgeSpot));
	walk->items = palloc((GROUP_VALUES + PGE_PAGE_VALUES) *
						 sizeof(PgeRewrapItem));
	walk->row_room = ROWS_MAX;
	walk->rows = palloc(walk->row_room * sizeof(ItemPointerData));
	walk->strategy = GetAccessStrategy(BAS_BULKREAD);
	INSTR_TIME_SET_CURRENT(walk->start);

	walk->end = batch->total_blocks;
	if (batch->next_block < walk->end &&
		batch->block_count < walk->end - batch->next_block)
		walk->end = batch->next_block + Max(batch->block_count, 1);
	return true;
}

/* Whether the batch should end. */
static bool
must_end(const Walk *walk)
{
	const PgeBatch *batch = walk->batch;
	instr_time	now;

	if (batch->next_block >= walk->end || has_enough_rows(walk) ||
		(batch->value_count > 0 &&
		 batch->rewrapped >= (uint64) batch->value_count))
		return true;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, walk->start);
	return INSTR_TIME_GET_MILLISEC(now) >= BATCH_MS;
}

static void
walk_range(Walk *walk)
{
	PgeBatch   *batch = walk->batch;
	BlockNumber from;

	do
	{
		from = batch->next_block;
		read_group(walk);
		batch->found += walk->value_count;
		if (walk->value_count == 0)
			continue;
		if (!pge_rewrap_items(&batch->rewrap, walk->items, walk->value_count,
							  &batch->problem))
		{
			batch->found -= walk->value_count;
			batch->next_block = from;
			batch->end = PGE_BATCH_UNAVAILABLE;
			return;
		}
		write_group(walk);
	} while (!must_end(walk));
	batch->end = batch->next_block < batch->total_blocks ? PGE_BATCH_MORE :
														   PGE_BATCH_DONE;
}

/*
 * Moves what could not be written in place.  Every value that is written here,
 * fails or is busy counts as found.  If something prevents the update, the
 * next pass meets the remaining rows again.
 */
static void
update_rows(Walk *walk)
{
	PgeBatch   *batch = walk->batch;
	PgeBatchEnd end = batch->end;
	uint64		before = batch->rewrapped + batch->busy;
	int			failures = list_length(batch->failures);

	if (end != PGE_BATCH_UNAVAILABLE)
		pge_update_rows(batch, walk->rows, walk->row_count);
	if (batch->end != end || end == PGE_BATCH_UNAVAILABLE)
		batch->busy += walk->row_count;
	if (batch->end == PGE_BATCH_LOCKED)
		batch->end = end;
	batch->found += batch->rewrapped + batch->busy - before +
		list_length(batch->failures) - failures;
}

void
pge_inplace_batch(PgeBatch *batch)
{
	Walk		walk = {.batch = batch};
	bool		walked;

	if (!pge_table_open(batch, RowExclusiveLock, &walk.table))
		return;
	walked = begin_walk(&walk);
	if (walked)
	{
		walk_range(&walk);
		FreeAccessStrategy(walk.strategy);
	}
	pge_table_close(&walk.table);
	if (walk.row_count > 0)
		update_rows(&walk);
	if (walked)
	{
		pfree(walk.missing_wanted);
		pfree(walk.spots);
		pfree(walk.items);
		pfree(walk.rows);
	}
}
