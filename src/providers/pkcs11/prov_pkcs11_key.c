/*
 * prov_pkcs11_key.c
 *	  The root key in a token: finding it, and what it can do.
 *
 * The key is looked up for each request.  That costs a few more calls of the
 * module a few times an hour, and notices a key that has been destroyed or
 * doubled.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_key.h"

#include <stdio.h>
#include <string.h>

/* What a mechanism needs of the token and of the key. */
typedef struct demand
{
	prov_pkcs11_mechanism mechanism;
	CK_MECHANISM_TYPE type;
	CK_KEY_TYPE key_type;
	CK_FLAGS	flags;			/* of CK_MECHANISM_INFO */
	CK_ATTRIBUTE_TYPE seals;	/* the attributes that must be true */
	CK_ATTRIBUTE_TYPE unseals;
	bool		is_default;		/* may be chosen when the URI names no
								 * mechanism */
} demand;

static prov_category count_keys(prov_pkcs11_token *token,
								const prov_pkcs11_id *id, CK_ULONG *count,
								CK_OBJECT_HANDLE *handle,
								prov_failure *failure);
static prov_category count_class(prov_pkcs11_token *token,
								 CK_OBJECT_CLASS class,
								 const prov_pkcs11_id *id, CK_ULONG *count,
								 CK_OBJECT_HANDLE *handle,
								 prov_failure *failure);
static prov_category describe_key(prov_pkcs11_token *token,
								  prov_pkcs11_key *key, prov_failure *failure);
static void name_key(prov_pkcs11_token *token, prov_pkcs11_key *key);
static const demand *demand_of(prov_pkcs11_mechanism mechanism);
static bool is_met(prov_pkcs11_token *token, const prov_pkcs11_key *key,
				   const demand *wanted);
static bool is_allowed(prov_pkcs11_token *token, const prov_pkcs11_key *key,
					   CK_MECHANISM_TYPE type);
static bool read_bool(prov_pkcs11_token *token, const prov_pkcs11_key *key,
					  CK_ATTRIBUTE_TYPE type, bool unknown);

/* Best first. */
static const demand demands[] = {
	{PROV_PKCS11_AES_GCM, CKM_AES_GCM, CKK_AES, CKF_ENCRYPT | CKF_DECRYPT,
	 CKA_ENCRYPT, CKA_DECRYPT, true},
	{PROV_PKCS11_AES_KEY_WRAP, CKM_AES_KEY_WRAP, CKK_AES,
	 CKF_WRAP | CKF_UNWRAP, CKA_WRAP, CKA_UNWRAP, true},
	{PROV_PKCS11_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP_PAD, CKK_AES,
	 CKF_WRAP | CKF_UNWRAP, CKA_WRAP, CKA_UNWRAP, true},

	/* Sealing with the public key happens outside the token. */
	{PROV_PKCS11_RSA_OAEP_SHA256, CKM_RSA_PKCS_OAEP, CKK_RSA, CKF_DECRYPT,
	 CKA_DECRYPT, CKA_DECRYPT, true},
	{PROV_PKCS11_RSA_OAEP_SHA1, CKM_RSA_PKCS_OAEP, CKK_RSA, CKF_DECRYPT,
	 CKA_DECRYPT, CKA_DECRYPT, false},
};

#define DEMANDS (sizeof(demands) / sizeof(demands[0]))

/* ---------------------------------------------------------------- */
/* Finding                                                          */
/* ---------------------------------------------------------------- */

prov_category
prov_pkcs11_key_find(prov_pkcs11_token *token, const prov_pkcs11_id *id,
					 prov_pkcs11_key *key, prov_failure *failure)
{
	CK_ULONG	count = 0;
	prov_category category;

	memset(key, 0, sizeof(*key));
	if (id == NULL && token->uri.has_id)
		id = &token->uri.id;
	category = count_keys(token, id, &count, &key->handle, failure);
	if (category != PROV_OK)
		return category;
	if (count == 0)
		return prov_fail(failure, PROV_NOT_FOUND,
						 "The token has no such key.", NULL);
	if (count > 1)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The pkcs11: URI fits more than one key.",
						 "Say which by object, id and type.");
	return describe_key(token, key, failure);
}

