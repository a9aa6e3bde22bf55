/*
 * prov_pkcs11_key.h
 *	  The root key in a token: finding it, and what it can do.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_KEY_H
#define PROV_PKCS11_KEY_H

#include "providers/pkcs11/prov_pkcs11_token.h"

typedef struct prov_pkcs11_key
{
	CK_OBJECT_HANDLE handle;	/* valid in the token's session */
	CK_KEY_TYPE type;			/* CKK_AES or CKK_RSA */
	prov_pkcs11_id id;
	char		name[PROV_ROOT_KEY_MAX];	/* label/id, printable */
} prov_pkcs11_key;

/*
 * Finds the one key that the URI names in an open token.  If id is not NULL,
 * it replaces the id of the URI.
 */
extern prov_category prov_pkcs11_key_find(prov_pkcs11_token *token,
										  const prov_pkcs11_id *id,
										  prov_pkcs11_key *key,
										  prov_failure *failure);

/*
 * Chooses the mechanism to seal with: that of the URI, else the first of
 * AES-GCM, AES key wrap, AES key wrap with padding and RSA-OAEP with SHA-256
 * that key and token allow.
 */
extern prov_category prov_pkcs11_key_choose(prov_pkcs11_token *token,
											const prov_pkcs11_key *key,
											prov_pkcs11_mechanism *mechanism,
											prov_failure *failure);

/* The type of key that the mechanism needs. */
extern CK_KEY_TYPE prov_pkcs11_key_type(prov_pkcs11_mechanism mechanism);

/* Writes what the key's owner should fix, as sentences; "" for nothing. */
extern void prov_pkcs11_key_warn(prov_pkcs11_token *token,
								 const prov_pkcs11_key *key, char *text,
								 size_t size);

/*
 * Reads an attribute of at most size bytes into out.  False, with *len 0, if
 * the key has none that fits; any other error is noted in the token.
 */
extern bool prov_pkcs11_key_attribute(prov_pkcs11_token *token,
									  CK_OBJECT_HANDLE handle,
									  CK_ATTRIBUTE_TYPE type, void *out,
									  size_t size, size_t *len);

#endif							/* PROV_PKCS11_KEY_H */
