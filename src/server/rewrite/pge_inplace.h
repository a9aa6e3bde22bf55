/*
 * pge_inplace.h
 *	  The parts of the in-place method: whether a table allows it, and one
 *	  page of it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_INPLACE_H
#define PGE_INPLACE_H

#include "access/htup.h"
#include "storage/buf.h"
#include "utils/rel.h"

#include "rewrite/pge_rewrap.h"

/*
 * Whether the values of these columns may change without an UPDATE.  False
 * names what stands against it: an index, a stored generated column, a
 * constraint or a partition key that reads one of them, and so on.
 */
extern bool pge_inplace_allowed(Relation relation, const AttrNumber *columns,
								int count, PgeProblem *problem);

/* Where a value is on a page. */
typedef struct PgeSpot
{
	OffsetNumber offset;		/* of the tuple's line pointer */
	AttrNumber	attribute;
} PgeSpot;

/* The most values that a page can have, each with a header and a wrap. */
#define PGE_PAGE_VALUES (BLCKSZ / PGE_WRAP_PREFIX)

/*
 * The bytes of a value within a tuple on a page, and how many they are.  NULL
 * if it is NULL, or if it is not there as it is: *elsewhere is then true, and
 * *len says how long it is out of line or compressed, or is 0 where the tuple
 * is older than the column.  The caller has the page locked.
 */
extern uint8 *pge_page_value(HeapTuple tuple, AttrNumber attribute,
							 TupleDesc descriptor, Size *len,
							 bool *elsewhere);

/* Makes a tuple of a line pointer; false if it has none. */
extern bool pge_page_tuple(Relation relation, Buffer buffer,
						   OffsetNumber offset, HeapTuple tuple);

typedef struct PgeWritten
{
	int			values;
	uint64		bytes;			/* of WAL, roughly */
} PgeWritten;

/*
 * Overwrites the values at these spots of a pinned page, where they are still
 * what items say they were and their outcome is PGE_OK; adds to written.
 * False, and nothing done, if somebody else uses the page just now.
 */
extern bool pge_page_write(Relation relation, Buffer buffer,
						   const PgeSpot *spots, const PgeRewrapItem *items,
						   int count, PgeWritten *written);

#endif							/* PGE_INPLACE_H */
