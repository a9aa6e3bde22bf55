/*
 * pge_member.h
 *	  Encryption contexts that a table's rows give: 'member=column' and
 *	  'member:literal', as env_encrypt_column and env_rewrap_context take
 *	  them.
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

/* The most members that are named so. */
#define PGE_ROW_MEMBERS_MAX 32

/* A column, and how its values become text or jsonb. */
typedef struct PgeColumn
{
	AttrNumber	number;
	Oid			type;			/* of which a domain is made, if it is one */
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

/* A context that is made anew of every row. */
typedef struct PgeRowContext
{
	const char *function;		/* whose arguments these are, for messages */
	int			count;
	PgeMember	members[PGE_ROW_MEMBERS_MAX];
} PgeRowContext;

/* Finds a column, or raises; what it refers to is in the current context. */
extern void pge_column_find(Relation table, const char *name,
							const char *function, PgeColumn *column);

/* Adds the member that an argument says, or raises. */
extern PgeMember *pge_row_context_add(PgeRowContext *context, Relation table,
									  const char *argument);

/*
 * The members as env_encrypt would take them from jsonb_build_object, into
 * PGE_ROW_MEMBERS_MAX places.  Runs output functions, which may be any code.
 * Raises PE005 for a column that is null.
 */
extern void pge_row_context_fill(PgeRowContext *context, Relation table,
								 HeapTuple row, envl_member *members);

/* A column's value as UTF-8 text. */
extern envl_view pge_column_text(PgeColumn *column, Datum value);

#endif							/* PGE_MEMBER_H */
