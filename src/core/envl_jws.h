/*
 * envl_jws.h
 *	  Signatures of tokens: JWS (RFC 7515) with HS256 or Ed25519 ("EdDSA", RFC
 *	  8037), nothing else.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_JWS_H
#define ENVL_JWS_H

#include "envl_bytes.h"

/* An HMAC key is at least as long as its hash (RFC 7518, section 3.2). */
#define ENVL_JWK_SECRET_MIN 32
#define ENVL_JWK_SECRET_MAX 256
#define ENVL_JWK_PUBLIC_LEN 32

typedef enum envl_jws_alg
{
	ENVL_JWS_HS256,
	ENVL_JWS_EDDSA
} envl_jws_alg;

/* A key to verify with.  The owner wipes it. */
typedef struct envl_jwk
{
	envl_jws_alg alg;
	size_t		len;
	uint8_t		bytes[ENVL_JWK_SECRET_MAX]; /* the secret, or the public key */
} envl_jwk;

/*
 * Verifies a signature in base64url by the key's algorithm.  ENVL_OK,
 * ENVL_AUTHENTICATION or ENVL_CRYPTO_FAILED.
 */
extern envl_status envl_jws_verify(envl_view signed_part, envl_view signature,
								   const envl_jwk *key) ENVL_MUST_CHECK;

/* Computes the SHA-256 of what is signed, which identifies a token. */
#define ENVL_JWS_DIGEST_LEN 32

extern envl_status envl_jws_digest(envl_view signed_part,
								   uint8_t *digest) ENVL_MUST_CHECK;

#endif							/* ENVL_JWS_H */
