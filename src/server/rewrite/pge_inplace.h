/*
 * pge_inplace.h
 *	  The parts of the in-place method: whether a table allows it, and writing
 *	  a page.
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
 * fills in problem with the obstacle: an index, a stored generated column, a
 * constraint or a partition key that reads one of the columns, and so on.
 */
extern bool pge_inplace_allowed(Relation relation, const AttrNumber *columns,
								int count, PgeProblem *problem);

/* The place of a value on a page. */
typedef struct PgeSpot
{
	OffsetNumber offset;		/* of the tuple's line pointer */
	AttrNumber	attribute;
} PgeSpot;

/* The most values on a page, since each has a header and a wrap. */
#define PGE_PAGE_VALUES (BLCKSZ / PGE_WRAP_PREFIX)

/*
 * Finds the bytes of a value within a tuple on a page, and their length.  NULL
 * if the value is NULL or is not stored there as it is.  In the latter case
 * *elsewhere is true, and *len is its length out of line or compressed, or 0
 * if the tuple is older than the column.  The caller has locked the page.
 */
extern uint8 *pge_page_value(HeapTuple tuple, AttrNumber attribute,
							 TupleDesc descriptor, Size *len,
							 bool *elsewhere);

/* Makes a tuple from a line pointer; false if that has none. */
extern bool pge_page_tuple(Relation relation, Buffer buffer,
						   OffsetNumber offset, HeapTuple tuple);

typedef struct PgeWritten
{
	int			values;
	uint64		bytes;			/* of WAL, approximately */
} PgeWritten;

/*
 * Overwrites the values at these spots of a pinned page, if their items'
 * outcome is PGE_OK and the page still holds what the items say; adds to
 * written.  False, with nothing done, if another session uses the page.
 */
extern bool pge_page_write(Relation relation, Buffer buffer,
						   const PgeSpot *spots, const PgeRewrapItem *items,
						   int count, PgeWritten *written);

#endif							/* PGE_INPLACE_H */
