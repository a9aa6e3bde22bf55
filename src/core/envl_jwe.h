/*
 * envl_jwe.h
 *	  A value as a JWE in JSON serialization (RFC 7516), and back.
 *
 * Conversion only respells the bytes and needs no key.  The core deals with
 * the members' strings.  The caller reads and writes the JSON object around
 * them, and refuses members that are not named here.  docs/format.md, section
 * 7.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_JWE_H
#define ENVL_JWE_H

#include "envl_key.h"
#include "envl_value.h"

/* The strings of a JWE's members; all but alg and kid are base64url. */
typedef struct envl_jwe
{
	envl_view	protected_header;	/* "protected" */
	envl_view	alg;			/* "header"."alg" */
	envl_view	kid;			/* "header"."kid" */
	envl_view	encrypted_key;
	envl_view	aad;
	envl_view	iv;
	envl_view	ciphertext;
	envl_view	tag;
} envl_jwe;

/*
 * Characters of buffer that envl_jwe_from_envelope needs, for all strings but
 * "protected", "alg" and "kid".
 */
extern size_t envl_jwe_buffer_len(const envl_envelope *envelope,
								  const envl_bound_context *context);

/*
 * Makes the strings of the JWE in the caller's buffer.  The caller passes kid
 * (envl_kid_format).  ENVL_AUTHENTICATION if the value stores another context
 * than the one supplied.
 */
extern envl_status envl_jwe_from_envelope(const envl_envelope *envelope,
										  const envl_bound_context *context,
										  envl_view kid, char *buffer,
										  envl_jwe *out) ENVL_MUST_CHECK;

/* Upper limit of the bytes of this JWE's value. */
extern size_t envl_jwe_envelope_max(const envl_jwe *jwe);

/*
 * Writes the value into out (envl_jwe_envelope_max bytes).  Accepts exactly
 * what envl_jwe_from_envelope makes.  A wrong protected header, alg or enc is
 * ENVL_UNSUPPORTED, anything else ENVL_MALFORMED.
 */
extern envl_status envl_jwe_to_envelope(const envl_jwe *jwe,
										bool store_context, uint8_t *out,
										size_t *out_len) ENVL_MUST_CHECK;

#endif							/* ENVL_JWE_H */
