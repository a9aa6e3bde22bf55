/*
 * prov_pkcs11_error.c
 *	  What the return values of PKCS#11 functions mean for a request.
 *
 * PKCS#11 has no reliable error for "does not open": modules return
 * CKR_GENERAL_ERROR both for a tag that does not match and for a broken
 * device. So each error has a cure, which the caller tries before it believes
 * the category.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_error.h"

/* From PKCS#11 3.0; the header is that of 2.40. */
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#endif
#ifndef CKR_TOKEN_RESOURCE_EXCEEDED
#define CKR_TOKEN_RESOURCE_EXCEEDED 0x201UL
#endif
#ifndef CKR_KEY_EXHAUSTED
#define CKR_KEY_EXHAUSTED 0x203UL
#endif

typedef struct meaning
{
	CK_RV		error;
	const char *name;
	prov_category category;
	prov_pkcs11_cure cure;
} meaning;

static const meaning *meaning_of(CK_RV error);

#define ROW(error, category, cure) \
	{ \
		error, #error, PROV_##category, PROV_PKCS11_##cure \
	}

static const meaning meanings[] = {
	/* May work later or elsewhere. */
	ROW(CKR_HOST_MEMORY, UNAVAILABLE, NO_CURE),
	ROW(CKR_GENERAL_ERROR, UNAVAILABLE, PROBE),
	ROW(CKR_FUNCTION_FAILED, UNAVAILABLE, PROBE),
	ROW(CKR_FUNCTION_CANCELED, UNAVAILABLE, NO_CURE),
	ROW(CKR_DEVICE_MEMORY, UNAVAILABLE, NO_CURE),
	ROW(CKR_SESSION_COUNT, UNAVAILABLE, NO_CURE),
	ROW(CKR_FIPS_SELF_TEST_FAILED, UNAVAILABLE, NO_CURE),
	ROW(CKR_RANDOM_NO_RNG, UNAVAILABLE, NO_CURE),
	ROW(CKR_TOKEN_RESOURCE_EXCEEDED, THROTTLED, NO_CURE),

	/* Something that was open no longer is. */
	ROW(CKR_SLOT_ID_INVALID, UNAVAILABLE, REOPEN),
	ROW(CKR_DEVICE_ERROR, UNAVAILABLE, REOPEN),
	ROW(CKR_DEVICE_REMOVED, UNAVAILABLE, REOPEN),
	ROW(CKR_SESSION_CLOSED, UNAVAILABLE, REOPEN),
	ROW(CKR_SESSION_HANDLE_INVALID, UNAVAILABLE, REOPEN),
	ROW(CKR_TOKEN_NOT_PRESENT, UNAVAILABLE, REOPEN),
	ROW(CKR_TOKEN_NOT_RECOGNIZED, UNAVAILABLE, REOPEN),
	ROW(CKR_USER_NOT_LOGGED_IN, UNAVAILABLE, REOPEN),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED, UNAVAILABLE, REOPEN),
	ROW(CKR_OPERATION_ACTIVE, UNAVAILABLE, REOPEN),
	ROW(CKR_OPERATION_NOT_INITIALIZED, UNAVAILABLE, REOPEN),
	ROW(CKR_KEY_HANDLE_INVALID, NOT_FOUND, REOPEN),
	ROW(CKR_OBJECT_HANDLE_INVALID, NOT_FOUND, REOPEN),
	ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, NOT_FOUND, REOPEN),
	ROW(CKR_UNWRAPPING_KEY_HANDLE_INVALID, NOT_FOUND, REOPEN),

	/* The token refuses. */
	ROW(CKR_PIN_INCORRECT, DENIED, NO_CURE),
	ROW(CKR_PIN_INVALID, DENIED, NO_CURE),
	ROW(CKR_PIN_LEN_RANGE, DENIED, NO_CURE),
	ROW(CKR_PIN_EXPIRED, DENIED, NO_CURE),
	ROW(CKR_PIN_LOCKED, DENIED, NO_CURE),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, DENIED, NO_CURE),
	ROW(CKR_USER_TYPE_INVALID, DENIED, NO_CURE),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, DENIED, NO_CURE),
	ROW(CKR_USER_TOO_MANY_TYPES, DENIED, NO_CURE),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, DENIED, NO_CURE),
	ROW(CKR_ACTION_PROHIBITED, DENIED, NO_CURE),
	ROW(CKR_FUNCTION_REJECTED, DENIED, NO_CURE),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, DENIED, NO_CURE),
	ROW(CKR_ATTRIBUTE_SENSITIVE, DENIED, NO_CURE),
	ROW(CKR_KEY_UNEXTRACTABLE, DENIED, NO_CURE),
	ROW(CKR_KEY_NOT_WRAPPABLE, DENIED, NO_CURE),
	ROW(CKR_TOKEN_WRITE_PROTECTED, DENIED, NO_CURE),
	ROW(CKR_KEY_EXHAUSTED, DISABLED, NO_CURE),

	/* The data does not open. */
	ROW(CKR_DATA_INVALID, INTEGRITY, NO_CURE),
	ROW(CKR_DATA_LEN_RANGE, INTEGRITY, NO_CURE),
	ROW(CKR_ENCRYPTED_DATA_INVALID, INTEGRITY, NO_CURE),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, INTEGRITY, NO_CURE),
	ROW(CKR_AEAD_DECRYPT_FAILED, INTEGRITY, NO_CURE),
	ROW(CKR_WRAPPED_KEY_INVALID, INTEGRITY, NO_CURE),
	ROW(CKR_WRAPPED_KEY_LEN_RANGE, INTEGRITY, NO_CURE),

	/* The token cannot do what the URI asks for. */
	ROW(CKR_ARGUMENTS_BAD, MISCONFIGURED, NO_CURE),
	ROW(CKR_NEED_TO_CREATE_THREADS, MISCONFIGURED, NO_CURE),
	ROW(CKR_CANT_LOCK, MISCONFIGURED, NO_CURE),
	ROW(CKR_ATTRIBUTE_READ_ONLY, MISCONFIGURED, NO_CURE),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID, MISCONFIGURED, NO_CURE),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID, MISCONFIGURED, NO_CURE),
	ROW(CKR_FUNCTION_NOT_SUPPORTED, MISCONFIGURED, NO_CURE),
	ROW(CKR_KEY_SIZE_RANGE, MISCONFIGURED, NO_CURE),
	ROW(CKR_KEY_TYPE_INCONSISTENT, MISCONFIGURED, NO_CURE),
	ROW(CKR_MECHANISM_INVALID, MISCONFIGURED, NO_CURE),
	ROW(CKR_MECHANISM_PARAM_INVALID, MISCONFIGURED, NO_CURE),
	ROW(CKR_TEMPLATE_INCOMPLETE, MISCONFIGURED, NO_CURE),
	ROW(CKR_TEMPLATE_INCONSISTENT, MISCONFIGURED, NO_CURE),
	ROW(CKR_WRAPPING_KEY_SIZE_RANGE, MISCONFIGURED, NO_CURE),
	ROW(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, MISCONFIGURED, NO_CURE),
	ROW(CKR_UNWRAPPING_KEY_SIZE_RANGE, MISCONFIGURED, NO_CURE),
	ROW(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, MISCONFIGURED, NO_CURE),
	ROW(CKR_BUFFER_TOO_SMALL, MISCONFIGURED, NO_CURE),
	ROW(CKR_LIBRARY_LOAD_FAILED, MISCONFIGURED, NO_CURE),
};

