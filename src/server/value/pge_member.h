/*
 * pge_member.h
 *	  Encryption contexts made from the rows of a table: 'member=column' and
 *	  'member:literal', the arguments of env_encrypt_column and
 *	  pgenvelope.set_rewrap_context.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_MEMBER_H
#define PGE_MEMBER_H

#include "access/htup.h"
#include "fmgr.h"
#include "utils/relcache.h"

#include "context/pge_context.h"

/* The most members of such a context. */
#define PGE_ROW_MEMBERS_MAX 32

/* A column, and how its values become text or jsonb. */
typedef struct PgeColumn
{
	AttrNumber	number;
	Oid			type;			/* the base type of a domain */
	FmgrInfo	output;
	FmgrInfo	to_jsonb;		/* members only */
} PgeColumn;

/* One member of the context: from a column, or a literal. */
typedef struct PgeMember
{
	envl_view	name;			/* UTF-8 */
	bool		is_literal;
	envl_view	literal;		/* UTF-8 */
	PgeColumn	column;
} PgeMember;

/* A context that is made for each row. */
typedef struct PgeRowContext
{
	const char *function;		/* for messages: the function with these
								 * arguments */
	int			count;
	PgeMember	members[PGE_ROW_MEMBERS_MAX];
} PgeRowContext;

/*
 * Finds a column, or raises.  The result refers to memory of the current
 * memory context.
 */
extern void pge_column_find(Relation table, const char *name,
							const char *function, PgeColumn *column);

/* Adds the member that an argument describes, or raises. */
extern PgeMember *pge_row_context_add(PgeRowContext *context, Relation table,
									  const char *argument);

/*
 * Makes the members as env_encrypt would from jsonb_build_object, into
 * PGE_ROW_MEMBERS_MAX places.  Runs output functions, which may be any code.
 * Raises PE005 if a column is null.
 */
extern void pge_row_context_fill(PgeRowContext *context, Relation table,
								 HeapTuple row, envl_member *members);

/* A column's value as UTF-8 text. */
extern envl_view pge_column_text(PgeColumn *column, Datum value);

#endif							/* PGE_MEMBER_H */
