/*
 * prov_pkcs11_token.c
 *	  A module, a token in it, and a session with the token.
 *
 * The module is a vendor's code in this process.  It may crash or hang; then
 * the process ends, and the keeper starts another.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_token.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A module reports fewer slots; a larger count is not believed. */
#define SLOTS_MAX 4096

static prov_category load_module(prov_pkcs11_token *token,
								 prov_failure *failure);
static prov_category check_module(const char *path, char *resolved,
								  prov_failure *failure);
static prov_category init_module(prov_pkcs11_token *token,
								 prov_failure *failure);
static prov_category find_slot(prov_pkcs11_token *token,
							   prov_failure *failure);
static prov_category list_slots(prov_pkcs11_token *token, CK_SLOT_ID **slots,
								CK_ULONG *count, prov_failure *failure);
static bool is_wanted(const prov_pkcs11_uri *uri, const CK_TOKEN_INFO *info);
static bool field_is(const unsigned char *field, size_t size,
					 const char *wanted);
static prov_category open_session(prov_pkcs11_token *token,
								  prov_failure *failure);
static prov_category log_in(prov_pkcs11_token *token, prov_failure *failure);
static prov_category refuse_login(const prov_pkcs11_token *token,
								  CK_FLAGS flags, prov_failure *failure);
static prov_category send_pin(prov_pkcs11_token *token,
							  const prov_secret *pin, prov_failure *failure);
static bool is_pin_error(CK_RV error);
static bool is_doubtful(CK_RV error);

prov_category
prov_pkcs11_token_fail(prov_pkcs11_token *token, prov_failure *failure,
					   const char *function, CK_RV error)
{
	token->error = error;
	return prov_pkcs11_fail(failure, function, error);
}

prov_category
prov_pkcs11_token_open(prov_pkcs11_token *token, prov_failure *failure)
{
	prov_category category = PROV_OK;

	token->error = CKR_OK;
	if (token->functions == NULL)
		category = load_module(token, failure);
	if (category == PROV_OK && !token->is_initialized)
		category = init_module(token, failure);
	if (category == PROV_OK && token->session == CK_INVALID_HANDLE)
	{
		category = find_slot(token, failure);
		if (category == PROV_OK)
			category = open_session(token, failure);
	}
	if (category == PROV_OK)
		category = log_in(token, failure);
	return category;
}

void
prov_pkcs11_token_close(prov_pkcs11_token *token)
{
	if (token->session != CK_INVALID_HANDLE)
		(void) token->functions->C_CloseSession(token->session);
	token->session = CK_INVALID_HANDLE;
	if (token->is_initialized)
		(void) token->functions->C_Finalize(NULL);
	token->is_initialized = false;
}

/* ---------------------------------------------------------------- */
/* The module                                                       */
/* ---------------------------------------------------------------- */

/*
 * The module is never unloaded: modules leave threads and exit handlers
 * behind.
 */
static prov_category
load_module(prov_pkcs11_token *token, prov_failure *failure)
{
	CK_C_GetFunctionList get_function_list;
	CK_FUNCTION_LIST *functions = NULL;
	char		path[PATH_MAX];
	void	   *library;
	void	   *symbol;
	prov_category category;
	CK_RV		error;

	category = check_module(token->uri.module_path, path, failure);
	if (category != PROV_OK)
		return category;

	/* Keep its symbols away from us and from libraries loaded later. */
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The PKCS#11 module could not be loaded.", "%s",
						 dlerror());
	symbol = dlsym(library, "C_GetFunctionList");
	if (symbol == NULL)
	{
		dlclose(library);
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The file is not a PKCS#11 module.",
						 "It is \"%s\".", path);
	}
	memcpy(&get_function_list, &symbol, sizeof(symbol));
	error = get_function_list(&functions);
	if (error != CKR_OK || functions == NULL)
		return prov_pkcs11_token_fail(token, failure, "C_GetFunctionList",
									  error);
	if (functions->version.major < 2)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The module's version of PKCS#11 is below 2.", NULL);
	token->functions = functions;
	return PROV_OK;
}

