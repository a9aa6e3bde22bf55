/*
 * envl_claims.h
 *	  What a session's token claims: the payload of a JWT (RFC 7519).
 *
 *		{"exp": 1767225600, "aud": "app", "ctx": {"tenant": "acme"}}
 *
 * exp, nbf, iat and aud are those of RFC 7519.  ctx is the context of the
 * session, a flat object as encryption contexts are.  ctx_scope, "session",
 * lets it stay beyond the transaction.  What else is claimed is for others.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_CLAIMS_H
#define ENVL_CLAIMS_H

#include "envl_context.h"
#include "envl_json.h"
#include "envl_jws.h"

#define ENVL_CLAIMS_MEMBERS_MAX 32

/* Times are seconds since 1970, of which a fraction is cut off. */
typedef struct envl_claims
{
	int64_t		expires;		/* exp, which must be there */
	int64_t		not_before;		/* nbf, or 0 */
	int64_t		issued;			/* iat, or 0 */
	bool		is_issued;		/* whether there is an iat */
	bool		for_session;	/* ctx_scope is "session" */
	envl_json_value audience;	/* aud, a string or an array */
	size_t		member_count;	/* of ctx, at least 1 */
	envl_member members[ENVL_CLAIMS_MEMBERS_MAX];
	uint8_t		text[ENVL_JWS_PAYLOAD_MAX]; /* what the members refer to */
} envl_claims;

/*
 * Reads a payload, which must outlive the claims.  ENVL_MALFORMED: a claim is
 * missing or is not what it should be; ctx holds null, a fraction, something
 * nested, an empty string or a NUL character.
 */
extern envl_status envl_claims_read(envl_view payload,
									envl_claims *claims) ENVL_MUST_CHECK;

/* Whether aud is this, or one of it. */
extern bool envl_claims_are_for(const envl_claims *claims,
								envl_view audience);

#endif							/* ENVL_CLAIMS_H */