static const char *const reasons[PROV_CATEGORIES] = {
	[PROV_OK] = "",
	[PROV_UNAVAILABLE] = "The token could not execute the request.",
	[PROV_THROTTLED] = "The token is overloaded.",
	[PROV_DENIED] = "The token refused.",
	[PROV_NOT_FOUND] = "The root key is not in the token.",
	[PROV_DISABLED] = "The root key must not be used any more.",
	[PROV_INTEGRITY] = "The token could not open the sealed key.",
	[PROV_MISCONFIGURED] = "The token cannot do this with this key.",
};

static const meaning *
meaning_of(CK_RV error)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
	{
		if (meanings[i].error == error)
			return &meanings[i];
	}
	return NULL;
}

prov_category
prov_pkcs11_error_category(CK_RV error)
{
	const meaning *found = meaning_of(error);

	return found != NULL ? found->category : PROV_UNAVAILABLE;
}

/* A vendor's own error says as little as CKR_GENERAL_ERROR. */
prov_pkcs11_cure
prov_pkcs11_error_cure(CK_RV error)
{
	const meaning *found = meaning_of(error);

	if (error == CKR_OK)
		return PROV_PKCS11_NO_CURE;
	return found != NULL ? found->cure : PROV_PKCS11_PROBE;
}

prov_category
prov_pkcs11_fail(prov_failure *failure, const char *function, CK_RV error)
{
	prov_category category = prov_pkcs11_error_category(error);

	return prov_pkcs11_fail_as(failure, category, reasons[category], function,
							   error);
}

prov_category
prov_pkcs11_fail_as(prov_failure *failure, prov_category category,
					const char *reason, const char *function, CK_RV error)
{
	const meaning *found = meaning_of(error);

	return prov_fail(failure, category, reason, "%s returned %s (0x%lx).",
					 function, found != NULL ? found->name : "an error",
					 (unsigned long) error);
}
