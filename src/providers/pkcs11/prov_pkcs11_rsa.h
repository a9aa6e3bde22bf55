/*
 * prov_pkcs11_rsa.h
 *	  RSA-OAEP with a public key given by its numbers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_RSA_H
#define PROV_PKCS11_RSA_H

#include "providers/pkcs11/prov_pkcs11_format.h"

/*
 * Seals ENVL_SEALED_PLAINTEXT_LEN bytes into blob->ciphertext, by the blob's
 * mechanism, under the public key of a big-endian modulus and exponent.  False
 * if they make no key of 2048 to 8192 bits.
 */
extern bool prov_pkcs11_rsa_seal(envl_view modulus, envl_view exponent,
								 const uint8_t *plaintext,
								 prov_pkcs11_blob *blob) ENVL_MUST_CHECK;

#endif							/* PROV_PKCS11_RSA_H */
