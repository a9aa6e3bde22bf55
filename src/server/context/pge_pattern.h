/*
 * pge_pattern.h
 *	  Patterns: the encryption contexts that a grant is limited to.
 *
 * A pattern is a JSON object.  Each of its members must be in the context,
 * and says what it must be there:
 *
 *		{"tenant": "acme"}						that value
 *		{"tenant": ["acme", "globex"]}			one of those
 *		{"owner": {"is": "current_user"}}		the name of the current user,
 *		{"owner": {"is": "session_user"}}		or of the session user
 *		{"tenant": {"session": "tenant"}}		that member of the setting
 *												pgenvelope.session_context
 *
 * Values are compared as canonical contexts spell them, so 1, 1.0 and 1e0 are
 * the same and "1" is another.
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

/* What a pattern says of one member.  All is spelled as in a context. */
typedef struct PgeCondition
{
	envl_view	name;
	PgeConditionKind kind;
	int			count;
	envl_view  *values;			/* PGE_ONE_OF: in order */
	envl_view	session_name;	/* PGE_IS_SESSION_MEMBER */
} PgeCondition;

typedef struct PgePattern
{
	int			count;
	PgeCondition conditions[FLEXIBLE_ARRAY_MEMBER];
} PgePattern;

/* Who asks, as a context spells them; of no bytes: not to be spelled. */
typedef struct PgeWho
{
	envl_view	current_user;
	envl_view	session_user;
} PgeWho;

/* Members of a context, in its order. */
typedef struct PgeMembers
{
	const envl_spelled *members;
	size_t		count;
} PgeMembers;

/* Reads a pattern into the current memory context.  NULL fills in problem. */
extern PgePattern *pge_pattern_read(Jsonb *pattern, PgeProblem *problem);

/* The first condition that a context does not meet; NULL: it matches. */
extern const PgeCondition *pge_pattern_mismatch(const PgePattern *pattern,
												const PgeMembers *context,
												const PgeWho *who);

/* The value of a context's member; of no bytes if it is not there. */
extern envl_view pge_member_value(const PgeMembers *context, envl_view name);

#endif							/* PGE_PATTERN_H */
