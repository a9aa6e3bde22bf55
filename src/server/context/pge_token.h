/*
 * pge_token.h
 *	  A session's token, a compact JWS (RFC 7515) of claims (RFC 7519):
 *
 *		{"exp": 1767225600, "aud": "app", "ctx": {"tenant": "acme"}}
 *
 * exp, nbf, iat and aud are those of RFC 7519.  ctx is the context of the
 * session, a flat object as encryption contexts are.  ctx_scope, "session",
 * lets it stay beyond the transaction.  What else is claimed is for others.
 *
 * Its key, of a JWK Set (RFC 7517), says which algorithm: a token whose header
 * names another is refused, so that no token can have a public key taken for a
 * secret, or no key at all.
 *
 * To use: parse the token and verify it.  Only then is the payload worth a
 * look.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TOKEN_H
#define PGE_TOKEN_H

#include "context/pge_json.h"
#include "core/envl_context.h"
#include "core/envl_jws.h"

#define PGE_TOKEN_MAX 8192		/* characters */
#define PGE_TOKEN_HEADER_MAX 1024	/* bytes */
#define PGE_CLAIMS_MEMBERS_MAX 32

typedef struct PgeToken
{
	envl_view	signed_part;	/* header and payload as they stand there */
	envl_view	payload;		/* base64url */
	envl_view	signature;		/* base64url */
	envl_jws_alg alg;
	envl_view	kid;
} PgeToken;

/* Times are seconds since 1970, of which a fraction is cut off. */
typedef struct PgeClaims
{
	int64		expires;		/* exp, which must be there */
	int64		not_before;		/* nbf, or 0 */
	int64		issued;			/* iat, or 0 */
	bool		is_issued;		/* whether there is an iat */
	bool		for_session;	/* ctx_scope is "session" */
	const PgeJson *audience;	/* aud, a string or an array */
	size_t		member_count;	/* of ctx, at least 1 */
	envl_member members[PGE_CLAIMS_MEMBERS_MAX];
} PgeClaims;

/*
 * Takes a token apart.  False: it is none, has another algorithm, no kid, or
 * demands what is not understood (crit).
 */
extern bool pge_token_parse(envl_view text, PgeToken *token);

/* Whether a token is signed, and why not: for the server's log. */
typedef struct PgeVerdict
{
	/* As of envl_jws_verify; ENVL_MALFORMED: the set is wrong. */
	envl_status status;
	const char *reason;
	int			place;			/* of the wrong key, from 1, or 0 */
} PgeVerdict;

/*
 * Verifies a token by the key that it names.  The whole set is checked each
 * time, and changed.  Keys of other types are for others, and passed over.
 * Raises as pge_json_read does; the caller wipes the set then, too.
 */
extern void pge_token_verify(const PgeToken *token, uint8 *set,
							 size_t set_len, PgeVerdict *verdict);

/*
 * Reads the claims.  False: one is missing or is not what it should be; ctx
 * holds null, a fraction, something nested, an empty string or a NUL
 * character.
 */
extern bool pge_token_claims(const PgeToken *token, PgeClaims *claims);

/* Whether aud is this, or one of it. */
extern bool pge_claims_are_for(const PgeClaims *claims, envl_view audience);

#endif							/* PGE_TOKEN_H */