/* Whoever can write the module can get the PIN and every key. */
static prov_category
check_module(const char *path, char *resolved, prov_failure *failure)
{
	const char *refusal = NULL;
	struct stat status;

	if (realpath(path, resolved) == NULL || stat(resolved, &status) != 0)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The PKCS#11 module cannot be found.",
						 "It is \"%s\": %s.", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		refusal = "The PKCS#11 module is not a regular file.";
	else if (status.st_uid != 0 && status.st_uid != geteuid())
		refusal = "The PKCS#11 module is owned by neither root nor the "
				  "server's user.";
	else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		refusal = "The PKCS#11 module can be written by others than its "
				  "owner.";
	if (refusal != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED, refusal,
						 "It is \"%s\", its mode %04o, its owner %lu.",
						 resolved, (unsigned) status.st_mode & 07777,
						 (unsigned long) status.st_uid);
	return PROV_OK;
}

/* Allows the module's own threads, with the system's locks. */
static prov_category
init_module(prov_pkcs11_token *token, prov_failure *failure)
{
	CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
	CK_RV		error = token->functions->C_Initialize(&arguments);

	if (error != CKR_OK && error != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return prov_pkcs11_token_fail(token, failure, "C_Initialize", error);
	token->is_initialized = true;
	return PROV_OK;
}

/* ---------------------------------------------------------------- */
/* The token                                                        */
/* ---------------------------------------------------------------- */

static prov_category
find_slot(prov_pkcs11_token *token, prov_failure *failure)
{
	CK_SLOT_ID *slots = NULL;
	CK_ULONG	count;
	CK_ULONG	found = 0;
	CK_ULONG	others = 0;
	bool		is_lost = token->was_found;
	prov_category category = list_slots(token, &slots, &count, failure);

	if (category != PROV_OK)
		return category;
	for (CK_ULONG i = 0; i < count; i++)
	{
		CK_TOKEN_INFO info;

		/* A slot that has just lost its token may be the right one. */
		if (token->functions->C_GetTokenInfo(slots[i], &info) != CKR_OK)
			is_lost = true;
		else if ((info.flags & CKF_TOKEN_INITIALIZED) == 0)
			continue;
		else if (!is_wanted(&token->uri, &info))
			others++;
		else if (found++ == 0)
			token->slot = slots[i];
	}
	free(slots);

	if (found == 1)
	{
		token->was_found = true;
		return PROV_OK;
	}
	if (found > 1)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The pkcs11: URI fits more than one token.",
						 "It fits %lu: say which by token and serial.", found);
	if (others > 0 && !is_lost)
		return prov_fail(failure, PROV_NOT_FOUND,
						 "The module does not have the token.",
						 "It has %lu others.", others);

	/* The token was pulled out, or its network is down: it may come back. */
	return prov_fail(failure, PROV_UNAVAILABLE,
					 others > 0 ?
						 "The module does not have the token now." :
						 "The module has no token.",
					 NULL);
}

/* On success the caller frees slots. */
static prov_category
list_slots(prov_pkcs11_token *token, CK_SLOT_ID **slots, CK_ULONG *count,
		   prov_failure *failure)
{
	CK_RV		error;

	*count = 0;
	error = token->functions->C_GetSlotList(CK_TRUE, NULL, count);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_GetSlotList", error);
	if (*count > SLOTS_MAX)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The module says that it has too many slots.", NULL);

	/* One more, so that calloc never gets a size of zero. */
	*slots = calloc(*count + 1, sizeof(**slots));
	if (*slots == NULL)
		return prov_fail(failure, PROV_UNAVAILABLE, "Memory is short.", NULL);
	error = token->functions->C_GetSlotList(CK_TRUE, *slots, count);
	if (error == CKR_OK)
		return PROV_OK;
	free(*slots);
	return prov_pkcs11_token_fail(token, failure, "C_GetSlotList", error);
}

static bool
is_wanted(const prov_pkcs11_uri *uri, const CK_TOKEN_INFO *info)
{
	return field_is(info->label, sizeof(info->label), uri->token) &&
		field_is(info->manufacturerID, sizeof(info->manufacturerID),
				 uri->manufacturer) &&
		field_is(info->model, sizeof(info->model), uri->model) &&
		field_is(info->serialNumber, sizeof(info->serialNumber),
				 uri->serial);
}

/*
 * Fields are padded with blanks, by some modules with NULs; "" matches
 * everything.
 */
static bool
field_is(const unsigned char *field, size_t size, const char *wanted)
{
	size_t		len = strlen(wanted);

	if (len == 0)
		return true;
	while (size > 0 && (field[size - 1] == ' ' || field[size - 1] == '\0'))
		size--;
	return len == size && memcmp(field, wanted, len) == 0;
}

