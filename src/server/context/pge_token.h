/*
 * pge_token.h
 *	  A session's token, a compact JWS (RFC 7515) of claims (RFC 7519):
 *
 * {"exp": 1767225600, "aud": "app", "ctx": {"tenant": "acme"}}
 *
 * exp, nbf, iat and aud are those of RFC 7519.  ctx is the context of the
 * session, a flat object like an encryption context.  ctx_scope "session"
 * keeps it beyond the transaction.  Other claims are ignored.
 *
 * The key, from a JWK Set (RFC 7517), fixes the algorithm.  A token whose
 * header names another one is refused.  So no token can make a public key
 * serve as a secret, or do without a key.
 *
 * To use: parse the token, then verify it.  Do not read the payload before.
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
	envl_view	signed_part;	/* header and payload as they are in the
								 * text */
	envl_view	payload;		/* base64url */
	envl_view	signature;		/* base64url */
	envl_jws_alg alg;
	envl_view	kid;
} PgeToken;

/* Times are seconds since 1970, without a fraction. */
typedef struct PgeClaims
{
	int64		expires;		/* exp, which must be there */
	int64		not_before;		/* nbf, or 0 */
	int64		issued;			/* iat, or 0 */
	bool		is_issued;		/* whether iat is there */
	bool		for_session;	/* ctx_scope is "session" */
	const PgeJson *audience;	/* aud, a string or an array */
	size_t		member_count;	/* of ctx, at least 1 */
	envl_member members[PGE_CLAIMS_MEMBERS_MAX];
} PgeClaims;

/*
 * Splits a token.  False if it is no token, has another algorithm, no kid, or
 * critical headers (crit).
 */
extern bool pge_token_parse(envl_view text, PgeToken *token);

/*
 * Whether a token's signature is valid, and if not, why: for the server's log.
 */
typedef struct PgeVerdict
{
	/* The status of envl_jws_verify; ENVL_MALFORMED: the set is wrong. */
	envl_status status;
	const char *reason;
	int			place;			/* which key is wrong, from 1, or 0 */
} PgeVerdict;

/*
 * Verifies a token by the key that it names.  Checks the whole set each time,
 * and changes its text.  Skips keys of other types.  Raises as pge_json_read
 * does; even then the caller wipes the set.
 */
extern void pge_token_verify(const PgeToken *token, uint8 *set,
							 size_t set_len, PgeVerdict *verdict);

/*
 * Reads the claims.  False if a claim is missing or malformed, or if ctx holds
 * null, a fraction, a nested value, an empty string or a NUL character.
 */
extern bool pge_token_claims(const PgeToken *token, PgeClaims *claims);

/* Whether aud is this audience, or has it as an element. */
extern bool pge_claims_are_for(const PgeClaims *claims, envl_view audience);

#endif							/* PGE_TOKEN_H */
