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

#include "rewrite/pge_batch.h"
#include "rewrite/pge_rewrap.h"

/* Where a value is on a page. */
typedef struct PgeSpot
{
	OffsetNumber offset;		/* of the tuple's line pointer */
	AttrNumber	attribute;
} PgeSpot;

/* The most values on a page, since each has a header and a wrap. */
#define PGE_PAGE_VALUES (BLCKSZ / PGE_WRAP_PREFIX)

typedef struct PgeWritten
{
	int			values;
	uint64		bytes;			/* of WAL, approximately */
} PgeWritten;

/*
 * In place: overwrites header and wrap on the page, under a conditional
 * cleanup lock.  What cannot be done so (out of line, compressed, fast
 * defaults, page always busy) goes through pge_update_rows.  REFUSED names
 * the guard.
 */
extern void pge_inplace_batch(PgeBatch *batch);

#endif							/* PGE_INPLACE_H */
