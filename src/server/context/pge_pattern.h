/*
 * pge_pattern.h
 *	  Patterns: the encryption contexts that a grant is limited to.
 *
 * A pattern is a JSON object.  The context must have each of its members, with
 * the value that the pattern asks for:
 *
 *		{"tenant": "acme"}						that value
 *		{"tenant": ["acme", "globex"]}			one of those
 *		{"owner": {"is": "current_user"}}		the name of the current user,
 *		{"owner": {"is": "session_user"}}		or of the session user
 *		{"tenant": {"session": "tenant"}}		that member of the setting
 *												pgenvelope.session_context
 *
 * Values are compared as canonical contexts spell them, so 1, 1.0 and 1e0 are
 * equal, and "1" differs from them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PATTERN_H
#define PGE_PATTERN_H

#include "utils/jsonb.h"

#include "base/pge_report.h"
#include "core/envl_context.h"

typedef enum PgeConditionKind
{
	PGE_ONE_OF,
	PGE_IS_CURRENT_USER,
	PGE_IS_SESSION_USER,
	PGE_IS_SESSION_MEMBER
} PgeConditionKind;

/*
 * A pattern's condition on one member.  Everything is spelled as in a context.
 */
typedef struct PgeCondition
{
	envl_view	name;
	PgeConditionKind kind;
	int			count;
	envl_view  *values;			/* PGE_ONE_OF: sorted */
	envl_view	session_name;	/* PGE_IS_SESSION_MEMBER */
} PgeCondition;

typedef struct PgePattern
{
	int			count;
	PgeCondition conditions[FLEXIBLE_ARRAY_MEMBER];
} PgePattern;

/*
 * The users that conditions may refer to, spelled as in a context; a view
 * without bytes: the name cannot be spelled.
 */
typedef struct PgeWho
{
	envl_view	current_user;
	envl_view	session_user;
} PgeWho;

/* The members of a context, in its order. */
typedef struct PgeMembers
{
	const envl_spelled *members;
	size_t		count;
} PgeMembers;

/* Reads a pattern into the current memory context.  NULL fills in problem. */
extern PgePattern *pge_pattern_read(Jsonb *pattern, PgeProblem *problem);

/*
 * Returns the first condition that a context does not meet; NULL if it
 * matches.
 */
extern const PgeCondition *pge_pattern_mismatch(const PgePattern *pattern,
												const PgeMembers *context,
												const PgeWho *who);

/* The value of a context's member; a view without bytes if it is absent. */
extern envl_view pge_member_value(const PgeMembers *context, envl_view name);

#endif							/* PGE_PATTERN_H */
