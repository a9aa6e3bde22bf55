/*
 * envl_value.h
 *	  Sealing a plaintext into a value, and opening it.
 *
 * The payload is sealed as RFC 7516 says, so that a value is a JWE: the AAD
 * is ASCII(BASE64URL(protected) '.' BASE64URL(canonical context)), and the
 * four protected headers (text or bytes, padded or not) are constants of
 * docs/format.md, section 4.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_VALUE_H
#define ENVL_VALUE_H

#include "envl_context.h"
#include "envl_key.h"
#include "envl_wrap.h"

/* Characters of the longest context in base64url. */
#define ENVL_CONTEXT_BASE64_MAX ((ENVL_CONTEXT_MAX * 4 + 2) / 3)

/* The protected header of a payload with these flags, and its base64url. */
extern envl_view envl_protected_json(uint8_t flags);
extern envl_view envl_protected_base64(uint8_t flags);

/* A canonical context and its base64url for the AAD, encoded once for many
 * values. */
typedef struct envl_bound_context
{
	envl_view	canonical;
	envl_view	base64;
} envl_bound_context;

/* The state that a process keeps between values. */
typedef struct envl_sealer
{
	envl_engine engine;
	envl_random random;
	uint32_t	counter;		/* sealed values, for the nonce */
} envl_sealer;

/* One value to seal. */
typedef struct envl_payload
{
	uint64_t	key_id;
	uint16_t	key_version;
	uint8_t		flags;			/* ENVL_FLAG_*; PADDED iff padding > 0 */
	uint32_t	padding;		/* pad to a multiple of this many bytes; 0: no
								 * padding */
	uint64_t	moment_us;		/* statement time; keeps a cloned machine's
								 * nonces apart from its twin's */
	envl_view	plaintext;
} envl_payload;

/*
 * The bytes that sealing writes, or 0 if plaintext, padding or context exceeds
 * its limit.
 */
extern size_t envl_value_size(const envl_payload *payload,
							  const envl_bound_context *context);

/*
 * Seals into out (envl_value_size bytes).  ENVL_LIMIT where envl_value_size is
 * 0, with out untouched.  On any other failure out is wiped.
 */
extern envl_status envl_value_seal(envl_sealer *sealer, const envl_kek *kek,
								   envl_dek_pool *pool,
								   const envl_payload *payload,
								   const envl_bound_context *context,
								   uint8_t *out) ENVL_MUST_CHECK;

/*
 * Opens a parsed value into out (envelope->ciphertext.len bytes); *len is how
 * many of them are plaintext.  Another stored context than the one supplied, a
 * wrong key, a changed byte and wrong padding all give ENVL_AUTHENTICATION.
 * On any failure out is wiped.
 */
extern envl_status envl_value_open(envl_engine *engine, const envl_kek *kek,
								   const envl_envelope *envelope,
								   const envl_bound_context *context,
								   uint8_t *out,
								   size_t *out_len) ENVL_MUST_CHECK;

/*
 * HMAC-SHA-256(DEK, "pgenvelope/1 mark\0"): identifies a value whichever
 * version of its key wraps it, but only to those who can unwrap it.  Without
 * the DEK nobody can tell which value a mark belongs to, or whether a value
 * has one.  On failure out is wiped.
 */
extern envl_status envl_value_mark(const envl_kek *kek,
								   const envl_envelope *envelope,
								   uint8_t *out) ENVL_MUST_CHECK;

#endif							/* ENVL_VALUE_H */
