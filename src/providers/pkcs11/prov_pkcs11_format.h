/*
 * prov_pkcs11_format.h
 *	  The format of a KEK that a PKCS#11 token has sealed.
 *
 * docs/providers.md, section "pkcs11", is the reference:
 *
 *		1	format, 1
 *		1	mechanism
 *		1	length of the root key's id (CKA_ID), 0 to 64
 *		n	the id
 *		12	initialisation vector, with AES-GCM only
 *		..	what the token made of the plaintext
 *
 * Each content has one spelling, and the fields before a length fix it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_FORMAT_H
#define PROV_PKCS11_FORMAT_H

#include "providers/prov.h"

/* These numbers are stored. */
typedef enum prov_pkcs11_mechanism
{
	PROV_PKCS11_NO_MECHANISM = 0,
	PROV_PKCS11_AES_GCM = 1,
	PROV_PKCS11_AES_KEY_WRAP = 2,
	PROV_PKCS11_AES_KEY_WRAP_PAD = 3,
	PROV_PKCS11_RSA_OAEP_SHA256 = 4,
	PROV_PKCS11_RSA_OAEP_SHA1 = 5
} prov_pkcs11_mechanism;

#define PROV_PKCS11_MECHANISMS (PROV_PKCS11_RSA_OAEP_SHA1 + 1)

/* The mechanism as the URI spells it; "" for none. */
extern const char *prov_pkcs11_mechanism_name(prov_pkcs11_mechanism mechanism);

/* PROV_PKCS11_NO_MECHANISM if the word names none. */
extern prov_pkcs11_mechanism prov_pkcs11_mechanism_parse(envl_view word);

#define PROV_PKCS11_ID_MAX 64
#define PROV_PKCS11_IV_LEN 12

/* Ciphertexts of RSA keys of 2048 to 8192 bits. */
#define PROV_PKCS11_RSA_MIN 256
#define PROV_PKCS11_RSA_MAX 1024

/* The longest ciphertext of any mechanism. */
#define PROV_PKCS11_CIPHERTEXT_MAX PROV_PKCS11_RSA_MAX

/* A CKA_ID. */
typedef struct prov_pkcs11_id
{
	size_t		len;
	uint8_t		bytes[PROV_PKCS11_ID_MAX];
} prov_pkcs11_id;

extern bool prov_pkcs11_id_equal(const prov_pkcs11_id *a,
								 const prov_pkcs11_id *b);

typedef struct prov_pkcs11_blob
{
	prov_pkcs11_mechanism mechanism;
	prov_pkcs11_id id;
	uint8_t		iv[PROV_PKCS11_IV_LEN]; /* zeroes unless AES-GCM */
	size_t		ciphertext_len;
	uint8_t		ciphertext[PROV_PKCS11_CIPHERTEXT_MAX];
} prov_pkcs11_blob;

/*
 * Writes sealed->len and ->bytes.  The blob must be one that can be decoded.
 */
extern void prov_pkcs11_encode(const prov_pkcs11_blob *blob,
							   prov_sealed *sealed);

/*
 * Decodes what prov_pkcs11_encode wrote.  False, with the blob zeroed, for
 * anything else.
 */
extern bool prov_pkcs11_decode(envl_view sealed,
							   prov_pkcs11_blob *blob) ENVL_MUST_CHECK;

/*
 * Writes what AES-GCM authenticates in addition to the plaintext:
 *
 * 		"pgenvelope/1 pkcs11\0" || format, mechanism, length, id || key
 *
 * key is KEY of the helper protocol, "0123456789ab/1".  Returns the length;
 * aad holds PROV_PKCS11_AAD_MAX bytes.
 */
#define PROV_PKCS11_AAD_MAX 128

extern size_t prov_pkcs11_aad(const prov_pkcs11_blob *blob, envl_view key,
							  uint8_t *aad);

#endif							/* PROV_PKCS11_FORMAT_H */
