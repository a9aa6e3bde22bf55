/*
 * pge_shared.h
 *	  What all processes of the server share, whatever their task: the clock,
 *	  generations of databases, and the points where tests step in.
 *
 * All of it is atomic or set once at start, except the launcher's latch.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SHARED_H
#define PGE_SHARED_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/spin.h"

/* Databases share a generation when their oids are equal modulo this. */
#define PGE_GENERATIONS 64

/* Named points where a test makes a process err, exit, abort or hang. */
typedef enum PgePoint
{
	PGE_POINT_KEEPER_LOOP,
	PGE_POINT_KEEPER_CALL,
	PGE_POINT_VERSION,			/* a new version's KEK is sealed, not stored */
	PGE_POINT_BATCH,			/* a batch is done, and not recorded */
	PGE_POINT_CURSOR,			/* it is recorded, and not committed */
	PGE_POINT_PAGE,				/* a page has been written in place */
	PGE_POINT_COUNT,			/* a chunk of a table is to be counted */
	PGE_POINT_PROOF,			/* a proof is taken, and not committed */
	PGE_POINTS
} PgePoint;

typedef enum PgePointAction
{
	PGE_POINT_PASS = 0,
	PGE_POINT_ERROR,			/* ereport(ERROR), once */
	PGE_POINT_EXIT,				/* proc_exit(1), once */
	PGE_POINT_ABORT,			/* abort(), once */
	PGE_POINT_HANG				/* until the action changes */
} PgePointAction;

typedef struct PgeShared
{
	pg_atomic_uint64 destructions;	/* atomic: moves when a version of a key
									 * has been destroyed */
	pg_atomic_uint64 generations[PGE_GENERATIONS];	/* atomic: a backend drops
													 * its KEKs and DEKs when
													 * its database's moves */
	TimestampTz started_at;		/* set at start, also after a crash */
	slock_t		launcher_mutex;
	struct Latch *launcher_latch;	/* NULL: there is no launcher; under
									 * launcher_mutex */
	pg_atomic_uint64 clock_offset_ms;	/* atomic: added to the clock; moved
										 * by tests only */
	pg_atomic_uint32 points[PGE_POINTS];	/* atomic: PgePointAction; set by
											 * tests only */
} PgeShared;

/* NULL unless the library was preloaded. */
extern PgeShared *pge_shared;

/* Called when shared memory is asked for, and when it is there. */
extern void pge_shared_request(void);
extern void pge_shared_attach(void);

/* Raises 55000 unless shared memory is there. */
extern void pge_require_preload(void);

/* Monotonic milliseconds, with the tests' offset. */
extern int64 pge_clock_ms(void);

/* How long to wait after so many failures before: 1 s, 2 s, 4 s, ... */
extern int	pge_backoff_ms(int failures, int longest_ms);

/* The generation of this database, and a new one of any. */
extern uint64 pge_generation(void);
extern void pge_generation_bump(Oid database);

/*
 * How many versions of keys have been destroyed.  A session notices a change
 * even within a statement.
 */
extern uint64 pge_destructions(void);
extern void pge_destructions_bump(void);

/* Stops here if a test says so. */
extern void pge_point(PgePoint point);

#endif							/* PGE_SHARED_H */
