/*
 * pkcs11_double.c
 *	  A double of a PKCS#11 module: a real one, misbehaving on demand.
 *
 * Not a token of its own: every call goes to the module that
 * PKCS11_DOUBLE_REAL names, unless the file PKCS11_DOUBLE.control says
 * otherwise.  Each of its lines is about one function:
 *
 *		C_Decrypt crash				a null pointer is followed
 *		C_Decrypt hang				for ever
 *		C_Login 0x30				returns that, without calling
 *		C_Login once 0x30			the same, for one call only
 *		C_GetTokenInfo flags 0x20000	sets these flags as well
 *		C_GetTokenInfo lost one		the token of that label is not there
 *		C_GetMechanismInfo hide 0x1087	does not have that mechanism
 *		C_GetAttributeValue no 0x106	has that attribute as false
 *		C_GetSlotList none			has no token
 *		C_EncryptInit short			knows the short CK_GCM_PARAMS only
 *		C_EncryptInit iv			chooses the IV where it is given zeroes
 *
 * The functions that it was asked for are lines of PKCS11_DOUBLE.calls.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST *module;	/* the real one */
static CK_FUNCTION_LIST shown;

/* A path next to PKCS11_DOUBLE. */
static const char *
path_of(const char *ending)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s.%s", getenv("PKCS11_DOUBLE"), ending);
	return path;
}

static void
record(const char *function)
{
	int			fd = open(path_of("calls"),
						  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%s\n", function) < 0)
		abort();
	close(fd);
}

/* What the control file has for a function; "" for nothing. */
static const char *
action_of(const char *function)
{
	static char line[256];
	FILE	   *file = fopen(path_of("control"), "re");
	size_t		len = strlen(function);
	bool		found = false;

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
		found = strncmp(line, function, len) == 0 && line[len] == ' ';
	if (file != NULL)
		fclose(file);
	if (!found)
		return "";
	line[strcspn(line, "\n")] = '\0';
	return line + len + 1;
}

/* Whether the function returns *error without calling the real one. */
static bool
misbehaves(const char *function, CK_RV *error)
{
	const char *action = action_of(function);

	record(function);
	if (strcmp(action, "crash") == 0)
		*(volatile int *) NULL = 0;
	if (strcmp(action, "hang") == 0)
	{
		for (;;)
			pause();
	}
	if (strncmp(action, "once ", 5) == 0)
	{
		action += 5;
		unlink(path_of("control"));
	}
	if (strncmp(action, "0x", 2) != 0)
		return false;
	*error = strtoul(action, NULL, 16);
	return true;
}

#define DOUBLE(function, parameters, arguments) \
	static CK_RV double_##function parameters \
	{ \
		CK_RV error; \
\
		if (misbehaves(#function, &error)) \
			return error; \
		return module->function arguments; \
	}

/* The same for what ends an operation, also where it fails. */
#define DOUBLE_END(function, parameters, arguments) \
	static CK_RV double_##function parameters \
	{ \
		CK_RV error; \
		bool bad = misbehaves(#function, &error); \
		CK_RV real = module->function arguments; \
\
		return bad ? error : real; \
	}

DOUBLE(C_Initialize, (void *init), (init))
DOUBLE(C_Finalize, (void *reserved), (reserved))
DOUBLE(C_OpenSession,
	   (CK_SLOT_ID slot, CK_FLAGS flags, void *data, CK_NOTIFY notify,
		CK_SESSION_HANDLE *session),
	   (slot, flags, data, notify, session))
DOUBLE(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info),
	   (session, info))
DOUBLE(C_Login,
	   (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin,
		CK_ULONG len),
	   (session, user, pin, len))
DOUBLE(C_FindObjectsInit,
	   (CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, CK_ULONG count),
	   (session, wanted, count))
DOUBLE_END(C_Encrypt,
		   (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
			CK_ULONG *out_len),
		   (session, in, in_len, out, out_len))
DOUBLE_END(C_Decrypt,
		   (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
			CK_ULONG *out_len),
		   (session, in, in_len, out, out_len))
DOUBLE(C_CreateObject,
	   (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
		CK_OBJECT_HANDLE *object),
	   (session, template, count, object))
DOUBLE(C_WrapKey,
	   (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE *out,
		CK_ULONG *out_len),
	   (session, mechanism, wrapping, key, out, out_len))
DOUBLE(C_UnwrapKey,
	   (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		CK_OBJECT_HANDLE unwrapping, CK_BYTE *in, CK_ULONG in_len,
		CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key),
	   (session, mechanism, unwrapping, in, in_len, template, count, key))

static CK_RV
double_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_RV		error;

	if (misbehaves("C_GetSlotList", &error))
		return error;
	if (strcmp(action_of("C_GetSlotList"), "none") != 0)
		return module->C_GetSlotList(present, slots, count);
	*count = 0;
	return CKR_OK;
}

static CK_RV
double_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	const char *action;
	CK_RV		error;

	if (misbehaves("C_GetTokenInfo", &error))
		return error;
	error = module->C_GetTokenInfo(slot, info);
	action = action_of("C_GetTokenInfo");
	if (strncmp(action, "flags ", 6) == 0)
		info->flags |= strtoul(action + 6, NULL, 16);
	if (strncmp(action, "lost ", 5) == 0 &&
		memcmp(info->label, action + 5, strlen(action + 5)) == 0)
		return CKR_TOKEN_NOT_PRESENT;
	return error;
}

static CK_RV
double_C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
						  CK_MECHANISM_INFO *info)
{
	const char *action;
	CK_RV		error;

	if (misbehaves("C_GetMechanismInfo", &error))
		return error;

	/* Each "hide" of the line hides one. */
	action = action_of("C_GetMechanismInfo");
	while ((action = strstr(action, "hide ")) != NULL)
	{
		action += 5;
		if (strtoul(action, NULL, 16) == type)
			return CKR_MECHANISM_INVALID;
	}
	return module->C_GetMechanismInfo(slot, type, info);
}

