/*
 * pge_spi.h
 *	  Statements on the extension's tables, as their owner.
 *
 * Rows are written by SQL as the tables' owner, so that constraints hold, the
 * guard trigger lets the writes pass, and what it announces is announced.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SPI_H
#define PGE_SPI_H

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "catalog/pge_catalog.h"

/* What pge_write_begin changed, for pge_write_end to restore. */
typedef struct PgeWriter
{
	Oid			user;
	int			security_context;
	int			nest_level;
} PgeWriter;

/*
 * Becomes the tables' owner, without the caller's search path, and connects to
 * SPI.  An error undoes this together with the transaction.
 */
extern PgeWriter pge_write_begin(void);
extern void pge_write_end(const PgeWriter *writer);

/*
 * Runs one statement and keeps its plan, so the statement must be a constant
 * of the program.  Returns how many rows it wrote or found.
 */
extern uint64 pge_write_run(const char *statement, int count, Oid *types,
							Datum *values, const char *nulls);

extern Datum pge_bytea_datum(const uint8 *bytes, size_t len);

/* A parameter of a statement. */
typedef struct PgeParameter
{
	Oid			type;
	bool		isnull;
	Datum		value;
} PgeParameter;

/* As pge_write_run, with parameters: pge_run("... $1 ...", pge_bigint(id)). */
#define pge_run(statement, ...) \
	pge_run_with(statement, \
				 sizeof((PgeParameter[]) {__VA_ARGS__}) / \
					 sizeof(PgeParameter), \
				 (PgeParameter[]) {__VA_ARGS__})

extern uint64 pge_run_with(const char *statement, int count,
						   const PgeParameter *parameters);

/* A parameter of a type that has no function of its own here. */
static inline PgeParameter
pge_parameter(Oid type, Datum value)
{
	return (PgeParameter) {type, false, value};
}

static inline PgeParameter
pge_bigint(int64 value)
{
	return (PgeParameter) {INT8OID, false, Int64GetDatum(value)};
}

static inline PgeParameter
pge_integer(int32 value)
{
	return (PgeParameter) {INT4OID, false, Int32GetDatum(value)};
}

static inline PgeParameter
pge_boolean(bool value)
{
	return (PgeParameter) {BOOLOID, false, BoolGetDatum(value)};
}

static inline PgeParameter
pge_oid(Oid value)
{
	return (PgeParameter) {OIDOID, false, ObjectIdGetDatum(value)};
}

static inline PgeParameter
pge_timestamp(TimestampTz value)
{
	return (PgeParameter) {TIMESTAMPTZOID, false, TimestampTzGetDatum(value)};
}

/* NULL is null. */
static inline PgeParameter
pge_text(const char *value)
{
	if (value == NULL)
		return (PgeParameter) {TEXTOID, true, (Datum) 0};
	return (PgeParameter) {TEXTOID, false, CStringGetTextDatum(value)};
}

static inline PgeParameter
pge_bytes(const uint8 *bytes, size_t len)
{
	return (PgeParameter) {BYTEAOID, false, pge_bytea_datum(bytes, len)};
}

/* The parameter, or null of its type. */
static inline PgeParameter
pge_unless(bool isnull, PgeParameter parameter)
{
	parameter.isnull |= isnull;
	return parameter;
}

/*
 * A field of a row that the last statement found, in the procedure's memory;
 * 0 or NULL if it is null.  Rows count from 0, columns from 1; an integer is a
 * bigint.
 */
extern int64 pge_row_int(int row, int column);
extern char *pge_row_text(int row, int column);

#endif							/* PGE_SPI_H */
