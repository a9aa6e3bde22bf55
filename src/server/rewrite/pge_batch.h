/*
 * pge_batch.h
 *	  One batch of one table: the contract between a job (pge_job.c) and the
 *	  two methods of writing (pge_update.c, pge_inplace.c).
 *
 * A batch is a range of blocks, done in the caller's transaction.  The method
 * opens the table, under the lock that it needs and only if that is to be had
 * at once or within pgenvelope.rewrap_lock_timeout, and looks up columns and
 * types anew: anything may have happened since the last batch.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_BATCH_H
#define PGE_BATCH_H

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/relcache.h"

#include "rewrite/pge_rewrap.h"

typedef enum PgeBatchEnd
{
	PGE_BATCH_MORE,				/* go on at next_block */
	PGE_BATCH_DONE,				/* the table's last block was read */
	PGE_BATCH_LOCKED,			/* the table's lock was not to be had */
	PGE_BATCH_GONE,				/* no such table, or no envelopes in it */
	PGE_BATCH_REWRITTEN,		/* relfilenode differs: begin anew */
	PGE_BATCH_REFUSED,			/* this method does not work here: problem */
	PGE_BATCH_UNAVAILABLE		/* no KEK, for the moment: problem */
} PgeBatchEnd;

/* A value that failed, for rewrap_failure. */
typedef struct PgeFailure
{
	AttrNumber	attribute;
	ItemPointerData tid;
	PgeOutcome	outcome;
} PgeFailure;

typedef struct PgeBatch
{
	/* What is wanted. */
	PgeRewrap	rewrap;
	bool		reencrypt;		/* seal payloads anew, too (pge_update only) */
	Oid			relation;
	Oid			relfilenode;	/* InvalidOid: not known yet; set by the
								 * method */
	BlockNumber next_block;		/* in and out */
	BlockNumber stop_block;		/* from there on it is not read; 0: read to the
								 * table's end */
	BlockNumber block_count;	/* at most so many blocks in this batch */
	int			value_count;	/* end the batch after about so many values
								 * written */
	bool		update_busy;	/* pge_inplace only: what is on a page that is
								 * always in use goes through UPDATE; set from
								 * a job's third pass on */

	/* What came of it. */
	PgeBatchEnd end;
	BlockNumber total_blocks;	/* of the table, now; at most stop_block */
	uint64		rows_seen;
	uint64		found;			/* values of other versions */
	uint64		rewrapped;		/* values written */
	uint64		in_place;		/* of these, in place */
	uint64		busy;			/* passed over: row locked, updated or deleted
								 * by somebody just now; page in use */
	uint64		bytes;			/* written, roughly: new rows, page images */
	List	   *failures;		/* of PgeFailure, palloc'd */
	PgeProblem	problem;		/* for REFUSED and UNAVAILABLE, else the last
								 * error that befell a row */
} PgeBatch;

/* The columns of a table that are of type envelope or a domain over it. */
extern int	pge_envelope_columns(Relation relation, AttrNumber *columns,
								 int room);

/* ---------------------------------------------------------------- */
/* What both methods begin and end with                             */
/* ---------------------------------------------------------------- */

/* A table that a batch is done of. */
typedef struct PgeTable
{
	Relation	relation;		/* locked until the transaction ends */
	int			column_count;
	AttrNumber *columns;		/* palloc'd, pge_envelope_columns */
	Oid			user;			/* who we were */
	int			security_context;
	int			nest_level;
} PgeTable;

/*
 * Locks and opens the batch's table, becomes its owner in a
 * security-restricted operation with settings pinned, and fills in what the
 * batch says of the table; pge_catalog_begin is called.  False: batch->end
 * says why, and nothing is left to be closed.
 */
extern bool pge_table_open(PgeBatch *batch, LOCKMODE mode, PgeTable *table);
extern void pge_table_close(PgeTable *table);

/*
 * Runs some work in a subtransaction.  On an error that is rolled back, and
 * the error, without its details, is in batch->problem; but what concerns the
 * whole session (a cancel, a shutdown, no memory, no disk) is raised again.
 */
typedef enum PgeAttempt
{
	PGE_ATTEMPT_DONE,
	PGE_ATTEMPT_BUSY,			/* a lock, a deadlock, a serialization */
	PGE_ATTEMPT_FAILED
} PgeAttempt;

extern PgeAttempt pge_attempt(void (*work)(void *), void *argument,
							  PgeProblem *problem);

/* Notes a value that failed. */
extern void pge_batch_failure(PgeBatch *batch, AttrNumber attribute,
							  ItemPointer tid, PgeOutcome outcome);

#endif							/* PGE_BATCH_H */
