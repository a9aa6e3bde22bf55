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
	PROV_PKCS11_REOPEN,			/* session, token or module: begin anew once */
	PROV_PKCS11_PROBE			/* says nothing: see whether the token works */
} prov_pkcs11_cure;

/* A value that is not known, as of a vendor, is PROV_UNAVAILABLE. */
extern prov_category prov_pkcs11_error_category(CK_RV error);

/* What may help before the category is believed; CKR_OK needs no cure. */
extern prov_pkcs11_cure prov_pkcs11_error_cure(CK_RV error);

/*
 * Fills in the failure by category, with the function and the value's name in
 * the detail.
 */
extern prov_category prov_pkcs11_fail(prov_failure *failure,
									  const char *function, CK_RV error);

/* The same with a category and a reason of the caller's. */
extern prov_category prov_pkcs11_fail_as(prov_failure *failure,
										 prov_category category,
										 const char *reason,
										 const char *function, CK_RV error);

#endif							/* PROV_PKCS11_ERROR_H */
