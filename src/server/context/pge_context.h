/*
 * pge_context.h
 *	  Encryption contexts from SQL: jsonb to canonical bytes, with a small
 *	  cache.
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
	uint64		rights;			/* generation of the rights that it was found
								 * with */
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
 * A context as the caller gave it.  Reading it involves no key.  For a key,
 * first check whether the current user may use it in this context
 * (pge_entitled), and then whether the context can be bound
 * (pge_context_bind).
 */
typedef struct PgeContext
{
	bool		readable;
	const PgeProblem *problem;	/* why it is not readable */
	envl_bound_context bound;
	size_t		count;			/* members */
	const PgePolicy *policy;	/* what it meets, */
	uint64		policy_epoch;	/* as of this epoch of the policy's owner */
	PgeEntitled entitled;
} PgeContext;

/*
 * Reads a context datum (jsonb).  datum may be NULL, which is an unreadable
 * context.  The result is valid until the next call of pge_context_read or
 * pge_context_read_members.
 */
extern PgeContext *pge_context_read(const struct varlena *datum);

/* As pge_context_read, from members that the caller collected; sorts them. */
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

/*
 * The context's members as its canonical bytes spell them.  Valid as long as
 * the context.
 */
extern PgeMembers pge_context_members(const PgeContext *context);

/*
 * Reads a JSON text: its canonical bytes into ENVL_CONTEXT_MAX bytes and its
 * members into ENVL_MEMBERS_MAX places.  False if it is no context; raises if
 * it is not JSON.
 */
extern bool pge_canonical_from_text(const char *text, uint8 *canonical,
									envl_spelled *spelled, size_t *count);

/*
 * Makes a member's value from a scalar jsonb, which must outlive the member.
 */
extern bool pge_member_from_jsonb(Jsonb *value, envl_member *member,
								  PgeProblem *problem);

/*
 * Writes the canonical bytes of a required context into out, which holds
 * ENVL_CONTEXT_MAX.
 */
extern bool pge_policy_from_jsonb(Jsonb *policy, uint8 *out, size_t *out_len,
								  PgeProblem *problem);

#endif							/* PGE_CONTEXT_H */
