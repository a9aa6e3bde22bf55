/*
 * pge_census.h
 *	  Which key versions the stored values need: found out by reading all.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CENSUS_H
#define PGE_CENSUS_H

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* A place where envelopes can be, as the catalogs say. */
typedef struct PgePlace
{
	Oid			relation;
	char	   *name;			/* schema.table, quoted */
	List	   *columns;		/* of char * */
	const char *uncovered;		/* NULL: a job reaches it; else the reason */
} PgePlace;

/*
 * Every table with a column of type envelope (domains, partitions and
 * inheritance children too), and every other thing that may hold one:
 * materialized views, arrays, composites, ranges, foreign tables, other
 * sessions' temporary tables, defaults and CHECK constraints with an envelope
 * in them, rows of unlogged or other access methods.
 */
extern List *pge_places(void);

/* How many values of one version of one key a column has. */
typedef struct PgeCount
{
	Oid			relation;
	AttrNumber	attribute;
	uint64		key_id;			/* 0: not a value that can be read */
	uint16		version;
	uint64		count;
} PgeCount;

/*
 * Counts the values of every covered place under one snapshot; returns
 * PgeCounts.  Progress is shown in pgenvelope.rewrap_progress.
 */
extern List *pge_census(List *places, Snapshot snapshot);

#endif							/* PGE_CENSUS_H */