/* Read-only: we make session objects, and change none of the token's. */
static prov_category
open_session(prov_pkcs11_token *token, prov_failure *failure)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	CK_RV		error;

	error = token->functions->C_OpenSession(token->slot, CKF_SERIAL_SESSION,
											NULL, NULL, &session);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_OpenSession", error);
	token->session = session;
	return PROV_OK;
}

/* ---------------------------------------------------------------- */
/* Logging in                                                       */
/* ---------------------------------------------------------------- */

/* Asks the session for its state first, to notice one that is gone. */
static prov_category
log_in(prov_pkcs11_token *token, prov_failure *failure)
{
	CK_SESSION_INFO session;
	CK_TOKEN_INFO info;
	prov_secret pin;
	prov_category category;
	CK_RV		error;

	error = token->functions->C_GetSessionInfo(token->session, &session);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_GetSessionInfo",
									  error);
	error = token->functions->C_GetTokenInfo(token->slot, &info);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_GetTokenInfo", error);
	if (session.state == CKS_RO_USER_FUNCTIONS ||
		session.state == CKS_RW_USER_FUNCTIONS ||
		(info.flags & CKF_LOGIN_REQUIRED) == 0)
		return PROV_OK;

	category = refuse_login(token, info.flags, failure);
	if (category == PROV_OK)
		category = prov_pkcs11_pin_read(&token->uri, &pin, failure);
	if (category == PROV_OK)
		category = send_pin(token, &pin, failure);
	envl_wipe(&pin, sizeof(pin));
	return category;
}

/* Refuses to try a PIN if the token's own flags advise against it. */
static prov_category
refuse_login(const prov_pkcs11_token *token, CK_FLAGS flags,
			 prov_failure *failure)
{
	if ((flags & CKF_USER_PIN_LOCKED) != 0)
		return prov_fail(failure, PROV_DENIED,
						 "The token's PIN is locked after wrong attempts.",
						 NULL);
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return prov_fail(failure, PROV_DENIED,
						 "One more wrong PIN would lock the token, so none is "
						 "sent.",
						 "Log in by hand with the token's own tool.");
	if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0 &&
		token->uri.pin_source == PROV_PKCS11_NO_PIN)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The token requires its PIN to be typed on its own "
						 "pad.",
						 NULL);
	return PROV_OK;
}

static prov_category
send_pin(prov_pkcs11_token *token, const prov_secret *pin,
		 prov_failure *failure)
{
	prov_category category;
	CK_RV		error;

	switch (prov_pkcs11_pin_ask(&token->pins, pin, prov_clock_ms()))
	{
		case PROV_PKCS11_PIN_MAY_BE_SENT:
			break;
		case PROV_PKCS11_PIN_REFUSED:
			return prov_fail(failure, PROV_DENIED,
							 "The token has refused this PIN, so it is not "
							 "sent again.",
							 "Another PIN in its place will be tried.");
		case PROV_PKCS11_PIN_IN_DOUBT:
			return prov_fail(failure, PROV_UNAVAILABLE,
							 "The last login failed without saying why, so "
							 "the PIN rests for some minutes.",
							 NULL);
		default:
			return prov_fail(failure, PROV_UNAVAILABLE,
							 "There are no random bytes.", NULL);
	}

	error = token->functions->C_Login(token->session, CKU_USER,
									  (CK_UTF8CHAR_PTR) pin->text, pin->len);
	if (error == CKR_OK || error == CKR_USER_ALREADY_LOGGED_IN)
	{
		prov_pkcs11_pin_accepted(&token->pins);
		return PROV_OK;
	}
	category = prov_pkcs11_token_fail(token, failure, "C_Login", error);
	if (is_pin_error(error))
		prov_pkcs11_pin_refused(&token->pins, pin);
	else if (is_doubtful(error))
	{
		prov_pkcs11_pin_doubted(&token->pins, pin, prov_clock_ms());

		/* Do not send the PIN a second time for this request. */
		token->error = CKR_OK;
	}
	return category;
}

static bool
is_pin_error(CK_RV error)
{
	return error == CKR_PIN_INCORRECT || error == CKR_PIN_INVALID ||
		error == CKR_PIN_LEN_RANGE || error == CKR_PIN_EXPIRED ||
		error == CKR_PIN_LOCKED;
}

/* Whether the error may stand for a wrong PIN in some module. */
static bool
is_doubtful(CK_RV error)
{
	return error == CKR_DEVICE_ERROR ||
		prov_pkcs11_error_cure(error) == PROV_PKCS11_PROBE;
}
