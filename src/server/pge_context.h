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

#include "../core/envl_value.h"
#include "pge_catalog.h"
#include "pge_report.h"

/*
 * The canonical bytes and base64url of a context datum (jsonb), checked
 * against what the key requires.  The views live until the next call.  False
 * fills in problem.  datum may be NULL, which is refused.
 */
extern bool pge_context_bind(const struct varlena *datum, const PgeKey *key,
							 envl_bound_context *context,
							 PgeProblem *problem);

/*
 * The same for members put together by the caller, which are sorted in
 * place.  The views live until the next call of either function.
 */
extern bool pge_context_bind_members(envl_member *members, size_t count,
									 const PgeKey *key,
									 envl_bound_context *context,
									 PgeProblem *problem);

/* The value of a member from a scalar jsonb, which must outlive it. */
extern bool pge_member_from_jsonb(Jsonb *value, envl_member *member,
								  PgeProblem *problem);

/* Canonical bytes of a required context; out holds ENVL_CONTEXT_MAX. */
extern bool pge_policy_from_jsonb(Jsonb *policy, uint8 *out, size_t *out_len,
								  PgeProblem *problem);

#endif							/* PGE_CONTEXT_H */
