/*
 * prov_jwe.h
 *	  The compact JWE in which a local provider seals a KEK.
 *
 * RFC 7516 with alg "dir" and enc "A256GCM"; docs/format.md, section 6.6. Five
 * parts in base64url, joined by dots: protected header, an empty part (there
 * is no wrapped content key), nonce, ciphertext, tag.  The header has one
 * spelling, and its base64url is the AAD.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_JWE_H
#define PROV_JWE_H

#include "providers/prov.h"

/* In a kid, a control character takes six characters. */
#define PROV_JWE_HEADER_MAX (40 + 6 * ENVL_KID_SIZE)
#define PROV_JWE_HEADER_BASE64_MAX ((PROV_JWE_HEADER_MAX * 4 + 2) / 3)

typedef struct prov_jwe
{
	size_t		header_len;		/* of its base64url */
	uint8_t		header[PROV_JWE_HEADER_BASE64_MAX];
	uint8_t		nonce[ENVL_NONCE_LEN];
	uint8_t		ciphertext[ENVL_SEALED_PLAINTEXT_LEN];
	uint8_t		tag[ENVL_TAG_LEN];
} prov_jwe;

/* Sets the header for a kid of fewer than ENVL_KID_SIZE bytes. */
extern void prov_jwe_set_kid(prov_jwe *jwe, const char *kid);

/* Writes the five parts into sealed. */
extern void prov_jwe_encode(const prov_jwe *jwe, prov_sealed *sealed);

/*
 * Reads the five parts, and the kid into kid (ENVL_KID_SIZE bytes).  False,
 * with both unspecified, for anything that prov_jwe_encode does not write.
 */
extern bool prov_jwe_decode(const prov_sealed *sealed, prov_jwe *jwe,
							char *kid) ENVL_MUST_CHECK;

#endif							/* PROV_JWE_H */