static CK_RV
double_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
						   CK_ATTRIBUTE *wanted, CK_ULONG count)
{
	const char *action;
	CK_RV		error;

	if (misbehaves("C_GetAttributeValue", &error))
		return error;
	error = module->C_GetAttributeValue(session, key, wanted, count);
	action = action_of("C_GetAttributeValue");
	while (error == CKR_OK && (action = strstr(action, "no ")) != NULL)
	{
		action += 3;
		if (strtoul(action, NULL, 16) == wanted[0].type)
			*(CK_BBOOL *) wanted[0].pValue = CK_FALSE;
	}
	return error;
}

/* What a token does that lets nobody else choose an IV. */
static CK_RV
choose_iv(CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism)
{
	CK_GCM_PARAMS *params = mechanism->pParameter;

	for (CK_ULONG i = 0; i < params->iv_len; i++)
	{
		if (params->iv_ptr[i] != 0)
			return CKR_MECHANISM_PARAM_INVALID;
	}
	return module->C_GenerateRandom(session, params->iv_ptr,
									params->iv_len);
}

/* CK_GCM_PARAMS without ulIvBits, as old modules have it. */
typedef struct short_params
{
	CK_BYTE    *iv;
	CK_ULONG	iv_len;
	CK_BYTE    *aad;
	CK_ULONG	aad_len;
	CK_ULONG	tag_bits;
} short_params;

typedef CK_RV (*init_function)(CK_SESSION_HANDLE, CK_MECHANISM *,
							   CK_OBJECT_HANDLE);

static CK_RV
init(const char *name, init_function function, CK_SESSION_HANDLE session,
	 CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	const short_params *given = mechanism->pParameter;
	CK_GCM_PARAMS params;
	CK_MECHANISM longer = {CKM_AES_GCM, &params, sizeof(params)};
	CK_RV		error;

	if (misbehaves(name, &error))
		return error;
	if (strcmp(action_of(name), "iv") == 0)
	{
		error = choose_iv(session, mechanism);
		if (error != CKR_OK)
			return error;
	}
	if (strcmp(action_of(name), "short") != 0)
		return function(session, mechanism, key);
	if (mechanism->ulParameterLen != sizeof(*given))
		return CKR_MECHANISM_PARAM_INVALID;
	params = (CK_GCM_PARAMS) {given->iv, given->iv_len, 8 * given->iv_len,
							 given->aad, given->aad_len, given->tag_bits};
	return function(session, &longer, key);
}

static CK_RV
double_C_EncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
					 CK_OBJECT_HANDLE key)
{
	return init("C_EncryptInit", module->C_EncryptInit, session, mechanism,
				key);
}

static CK_RV
double_C_DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
					 CK_OBJECT_HANDLE key)
{
	return init("C_DecryptInit", module->C_DecryptInit, session, mechanism,
				key);
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	void	   *library = dlopen(getenv("PKCS11_DOUBLE_REAL"), RTLD_NOW);
	CK_C_GetFunctionList get;
	void	   *symbol;

	if (library == NULL ||
		(symbol = dlsym(library, "C_GetFunctionList")) == NULL)
		return CKR_LIBRARY_LOAD_FAILED;
	memcpy(&get, &symbol, sizeof(symbol));
	if (get(&module) != CKR_OK)
		return CKR_GENERAL_ERROR;
	shown = *module;
	shown.C_Initialize = double_C_Initialize;
	shown.C_Finalize = double_C_Finalize;
	shown.C_GetSlotList = double_C_GetSlotList;
	shown.C_GetTokenInfo = double_C_GetTokenInfo;
	shown.C_GetMechanismInfo = double_C_GetMechanismInfo;
	shown.C_GetAttributeValue = double_C_GetAttributeValue;
	shown.C_OpenSession = double_C_OpenSession;
	shown.C_GetSessionInfo = double_C_GetSessionInfo;
	shown.C_Login = double_C_Login;
	shown.C_FindObjectsInit = double_C_FindObjectsInit;
	shown.C_EncryptInit = double_C_EncryptInit;
	shown.C_Encrypt = double_C_Encrypt;
	shown.C_DecryptInit = double_C_DecryptInit;
	shown.C_Decrypt = double_C_Decrypt;
	shown.C_CreateObject = double_C_CreateObject;
	shown.C_WrapKey = double_C_WrapKey;
	shown.C_UnwrapKey = double_C_UnwrapKey;
	*list = &shown;
	return CKR_OK;
}
