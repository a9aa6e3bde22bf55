/*
 * envl_suite.h
 *	  The one table of cipher suites, and libcrypto's ciphers fetched once.
 *
 * A value names its suite in a nibble (docs/format.md, section 2); the table
 * says what that means.  Nothing else in the input can choose an algorithm.
 * Suite 2 (A256KW + A256CBC-HS512, key-committing) is reserved.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_SUITE_H
#define ENVL_SUITE_H

#include "envl_cipher.h"
#include "envl_secret.h"

#define ENVL_SUITE_A256KW_A256GCM 1

/* Sizes shared by every suite of format 1. */
#define ENVL_WRAP_LEN 40		/* RFC 3394: 32-byte DEK and 8 bytes */
#define ENVL_NONCE_LEN 12
#define ENVL_TAG_LEN 16

typedef struct envl_suite
{
	uint8_t		id;				/* high nibble of byte 1 of a value */
	const char *name;			/* for people: "A256KW+A256GCM" */
	const char *jwe_alg;		/* RFC 7518 section 4.1 */
	const char *jwe_enc;		/* RFC 7518 section 5.1 */
} envl_suite;

/* Finds the suite.  NULL if this version does not know the number. */
extern const envl_suite *envl_suite_find(uint8_t id);

/*
 * What a process needs of libcrypto, made once, because fetching a cipher by
 * name costs more than encrypting a value.  Not safe for concurrent threads.
 */
typedef struct envl_engine
{
	bool		approved_only;	/* FIPS is asked for */
	envl_cipher gcm;			/* AES-256-GCM */
	envl_cipher wrap;			/* AES-256-WRAP where FIPS is asked for; else
								 * AES-256-ECB for our own RFC 3394, because
								 * OpenSSL's runs table AES */
	void	   *gcm_context;	/* reused; thrown away after a failure */
} envl_engine;

/* On failure the engine is left empty, and clearing it again is harmless. */
extern envl_status envl_engine_init(envl_engine *engine) ENVL_MUST_CHECK;
extern void envl_engine_clear(envl_engine *engine);

/* One AES-256-GCM operation (NIST SP 800-38D) with a 96-bit nonce. */
typedef struct envl_gcm
{
	const envl_key *key;
	const uint8_t *nonce;		/* ENVL_NONCE_LEN bytes */
	envl_view	aad[2];			/* joined; an unused part has length 0 */
} envl_gcm;

/*
 * Encrypts head followed by tail into out (head.len + tail.len bytes; it may
 * be the place of the inputs) and writes the tag.  On failure both are
 * wiped.
 */
extern envl_status envl_gcm_seal(envl_engine *engine, const envl_gcm *gcm,
								 envl_view head, envl_view tail,
								 uint8_t *out, uint8_t *tag) ENVL_MUST_CHECK;

/*
 * Decrypts into out (ciphertext.len bytes).  If the tag is wrong, out is wiped
 * and the status is ENVL_AUTHENTICATION.
 */
extern envl_status envl_gcm_open(envl_engine *engine, const envl_gcm *gcm,
								 envl_view ciphertext, const uint8_t *tag,
								 uint8_t *out) ENVL_MUST_CHECK;

#endif							/* ENVL_SUITE_H */