/* Ignores public keys and certificates of the same label and id. */
static prov_category
count_keys(prov_pkcs11_token *token, const prov_pkcs11_id *id,
		   CK_ULONG *count, CK_OBJECT_HANDLE *handle, prov_failure *failure)
{
	prov_category category = PROV_OK;

	if (token->uri.type != PROV_PKCS11_PRIVATE_KEY)
		category = count_class(token, CKO_SECRET_KEY, id, count, handle,
							   failure);
	if (category == PROV_OK && token->uri.type != PROV_PKCS11_SECRET_KEY)
		category = count_class(token, CKO_PRIVATE_KEY, id, count, handle,
							   failure);
	return category;
}

/* Adds to *count, at most two; *handle is that of the last key. */
static prov_category
count_class(prov_pkcs11_token *token, CK_OBJECT_CLASS class,
			const prov_pkcs11_id *id, CK_ULONG *count,
			CK_OBJECT_HANDLE *handle, prov_failure *failure)
{
	CK_BBOOL	yes = CK_TRUE;
	CK_ATTRIBUTE wanted[4] = {
		{CKA_CLASS, &class, sizeof(class)},
		{CKA_TOKEN, &yes, sizeof(yes)},
	};
	CK_ULONG	wanted_len = 2;
	CK_OBJECT_HANDLE found[2];
	CK_ULONG	found_len = 0;
	CK_RV		error;

	if (token->uri.object[0] != '\0')
		wanted[wanted_len++] = (CK_ATTRIBUTE) {
			CKA_LABEL, token->uri.object, strlen(token->uri.object)};
	if (id != NULL)
		wanted[wanted_len++] = (CK_ATTRIBUTE) {
			CKA_ID, (void *) id->bytes, id->len};

	error = token->functions->C_FindObjectsInit(token->session, wanted,
												wanted_len);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_FindObjectsInit",
									  error);
	error = token->functions->C_FindObjects(token->session, found, 2,
											&found_len);
	(void) token->functions->C_FindObjectsFinal(token->session);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_FindObjects", error);
	if (found_len > 0)
		*handle = found[0];
	*count += found_len;
	return PROV_OK;
}

bool
prov_pkcs11_key_attribute(prov_pkcs11_token *token, CK_OBJECT_HANDLE handle,
						  CK_ATTRIBUTE_TYPE type, void *out, size_t size,
						  size_t *len)
{
	CK_ATTRIBUTE attribute = {type, out, size};
	CK_RV		error;

	*len = 0;
	error = token->functions->C_GetAttributeValue(token->session, handle,
												  &attribute, 1);
	if (error != CKR_OK || attribute.ulValueLen > size)
	{
		token->error = error != CKR_OK ? error : CKR_BUFFER_TOO_SMALL;
		return false;
	}
	*len = attribute.ulValueLen;
	return true;
}

static prov_category
describe_key(prov_pkcs11_token *token, prov_pkcs11_key *key,
			 prov_failure *failure)
{
	CK_BBOOL	always = CK_FALSE;
	size_t		len;

	token->error = CKR_OK;
	if (!prov_pkcs11_key_attribute(token, key->handle, CKA_KEY_TYPE,
								   &key->type, sizeof(key->type), &len) ||
		len != sizeof(key->type) ||
		!prov_pkcs11_key_attribute(token, key->handle, CKA_ID, key->id.bytes,
								   sizeof(key->id.bytes), &key->id.len))
		return prov_pkcs11_token_fail(token, failure, "C_GetAttributeValue",
									  token->error);
	if (key->type != CKK_AES && key->type != CKK_RSA)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key is neither an AES nor an RSA key.",
						 "Its CKA_KEY_TYPE is 0x%lx.", key->type);
	if (prov_pkcs11_key_attribute(token, key->handle, CKA_ALWAYS_AUTHENTICATE,
								  &always, sizeof(always), &len) &&
		len == sizeof(always) && always)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key requires its PIN for each use.",
						 "Create a key without CKA_ALWAYS_AUTHENTICATE.");
	name_key(token, key);
	token->error = CKR_OK;
	return PROV_OK;
}

