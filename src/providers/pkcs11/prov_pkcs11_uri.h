/*
 * prov_pkcs11_uri.h
 *	  pkcs11: URIs (RFC 7512): which token, which key, and how.
 *
 * pkcs11:token=T;object=O;id=%01?module-path=/M&pin-source=file:/P
 *
 * Attributes and words that docs/providers.md does not list are refused, and
 * so are repeated ones: each narrows the search, and a misspelt one would
 * widen it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_URI_H
#define PROV_PKCS11_URI_H

#include "providers/pkcs11/prov_pkcs11_format.h"
#include "providers/prov_uri.h"

/* Which keys "type" allows. */
typedef enum prov_pkcs11_type
{
	PROV_PKCS11_ANY_KEY,		/* not given */
	PROV_PKCS11_SECRET_KEY,
	PROV_PKCS11_PRIVATE_KEY
} prov_pkcs11_type;

typedef enum prov_pkcs11_pin_source
{
	PROV_PKCS11_NO_PIN,
	PROV_PKCS11_PIN_FILE,
	PROV_PKCS11_PIN_COMMAND
} prov_pkcs11_pin_source;

/* A text that was not given is "". */
typedef struct prov_pkcs11_uri
{
	/* The token, by the fields of CK_TOKEN_INFO. */
	char		token[32 + 1];
	char		manufacturer[32 + 1];
	char		model[16 + 1];
	char		serial[16 + 1];

	/* The key. */
	char		object[128];	/* CKA_LABEL */
	bool		has_id;
	prov_pkcs11_id id;			/* CKA_ID */
	prov_pkcs11_type type;

	/* The words of the query. */
	char		module_path[512];
	prov_pkcs11_pin_source pin_source;
	char		pin_path[512];	/* of the file or the command */
	prov_pkcs11_mechanism mechanism;	/* NO_MECHANISM: the best that is
										 * allowed */
	bool		gcm_params_short;	/* CK_GCM_PARAMS without ulIvBits */
	bool		gcm_iv_by_token;	/* the token insists on choosing IVs */
	bool		has_previous_id;
	prov_pkcs11_id previous_id; /* a former root key that still unseals */
} prov_pkcs11_uri;

/* No reason quotes the URI: someone may have put a PIN there. */
extern prov_category prov_pkcs11_uri_parse(const prov_uri *uri,
										   prov_pkcs11_uri *out,
										   prov_failure *failure);

#endif							/* PROV_PKCS11_URI_H */
