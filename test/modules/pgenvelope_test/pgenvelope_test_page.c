/*
 * pgenvelope_test_page.c
 *	  A page rewrapped to and fro as fast as it can be, with the very code of
 *	  the in-place method, or with the same code under the wrong lock.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xloginsert.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"

PG_FUNCTION_INFO_V1(pgenvelope_test_swap);

/* The negative control: what the in-place method must not do. */
static bool careless;

static bool
lock_page(Buffer buffer)
{
	if (!careless)
		return ConditionalLockBufferForCleanup(buffer);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return true;
}

static XLogRecPtr
log_page(Buffer buffer)
{
	return careless ? log_newpage_buffer(buffer, true) : pge_log_page(buffer);
}

#define ConditionalLockBufferForCleanup lock_page
#define pge_log_page log_page
#include "rewrite/pge_page.c"
#include "rewrite/pge_page.h"

/* The prefixes that an array of values in binary form begins with. */
static uint8 **
prefixes(ArrayType *values, int *count)
{
	Datum	   *datums;
	uint8	  **result;

	deconstruct_array(values, BYTEAOID, -1, false, TYPALIGN_INT, &datums, NULL,
					  count);
	result = palloc(*count * sizeof(uint8 *));
	for (int i = 0; i < *count; i++)
		result[i] = (uint8 *) VARDATA_ANY(DatumGetByteaPP(datums[i]));
	return result;
}

typedef struct Swap
{
	Relation	relation;
	AttrNumber	attribute;
	int			count;
	uint8	  **one;
	uint8	  **other;
	PgeSpot		spots[PGE_PAGE_VALUES];
	PgeRewrapItem items[PGE_PAGE_VALUES];
} Swap;

/* Notes what to write in place of a value: whichever it is not. */
static bool
find_other(const Swap *swap, const uint8 *value, PgeRewrapItem *item)
{
	for (int i = 0; i < swap->count; i++)
	{
		bool		is_one = memcmp(value, swap->one[i], PGE_WRAP_PREFIX) == 0;

		if (!is_one && memcmp(value, swap->other[i], PGE_WRAP_PREFIX) != 0)
			continue;
		memcpy(item->old_prefix, value, PGE_WRAP_PREFIX);
		memcpy(item->new_prefix, is_one ? swap->other[i] : swap->one[i],
			   PGE_WRAP_PREFIX);
		item->outcome = PGE_OK;
		return true;
	}
	return false;
}

static int
swap_page(Swap *swap, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(swap->relation, block);
	PgeWritten	written = {0, 0};
	int			count = 0;
	OffsetNumber last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber;
		 offset <= last && count < PGE_PAGE_VALUES; offset++)
	{
		HeapTupleData tuple;
		Size		len;
		bool		elsewhere;
		uint8	   *value;

		if (!pge_page_tuple(swap->relation, buffer, offset, &tuple))
			continue;
		value = pge_page_value(&tuple, swap->attribute,
							   RelationGetDescr(swap->relation), &len,
							   &elsewhere);
		if (value == NULL || !find_other(swap, value, &swap->items[count]))
			continue;
		swap->spots[count].offset = offset;
		swap->spots[count++].attribute = swap->attribute;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	(void) pge_page_write(swap->relation, buffer, swap->spots, swap->items,
						  count, &written);
	ReleaseBuffer(buffer);
	return written.values;
}

/*
 * Overwrites the values of a column that are one of the first array's with
 * its fellow in the second, and the reverse, for so many milliseconds.
 * Returns how many were overwritten.
 */
Datum
pgenvelope_test_swap(PG_FUNCTION_ARGS)
{
	Swap	   *swap = palloc0(sizeof(Swap));
	TimestampTz end = GetCurrentTimestamp() +
		(TimestampTz) PG_GETARG_INT32(4) * 1000;
	int64		written = 0;
	int			others;

	swap->relation = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	swap->attribute = PG_GETARG_INT16(1);
	swap->one = prefixes(PG_GETARG_ARRAYTYPE_P(2), &swap->count);
	swap->other = prefixes(PG_GETARG_ARRAYTYPE_P(3), &others);
	if (others != swap->count)
		elog(ERROR, "the arrays differ in length");
	careless = PG_GETARG_BOOL(5);
	while (GetCurrentTimestamp() < end)
	{
		CHECK_FOR_INTERRUPTS();
		for (BlockNumber block = 0;
			 block < RelationGetNumberOfBlocks(swap->relation); block++)
			written += swap_page(swap, block);

		/* Let readers, and a standby's replay, have their turn. */
		pg_usleep(100);
	}
	careless = false;
	relation_close(swap->relation, RowExclusiveLock);
	PG_RETURN_INT64(written);
}
