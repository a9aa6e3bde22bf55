/*
 * pge_batch.h
 *	  One batch of one table: the contract between a job (pge_job.c) and the
 *	  two methods of writing (pge_update.c, pge_inplace.c).
 *
 * A batch is a range of blocks, written in the caller's transaction.  The
 * method opens the table if its lock can be had within
 * pgenvelope.rewrap_lock_timeout.  It looks up columns and types again, since
 * anything may have happened after the last batch.
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
	PGE_BATCH_DONE,				/* the table's last block has been read */
	PGE_BATCH_LOCKED,			/* the table's lock could not be had */
	PGE_BATCH_GONE,				/* no such table, or no envelopes in it */
	PGE_BATCH_REWRITTEN,		/* relfilenode differs: start from block 0 */
	PGE_BATCH_REFUSED,			/* this method does not work here: problem */
	PGE_BATCH_UNAVAILABLE		/* a KEK is unavailable at the moment:
								 * problem */
} PgeBatchEnd;

/* A value that could not be moved, for rewrap_failure. */
typedef struct PgeFailure
{
	AttrNumber	attribute;
	ItemPointerData tid;
	PgeOutcome	outcome;
} PgeFailure;

typedef struct PgeBatch
{
	/* In. */
	PgeRewrap	rewrap;
	bool		reencrypt;		/* also seal payloads again (pge_update
								 * only) */
	Oid			relation;
	Oid			relfilenode;	/* InvalidOid: not known yet; the method sets
								 * it */
	BlockNumber next_block;		/* in and out */
	BlockNumber stop_block;		/* the first block not to read; 0: read to the
								 * table's end */
	BlockNumber block_count;	/* the most blocks in this batch */
	int			value_count;	/* end the batch after about this many written
								 * values */
	bool		update_busy;	/* pge_inplace only: send what is on a page
								 * that is always in use through UPDATE; set
								 * from a job's third pass on */

	/* Out. */
	PgeBatchEnd end;
	BlockNumber total_blocks;	/* of the table now; at most stop_block */
	uint64		rows_seen;
	uint64		found;			/* values of other versions */
	uint64		rewrapped;		/* values written */
	uint64		in_place;		/* of these, those written in place */
	uint64		busy;			/* skipped: another session has just locked,
								 * updated or deleted the row, or uses the
								 * page */
	uint64		bytes;			/* written, approximately: new rows, page
								 * images */
	List	   *failures;		/* of PgeFailure, palloc'd */
	PgeProblem	problem;		/* for REFUSED and UNAVAILABLE; else the last
								 * error of a row */
} PgeBatch;

/* The columns of a table that are of type envelope or a domain over it. */
extern int	pge_envelope_columns(Relation relation, AttrNumber *columns,
								 int room);

/* ---------------------------------------------------------------- */
/* The start and the end of a batch */
/* ---------------------------------------------------------------- */

/* The table of a batch. */
typedef struct PgeTable
{
	Relation	relation;		/* locked until the transaction ends */
	int			column_count;
	AttrNumber *columns;		/* palloc'd, pge_envelope_columns */
	Oid			user;			/* the user before we became the owner */
	int			security_context;
	int			nest_level;
} PgeTable;

/*
 * Locks and opens the batch's table, becomes its owner in a
 * security-restricted operation with pinned settings, fills in what the batch
 * says of the table, and calls pge_catalog_begin.  False: batch->end says why,
 * and there is nothing to close.
 */
extern bool pge_table_open(PgeBatch *batch, LOCKMODE mode, PgeTable *table);
extern void pge_table_close(PgeTable *table);

/*
 * Runs work in a subtransaction.  An error rolls that back and is put, without
 * its details, into batch->problem.  An error that concerns the whole session
 * (a cancel, a shutdown, no memory, no disk) is raised again.
 */
typedef enum PgeAttempt
{
	PGE_ATTEMPT_DONE,
	PGE_ATTEMPT_BUSY,			/* a lock, a deadlock, a serialization */
	PGE_ATTEMPT_FAILED
} PgeAttempt;

extern PgeAttempt pge_attempt(void (*work)(void *), void *argument,
							  PgeProblem *problem);

/* Adds a failed value to the batch. */
extern void pge_batch_failure(PgeBatch *batch, AttrNumber attribute,
							  ItemPointer tid, PgeOutcome outcome);

#endif							/* PGE_BATCH_H */
