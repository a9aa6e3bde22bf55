/*
 * pge_page.c
 *	  Overwriting the wraps of values on one page of a heap.
 *
 * Why no reader, here or on a standby, ever meets half of an old wrap and half
 * of a new one.  A reader pins a tuple's page before it looks up the line
 * pointer, and keeps the pin until it is done with the bytes.  It holds a lock
 * only while it decides what is visible.  So an exclusive lock is not enough:
 * a scan returns its tuples one by one, long after it released its lock.  A
 * cleanup lock is enough: it is an exclusive lock and guarantees that nobody
 * else has a pin.  It is requested conditionally, so nobody waits for it.
 * Copies made before are complete, and their wraps still open: the old version
 * is not retired while anything needs it.
 *
 * The same must hold on replay.  No WAL record of heap says "bytes were
 * overwritten".  Only servers with our library could replay a record of our
 * own, and generic records are replayed under an exclusive lock.  But
 * PostgreSQL replays the pruning of a page under a cleanup lock, even if it
 * only restores the page's image from the record.  So we log that: a pruning
 * of nothing, with an image of the page.
 *
 * The overwritten value may belong to any transaction, running, aborted or
 * ended long ago: whoever may see it finds the same payload under the same
 * data key.  Nothing else on the page changes, neither visibility nor space.
 *
 * The row that describes the new version was committed before this transaction
 * could see it (pge_inplace.c refuses one of its own), so its commit precedes
 * the image in the log, and no page reaches the disk before its record.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"

#include "base/pge_compat.h"
#include "rewrite/pge_inplace.h"
#include "rewrite/pge_page.h"

uint8 *
pge_page_value(HeapTuple tuple, AttrNumber attribute, TupleDesc descriptor,
			   Size *len, bool *elsewhere)
{
	struct varlena *value;
	bool		isnull;

	*len = 0;
	*elsewhere = attribute > HeapTupleHeaderGetNatts(tuple->t_data);
	if (*elsewhere)
		return NULL;
	value = (struct varlena *) DatumGetPointer(
		heap_getattr(tuple, attribute, descriptor, &isnull));
	if (isnull)
		return NULL;
	if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
	{
		*elsewhere = true;
		*len = toast_datum_size(PointerGetDatum(value));
		return NULL;
	}
	*len = VARSIZE_ANY_EXHDR(value);
	return (uint8 *) VARDATA_ANY(value);
}

bool
pge_page_tuple(Relation relation, Buffer buffer, OffsetNumber offset,
			   HeapTuple tuple)
{
	Page		page = BufferGetPage(buffer);
	ItemId		item;

	if (offset > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return false;
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(relation);
	ItemPointerSet(&tuple->t_self, BufferGetBlockNumber(buffer), offset);
	return true;
}

/*
 * Finds where to write, for each item that is unchanged on the page; NULL for
 * the others.
 */
static int
find_unchanged(Relation relation, Buffer buffer, const PgeSpot *spots,
			   const PgeRewrapItem *items, int count, uint8 **places)
{
	HeapTupleData tuple;
	Size		len;
	bool		elsewhere;
	int			found = 0;

	for (int i = 0; i < count; i++)
	{
		places[i] = NULL;
		if (items[i].outcome != PGE_OK ||
			!pge_page_tuple(relation, buffer, spots[i].offset, &tuple))
			continue;
		places[i] = pge_page_value(&tuple, spots[i].attribute,
								   RelationGetDescr(relation), &len,
								   &elsewhere);
		if (places[i] == NULL)
			continue;
		if (len >= PGE_WRAP_PREFIX &&
			memcmp(places[i], items[i].old_prefix, PGE_WRAP_PREFIX) == 0)
			found++;
		else
			places[i] = NULL;
	}
	return found;
}

bool
pge_page_write(Relation relation, Buffer buffer, const PgeSpot *spots,
			   const PgeRewrapItem *items, int count, PgeWritten *written)
{
	uint8	   *places[PGE_PAGE_VALUES];
	PageHeader	page = (PageHeader) BufferGetPage(buffer);
	int			found;

	Assert(count <= PGE_PAGE_VALUES);
	if (!ConditionalLockBufferForCleanup(buffer))
		return false;
	found = find_unchanged(relation, buffer, spots, items, count, places);
	if (found > 0)
	{
		START_CRIT_SECTION();
		for (int i = 0; i < count; i++)
		{
			if (places[i] != NULL)
				memcpy(places[i], items[i].new_prefix, PGE_WRAP_PREFIX);
		}
		MarkBufferDirty(buffer);
		if (RelationNeedsWAL(relation))
		{
			/* The macro PageSetLSN evaluates its argument twice. */
			XLogRecPtr	lsn = pge_log_page(buffer);

			PageSetLSN((Page) page, lsn);
			written->bytes += BLCKSZ - (page->pd_upper - page->pd_lower);
		}
		END_CRIT_SECTION();
		written->values += found;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return true;
}
