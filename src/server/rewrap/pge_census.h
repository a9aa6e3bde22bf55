/*
 * pge_census.h
 *	  Finds out which key versions the stored values need, by reading all of
 *	  them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CENSUS_H
#define PGE_CENSUS_H

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "utils/snapshot.h"

/* A place that can hold envelopes, according to the catalogs. */
typedef struct PgePlace
{
	Oid			relation;		/* or the default, constraint, rule, ... */
	AttrNumber	attribute;		/* of a column that is not covered, or 0 */
	Oid			relfilenode;	/* of a table that is covered */
	char	   *name;			/* schema.table, quoted, or a description */
	List	   *columns;		/* of char * */
	List	   *attributes;		/* their numbers */
	const char *uncovered;		/* NULL: a job reaches it; else the reason */
} PgePlace;

/* How many values of one version of a key a column has. */
typedef struct PgeCount
{
	Oid			relation;
	AttrNumber	attribute;
	uint64		key_id;			/* 0: not a readable value */
	uint16		version;
	uint64		count;
} PgeCount;

typedef enum PgeCensusEnd
{
	PGE_CENSUS_DONE,
	PGE_CENSUS_CHANGED,			/* since pge_places looked, a table was
								 * rewritten or dropped, or lost a column: the
								 * count may lack values of the snapshot */
	PGE_CENSUS_STOPPED			/* because its caller asked for that */
} PgeCensusEnd;

/*
 * Called before each chunk of a table's blocks, at least once for each table,
 * while no lock is held on the table.  False stops the census.
 */
typedef bool (*PgeCensusLook)(void *argument, const PgePlace *place,
							  BlockNumber block, BlockNumber total);

/*
 * Counts the values of every covered place under one snapshot; *counts is a
 * list of PgeCounts.  pg_stat_activity shows what is being read.  Values of
 * versions that do not exist may be counted together: as version 0, or as key
 * 0 if the key does not exist.
 */
extern PgeCensusEnd pge_census(List *places, Snapshot snapshot,
							   PgeCensusLook look, void *argument,
							   List **counts);

/* Whether a column has any value of a key now.  Stops at the first one. */
extern bool pge_census_has_key(Oid relation, AttrNumber attribute,
							   uint64 key_id);

#endif							/* PGE_CENSUS_H */
