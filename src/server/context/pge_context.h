/*
 * pge_context.h
 *	  Encryption contexts from SQL: jsonb to canonical bytes, remembered.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CONTEXT_H
#define PGE_CONTEXT_H

#include "utils/jsonb.h"

#include "base/pge_report.h"
#include "context/pge_pattern.h"
#include "core/envl_value.h"

struct		PgeGrant;			/* pge_catalog.h */

/*
 * The limited grant that a context was last found to match, or NULL: the
 * memory of pge_entitlement.c.
 */
typedef struct PgeEntitled
{
	uint64		rights;			/* by what was known of whom */
	uint64		session;		/* pge_session_generation */
	int			privilege;		/* a PgePrivilege */
	const struct PgeGrant *grant;
} PgeEntitled;

/* What a key requires of contexts. */
typedef struct PgePolicy
{
	const char *key_name;		/* for messages */
	envl_spelled *members;
	size_t		count;
} PgePolicy;

/*
 * A context as it was given.  Reading it says nothing of any key; what it is
 * to a key is asked in this order: whether the current user may
 * (pge_entitled), and whether it can be bound (pge_context_bind).
 */
typedef struct PgeContext
{
	bool		readable;
	const PgeProblem *problem;	/* why it is not */
	envl_bound_context bound;
	size_t		count;			/* members */
	const PgePolicy *policy;	/* what it meets, */
	uint64		policy_epoch;	/* as of this epoch of the policy's owner */
	PgeEntitled entitled;
} PgeContext;

/*
 * Reads a context datum (jsonb), which may be NULL, for one that cannot be
 * read.  It lives until the next call of this function or the next one.
 */
extern PgeContext *pge_context_read(const struct varlena *datum);

/* The same of members put together by the caller; sorts them. */
extern PgeContext *pge_context_read_members(envl_member *members,
											size_t count);

/*
 * The canonical bytes and base64url of a context, if it meets the policy; NULL
 * fills in problem.  They live as long as it does.  epoch moves whenever the
 * policy may have changed: that it was met is remembered until then.
 */
extern const envl_bound_context *pge_context_bind(PgeContext *context,
												  const PgePolicy *policy,
												  uint64 epoch,
												  PgeProblem *problem);

/* Its members as canonical bytes spell them.  They live as long as it does. */
extern PgeMembers pge_context_members(const PgeContext *context);

/*
 * Canonical bytes and members of a JSON text, into ENVL_CONTEXT_MAX bytes and
 * ENVL_MEMBERS_MAX members.  False if it is no context; raises if it is not
 * JSON.
 */
extern bool pge_canonical_from_text(const char *text, uint8 *canonical,
									envl_spelled *spelled, size_t *count);

/* The value of a member from a scalar jsonb, which must outlive it. */
extern bool pge_member_from_jsonb(Jsonb *value, envl_member *member,
								  PgeProblem *problem);

/* Canonical bytes of a required context; out holds ENVL_CONTEXT_MAX. */
extern bool pge_policy_from_jsonb(Jsonb *policy, uint8 *out, size_t *out_len,
								  PgeProblem *problem);

#endif							/* PGE_CONTEXT_H */
