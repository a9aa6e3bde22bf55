/*
 * envl_jws.h
 *	  Signed tokens: compact JWS (RFC 7515), and the keys of a JWK Set (RFC
 *	  7517).
 *
 * HS256 and Ed25519 ("EdDSA", RFC 8037), nothing else.  The key says which: a
 * token whose header names another algorithm than its key's is refused, so
 * that no token can have a public key taken for a secret, or no key at all.
 * Keys of other types in a set are for others, and passed over.
 *
 * To use: parse the token, find the key that it names, verify.  Only then is
 * the payload worth a look.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_JWS_H
#define ENVL_JWS_H

#include "envl_bytes.h"

#define ENVL_JWS_MAX 8192		/* characters of a token */
#define ENVL_JWS_HEADER_MAX 1024	/* bytes of its header */
#define ENVL_JWS_PAYLOAD_MAX (ENVL_JWS_MAX / 4 * 3)

/* An HMAC key has at least the length of its hash (RFC 7518, 3.2). */
#define ENVL_JWK_SECRET_MIN 32
#define ENVL_JWK_SECRET_MAX 256

typedef enum envl_jws_alg
{
	ENVL_JWS_HS256,
	ENVL_JWS_EDDSA
} envl_jws_alg;

/* A token taken apart.  The views are into it, but kid's, into header. */
typedef struct envl_jws
{
	envl_view	signed_part;	/* header and payload as they stand there */
	envl_view	payload;		/* base64url */
	envl_view	signature;		/* base64url */
	envl_jws_alg alg;
	envl_view	kid;			/* a JSON string, as it is spelled */
	uint8_t		header[ENVL_JWS_HEADER_MAX];
} envl_jws;

/* A key to verify with.  Whoever holds one wipes it. */
typedef struct envl_jwk
{
	envl_jws_alg alg;
	size_t		len;
	uint8_t		bytes[ENVL_JWK_SECRET_MAX]; /* the secret, or public key */
} envl_jwk;

/*
 * Takes a token apart.  ENVL_MALFORMED: it is none, has another algorithm, no
 * kid, or demands what is not understood (crit).
 */
extern envl_status envl_jws_parse(envl_view token,
								  envl_jws *jws) ENVL_MUST_CHECK;

/*
 * Finds the key that a token names.  The whole set is checked each time:
 *
 *	ENVL_AUTHENTICATION		it has no such key
 *	ENVL_MALFORMED			*place is no JWK with kty, alg, kid and key, or
 *							two have one kid
 *	ENVL_UNSUPPORTED		*place has an algorithm, curve or use that does
 *							not go with its type, or a private key
 *	ENVL_LIMIT				*place is too short or too long
 *
 * *place counts from 1; it is 0 where the set itself is not understood.
 * Unless ENVL_OK the key is wiped.
 */
extern envl_status envl_jwk_find(envl_view set, envl_view kid, envl_jwk *key,
								 size_t *place) ENVL_MUST_CHECK;

/* ENVL_OK, ENVL_AUTHENTICATION or ENVL_CRYPTO_FAILED. */
extern envl_status envl_jws_verify(const envl_jws *jws,
								   const envl_jwk *key) ENVL_MUST_CHECK;

/* SHA-256 of what is signed, by which a token is known again. */
#define ENVL_JWS_DIGEST_LEN 32

extern envl_status envl_jws_digest(const envl_jws *jws,
								   uint8_t *digest) ENVL_MUST_CHECK;

#endif							/* ENVL_JWS_H */
