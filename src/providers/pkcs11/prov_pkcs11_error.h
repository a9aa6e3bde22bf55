/*
 * prov_pkcs11_error.h
 *	  What the return values of PKCS#11 functions mean for a request.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_ERROR_H
#define PROV_PKCS11_ERROR_H

#include <p11-kit-1/p11-kit/pkcs11.h>

#include "providers/prov.h"

typedef enum prov_pkcs11_cure
{
	PROV_PKCS11_NO_CURE,
	PROV_PKCS11_REOPEN,			/* session, token or module: reopen once */
	PROV_PKCS11_PROBE			/* names no cause: test whether the token
								 * works */
} prov_pkcs11_cure;

/*
 * The category of an error.  An unknown one, such as a vendor's, is
 * PROV_UNAVAILABLE.
 */
extern prov_category prov_pkcs11_error_category(CK_RV error);

/* What to try before believing the category; CKR_OK needs no cure. */
extern prov_pkcs11_cure prov_pkcs11_error_cure(CK_RV error);

/*
 * Fills in the failure by the error's category; the detail names the function
 * and the error.
 */
extern prov_category prov_pkcs11_fail(prov_failure *failure,
									  const char *function, CK_RV error);

/* As prov_pkcs11_fail, with the caller's category and reason. */
extern prov_category prov_pkcs11_fail_as(prov_failure *failure,
										 prov_category category,
										 const char *reason,
										 const char *function, CK_RV error);

#endif							/* PROV_PKCS11_ERROR_H */
