/*
 * pge_table.h
 *	  The extension's tables: where they are, their columns by name, and
 *	  whether they are of this library's version.
 *
 * The library is replaced by a restart, the schema by ALTER EXTENSION UPDATE
 * in each database; in between they differ, and nothing is read or written.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TABLE_H
#define PGE_TABLE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/relcache.h"

#include "base/pge_compat.h"

typedef enum PgeSchema
{
	PGE_SCHEMA_OURS,
	PGE_SCHEMA_OTHER,			/* of another version than this library */
	PGE_SCHEMA_ABSENT			/* the database lacks the extension */
} PgeSchema;

/*
 * The state of the database's schema.  The catalog's version is palloc'd, or
 * NULL; version may be NULL.
 */
extern PgeSchema pge_schema(char **version);

/* Raises 55000: the schema is of that version. */
pg_noreturn extern void pge_schema_refuse(const char *version);

/* Oid of a table or index, by its name in schema pgenvelope; raises 55000. */
extern Oid	pge_table(const char *name);

#define PGE_COLUMNS_MAX 10

/* A table, and those of its columns that are read. */
typedef struct PgeOwnTable
{
	const char *name;
	const char *columns[PGE_COLUMNS_MAX];
	Oid			oid;			/* InvalidOid: not looked up */
	AttrNumber	numbers[PGE_COLUMNS_MAX];
} PgeOwnTable;

/* Looks up the table and its columns; raises 55000 if one is missing. */
extern void pge_own_table_find(PgeOwnTable *table);

/* Opens a table that was found, to read it; 55000 if it is gone since. */
extern Relation pge_own_table_open(const PgeOwnTable *table);

/* A row of such a table. */
typedef struct PgeOwnRow
{
	const PgeOwnTable *table;
	TupleDesc	descriptor;
	HeapTuple	tuple;
} PgeOwnRow;

/* The value of a column, given by its place in columns. */
extern Datum pge_own_get(const PgeOwnRow *row, int column, bool *isnull);

#endif							/* PGE_TABLE_H */
