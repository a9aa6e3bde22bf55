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
#include "storage/block.h"
#include "utils/snapshot.h"

/* A place where envelopes can be, as the catalogs say. */
typedef struct PgePlace
{
	Oid			relation;		/* or the default, constraint, rule, ... */
	AttrNumber	attribute;		/* of a column that is not covered, else 0 */
	Oid			relfilenode;	/* of a table that is covered */
	char	   *name;			/* schema.table, quoted, or a description */
	List	   *columns;		/* of char * */
	List	   *attributes;		/* their numbers */
	const char *uncovered;		/* NULL: a job reaches it; else the reason */
} PgePlace;

/* How many values of one version of one key a column has. */
typedef struct PgeCount
{
	Oid			relation;
	AttrNumber	attribute;
	uint64		key_id;			/* 0: not a value that can be read */
	uint16		version;
	uint64		count;
} PgeCount;

typedef enum PgeCensusEnd
{
	PGE_CENSUS_DONE,
	PGE_CENSUS_CHANGED,			/* a table was rewritten or dropped since
								 * pge_places looked, or has lost a column:
								 * what was read may not be all that the
								 * snapshot has */
	PGE_CENSUS_STOPPED			/* as its caller wished */
} PgeCensusEnd;

/*
 * Is called before each chunk of a table's blocks, at least once for a table,
 * with no lock held on it; false stops the census.
 */
typedef bool (*PgeCensusLook)(void *argument, const PgePlace *place,
							  BlockNumber block, BlockNumber total);

/*
 * Counts the values of every covered place under one snapshot; *counts is a
 * list of PgeCounts.  What is being read is shown in pg_stat_activity.  Values
 * of versions that do not exist may be counted together, as of version 0, or
 * of key 0 where the key does not exist.
 */
extern PgeCensusEnd pge_census(List *places, Snapshot snapshot,
							   PgeCensusLook look, void *argument,
							   List **counts);

/* Whether a column has a value of a key, now; stops at the first. */
extern bool pge_census_has_key(Oid relation, AttrNumber attribute,
							   uint64 key_id);

#endif							/* PGE_CENSUS_H */