/* Writes label/id as far as it fits and is printable. */
static void
name_key(prov_pkcs11_token *token, prov_pkcs11_key *key)
{
	char		label[60];
	char		hex[2 * 32 + 1] = "";
	size_t		len;

	if (!prov_pkcs11_key_attribute(token, key->handle, CKA_LABEL, label,
								   sizeof(label) - 1, &len))
		len = 0;
	for (size_t i = 0; i < len; i++)
	{
		if (label[i] < 0x20 || label[i] > 0x7E)
			label[i] = '?';
	}
	label[len] = '\0';
	for (size_t i = 0; i < key->id.len && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", key->id.bytes[i]);
	snprintf(key->name, sizeof(key->name), "%s/%s", label, hex);
}

/* ---------------------------------------------------------------- */
/* What it can do */
/* ---------------------------------------------------------------- */

static const demand *
demand_of(prov_pkcs11_mechanism mechanism)
{
	for (size_t i = 0; i < DEMANDS; i++)
	{
		if (demands[i].mechanism == mechanism)
			return &demands[i];
	}
	return NULL;
}

CK_KEY_TYPE
prov_pkcs11_key_type(prov_pkcs11_mechanism mechanism)
{
	return demand_of(mechanism)->key_type;
}

prov_category
prov_pkcs11_key_choose(prov_pkcs11_token *token, const prov_pkcs11_key *key,
					   prov_pkcs11_mechanism *mechanism,
					   prov_failure *failure)
{
	*mechanism = token->uri.mechanism;
	if (*mechanism != PROV_PKCS11_NO_MECHANISM)
	{
		/* Otherwise the token itself will report what is wrong. */
		if (prov_pkcs11_key_type(*mechanism) == key->type)
			return PROV_OK;
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The mechanism of the pkcs11: URI does not fit the "
						 "root key.",
						 NULL);
	}
	for (size_t i = 0; i < DEMANDS; i++)
	{
		if (demands[i].is_default && is_met(token, key, &demands[i]))
		{
			*mechanism = demands[i].mechanism;
			return PROV_OK;
		}
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "Token and root key allow none of the mechanisms.",
					 "An AES key needs encrypt and decrypt, or wrap and "
					 "unwrap; an RSA key decrypt.");
}

static bool
is_met(prov_pkcs11_token *token, const prov_pkcs11_key *key,
	   const demand *wanted)
{
	CK_MECHANISM_INFO info;

	return key->type == wanted->key_type &&
		token->functions->C_GetMechanismInfo(token->slot, wanted->type,
											 &info) == CKR_OK &&
		(info.flags & wanted->flags) == wanted->flags &&
		read_bool(token, key, wanted->seals, false) &&
		read_bool(token, key, wanted->unseals, false) &&
		is_allowed(token, key, wanted->type);
}

/* A key without a list of mechanisms allows all of them. */
static bool
is_allowed(prov_pkcs11_token *token, const prov_pkcs11_key *key,
		   CK_MECHANISM_TYPE type)
{
	CK_MECHANISM_TYPE allowed[256];
	size_t		len;

	if (!prov_pkcs11_key_attribute(token, key->handle,
								   CKA_ALLOWED_MECHANISMS, allowed,
								   sizeof(allowed), &len))
		return true;
	for (size_t i = 0; i < len / sizeof(allowed[0]); i++)
	{
		if (allowed[i] == type)
			return true;
	}
	return len == 0;
}

static bool
read_bool(prov_pkcs11_token *token, const prov_pkcs11_key *key,
		  CK_ATTRIBUTE_TYPE type, bool unknown)
{
	CK_BBOOL	value;
	size_t		len;

	if (!prov_pkcs11_key_attribute(token, key->handle, type, &value,
								   sizeof(value), &len) ||
		len != sizeof(value))
		return unknown;
	return value != CK_FALSE;
}

void
prov_pkcs11_key_warn(prov_pkcs11_token *token, const prov_pkcs11_key *key,
					 char *text, size_t size)
{
	bool		extractable = read_bool(token, key, CKA_EXTRACTABLE, true);
	bool		sensitive = read_bool(token, key, CKA_SENSITIVE, false);
	CK_ULONG	key_len;
	size_t		len;
	size_t		used = 0;

	text[0] = '\0';
	if (extractable || !sensitive)
		used = (size_t) snprintf(text, size,
								 "The root key can leave the token: it is %s.",
								 !sensitive ? "not sensitive" :
											  "extractable");
	if (key->type == CKK_AES && used < size &&
		prov_pkcs11_key_attribute(token, key->handle, CKA_VALUE_LEN, &key_len,
								  sizeof(key_len), &len) &&
		len == sizeof(key_len) && key_len < 32)
		used += (size_t) snprintf(text + used, size - used,
								  "%sIt has only %lu bits.",
								  used > 0 ? " " : "", 8 * key_len);
	if (key->type == CKK_RSA && used < size)
		(void) snprintf(text + used, size - used,
						"%sWhoever has its public key can make seals.",
						used > 0 ? " " : "");
}
