/*
 * pge_page.h
 *	  Overwriting the wraps of values on one page of a heap.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PAGE_H
#define PGE_PAGE_H

#include "rewrite/pge_inplace.h"

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

/*
 * Overwrites the values at these spots of a pinned page, where they are still
 * what items say they were and their outcome is PGE_OK; adds to written.
 * False, and nothing done, if somebody else uses the page just now.
 */
extern bool pge_page_write(Relation relation, Buffer buffer,
						   const PgeSpot *spots, const PgeRewrapItem *items,
						   int count, PgeWritten *written);

#endif							/* PGE_PAGE_H */
