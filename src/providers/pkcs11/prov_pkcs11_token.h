/*
 * prov_pkcs11_token.h
 *	  A module, a token in it, and a session with the token.
 *
 * Everything is opened when it is first needed and kept.  When the token says
 * that a part is gone, everything is closed together.  Key handles belong to a
 * session and are not kept between requests.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_TOKEN_H
#define PROV_PKCS11_TOKEN_H

#include "providers/pkcs11/prov_pkcs11_error.h"
#include "providers/pkcs11/prov_pkcs11_pin.h"

typedef struct prov_pkcs11_token
{
	prov_pkcs11_uri uri;
	CK_FUNCTION_LIST *functions;	/* NULL: the module is not loaded */
	bool		is_initialized; /* C_Initialize was called */
	bool		was_found;		/* the token has been found at least once */
	CK_SLOT_ID	slot;
	CK_SESSION_HANDLE session;	/* CK_INVALID_HANDLE: none */
	prov_pkcs11_pin_memory pins;
	CK_RV		error;			/* of the call that failed; CKR_OK: no call
								 * did */
} prov_pkcs11_token;

/* Loads the module, finds the token, opens a session and logs in. */
extern prov_category prov_pkcs11_token_open(prov_pkcs11_token *token,
											prov_failure *failure);

/* Logs out and closes everything; the module stays loaded. */
extern void prov_pkcs11_token_close(prov_pkcs11_token *token);

/* Notes the error, whose cure the caller may ask for, and fails by it. */
extern prov_category prov_pkcs11_token_fail(prov_pkcs11_token *token,
											prov_failure *failure,
											const char *function,
											CK_RV error);

#endif							/* PROV_PKCS11_TOKEN_H */
