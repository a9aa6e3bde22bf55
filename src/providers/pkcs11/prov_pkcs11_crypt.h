/*
 * prov_pkcs11_crypt.h
 *	  Sealing and unsealing with a key in a token, by each mechanism.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_CRYPT_H
#define PROV_PKCS11_CRYPT_H

#include "providers/pkcs11/prov_pkcs11_key.h"

/*
 * Seals ENVL_SEALED_PLAINTEXT_LEN bytes by blob->mechanism, and fills in the
 * rest of the blob.  key is KEY of the helper protocol.
 */
extern prov_category prov_pkcs11_seal(prov_pkcs11_token *token,
									  const prov_pkcs11_key *root,
									  const char *key,
									  const uint8_t *plaintext,
									  prov_pkcs11_blob *blob,
									  prov_failure *failure);

/* On failure plaintext is wiped. */
extern prov_category prov_pkcs11_unseal(prov_pkcs11_token *token,
										const prov_pkcs11_key *root,
										const char *key,
										const prov_pkcs11_blob *blob,
										uint8_t *plaintext,
										prov_failure *failure);

#endif							/* PROV_PKCS11_CRYPT_H */
