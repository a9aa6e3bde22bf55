/*
 * envl_key.h
 *	  What identifies a key: binding, key-check value, fingerprint, kid.
 *
 * docs/format.md, section 6.  id is 6 bytes and version 2, big-endian; "\0"
 * is one zero byte.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_KEY_H
#define ENVL_KEY_H

#include "envl_format.h"

#define ENVL_BINDING_LEN 16
#define ENVL_KCV_LEN 16
#define ENVL_FINGERPRINT_LEN 8

/* What a provider seals: the KEK and its binding. */
#define ENVL_SEALED_PLAINTEXT_LEN (ENVL_KEY_LEN + ENVL_BINDING_LEN)

#define ENVL_KEY_NAME_MAX 63	/* bytes of UTF-8 */

/* name '@' 12 hex digits '/' version, and a NUL */
#define ENVL_KID_SIZE (ENVL_KEY_NAME_MAX + 1 + 12 + 1 + 5 + 1)

/* SHA-256("pgenvelope/1 binding\0" || id || version), first 16 bytes. */
extern envl_status envl_key_binding(uint64_t key_id, uint16_t version,
									uint8_t *out) ENVL_MUST_CHECK;

/*
 * HMAC-SHA-256(KEK, "pgenvelope/1 kcv\0" || id || version), first 16 bytes.
 */
extern envl_status envl_key_check_value(const envl_key *kek, uint64_t key_id,
										uint16_t version,
										uint8_t *out) ENVL_MUST_CHECK;

/* HMAC-SHA-256(root key, "pgenvelope/1 root\0"), first 8 bytes. */
extern envl_status envl_root_fingerprint(const envl_key *root,
										 uint8_t *out) ENVL_MUST_CHECK;

/* HMAC-SHA-256(DEK, "pgenvelope/1 mark\0"): envl_value.h. */
#define ENVL_MARK_LEN 32
extern envl_status envl_dek_mark(const envl_key *dek,
								 uint8_t *out) ENVL_MUST_CHECK;

/*
 * SHA-256(id || version || sealed): identifies a cached KEK.  Id and version
 * are not enough: if a rotation's transaction is rolled back, the next one
 * uses the same version number for another KEK.
 */
#define ENVL_KEK_DIGEST_LEN 32
extern envl_status envl_kek_digest(uint64_t key_id, uint16_t version,
								   envl_view sealed,
								   uint8_t *out) ENVL_MUST_CHECK;

/* Writes the kid, NUL-terminated, into out (ENVL_KID_SIZE bytes). */
extern void envl_kid_format(const char *name, uint64_t key_id,
							uint16_t version, char *out);

/* Parses a kid; *name is a view into it. */
extern envl_status envl_kid_parse(envl_view kid, envl_view *name,
								  uint64_t *key_id,
								  uint16_t *version) ENVL_MUST_CHECK;

#endif							/* ENVL_KEY_H */
