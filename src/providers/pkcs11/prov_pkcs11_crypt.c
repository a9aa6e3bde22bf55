/*
 * prov_pkcs11_crypt.c
 *	  Sealing and unsealing with a key in a token, by each mechanism.
 *
 * AES-GCM is one call each way.  Key wrap takes keys, not bytes: to seal, the
 * bytes become a secret key of the session, which is wrapped and destroyed; to
 * unseal, the unwrapped key is read and destroyed.  With RSA the token only
 * unseals.
 *
 * A module may write as many bytes as it has room for, and reports how many it
 * wrote; the code checks that number.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_crypt.h"

#include <openssl/rand.h>
#include <string.h>

#include "providers/pkcs11/prov_pkcs11_rsa.h"

/* CK_GCM_PARAMS as PKCS#11 2.40 first had it, and as old modules still do. */
typedef struct short_gcm_params
{
	CK_BYTE    *iv;
	CK_ULONG	iv_len;
	CK_BYTE    *aad;
	CK_ULONG	aad_len;
	CK_ULONG	tag_bits;
} short_gcm_params;

#define SESSION_KEY_ATTRIBUTES 5

/* A mechanism and the data that it points to. */
typedef struct parameters
{
	CK_MECHANISM mechanism;
	uint8_t		iv[PROV_PKCS11_IV_LEN];
	uint8_t		aad[PROV_PKCS11_AAD_MAX];
	CK_GCM_PARAMS gcm;
	short_gcm_params short_gcm;
	CK_RSA_PKCS_OAEP_PARAMS oaep;
} parameters;

static void set_parameters(const prov_pkcs11_token *token, const char *key,
						   const prov_pkcs11_blob *blob, parameters *out);
static void set_gcm(const prov_pkcs11_token *token, const char *key,
					const prov_pkcs11_blob *blob, parameters *out);
static void set_oaep(CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf,
					 parameters *out);
static void set_session_key(CK_ATTRIBUTE *template);
static prov_category
encrypt_bytes(prov_pkcs11_token *token, const prov_pkcs11_key *root,
			  parameters *params, const uint8_t *plaintext,
			  prov_pkcs11_blob *blob, prov_failure *failure);
static prov_category take_iv(const parameters *params,
							 prov_pkcs11_blob *blob, prov_failure *failure);
static prov_category wrap_bytes(prov_pkcs11_token *token,
								const prov_pkcs11_key *root,
								parameters *params, const uint8_t *plaintext,
								prov_pkcs11_blob *blob, prov_failure *failure);
static prov_category encrypt_outside(prov_pkcs11_token *token,
									 const prov_pkcs11_key *root,
									 const uint8_t *plaintext,
									 prov_pkcs11_blob *blob,
									 prov_failure *failure);
static prov_category check_blob(const prov_pkcs11_blob *blob,
								prov_failure *failure);
static prov_category decrypt_bytes(prov_pkcs11_token *token,
								   const prov_pkcs11_key *root,
								   parameters *params,
								   const prov_pkcs11_blob *blob,
								   uint8_t *plaintext, prov_failure *failure);
static prov_category unwrap_bytes(prov_pkcs11_token *token,
								  const prov_pkcs11_key *root,
								  parameters *params,
								  const prov_pkcs11_blob *blob,
								  uint8_t *plaintext, prov_failure *failure);
static prov_category fail_len(prov_failure *failure, size_t len);

/* ---------------------------------------------------------------- */
/* Parameters                                                       */
/* ---------------------------------------------------------------- */

static void
set_parameters(const prov_pkcs11_token *token, const char *key,
			   const prov_pkcs11_blob *blob, parameters *out)
{
	memset(out, 0, sizeof(*out));
	switch (blob->mechanism)
	{
		case PROV_PKCS11_AES_GCM:
			set_gcm(token, key, blob, out);
			break;
		case PROV_PKCS11_AES_KEY_WRAP:
			out->mechanism.mechanism = CKM_AES_KEY_WRAP;
			break;
		case PROV_PKCS11_AES_KEY_WRAP_PAD:
			out->mechanism.mechanism = CKM_AES_KEY_WRAP_PAD;
			break;
		case PROV_PKCS11_RSA_OAEP_SHA1:
			set_oaep(CKM_SHA_1, CKG_MGF1_SHA1, out);
			break;
		default:
			set_oaep(CKM_SHA256, CKG_MGF1_SHA256, out);
			break;
	}
}

static void
set_gcm(const prov_pkcs11_token *token, const char *key,
		const prov_pkcs11_blob *blob, parameters *out)
{
	envl_view	view = {(const uint8_t *) key, strlen(key)};
	CK_ULONG	aad_len = prov_pkcs11_aad(blob, view, out->aad);
	CK_MECHANISM *mechanism = &out->mechanism;

	memcpy(out->iv, blob->iv, sizeof(out->iv));
	out->gcm = (CK_GCM_PARAMS) {out->iv, sizeof(out->iv),
							   8 * sizeof(out->iv), out->aad,
							   aad_len, 8 * ENVL_TAG_LEN};
	out->short_gcm = (short_gcm_params) {out->iv, sizeof(out->iv), out->aad,
										aad_len, 8 * ENVL_TAG_LEN};
	mechanism->mechanism = CKM_AES_GCM;
	mechanism->pParameter = &out->gcm;
	mechanism->ulParameterLen = sizeof(out->gcm);
	if (token->uri.gcm_params_short)
	{
		mechanism->pParameter = &out->short_gcm;
		mechanism->ulParameterLen = sizeof(out->short_gcm);
	}
}

static void
set_oaep(CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf, parameters *out)
{
	out->oaep = (CK_RSA_PKCS_OAEP_PARAMS) {hash, mgf, CKZ_DATA_SPECIFIED,
										  NULL, 0};
	out->mechanism.mechanism = CKM_RSA_PKCS_OAEP;
	out->mechanism.pParameter = &out->oaep;
	out->mechanism.ulParameterLen = sizeof(out->oaep);
}

/* The attributes of a KEK while it is a key in the token. */
static void
set_session_key(CK_ATTRIBUTE *template)
{
	/* Modules take these as non-const and do not write them. */
	static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	static CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	static CK_BBOOL yes = CK_TRUE;
	static CK_BBOOL no = CK_FALSE;
	const CK_ATTRIBUTE attributes[SESSION_KEY_ATTRIBUTES] = {
		{CKA_CLASS, &class, sizeof(class)},
		{CKA_KEY_TYPE, &type, sizeof(type)},
		{CKA_TOKEN, &no, sizeof(no)},
		{CKA_SENSITIVE, &no, sizeof(no)},
		{CKA_EXTRACTABLE, &yes, sizeof(yes)},
	};

	memcpy(template, attributes, sizeof(attributes));
}

/* ---------------------------------------------------------------- */
/* Sealing                                                          */
/* ---------------------------------------------------------------- */

prov_category
prov_pkcs11_seal(prov_pkcs11_token *token, const prov_pkcs11_key *root,
				 const char *key, const uint8_t *plaintext,
				 prov_pkcs11_blob *blob, prov_failure *failure)
{
	parameters	params;
	prov_category category;

	blob->id = root->id;
	memset(blob->iv, 0, sizeof(blob->iv));
	if (blob->mechanism == PROV_PKCS11_AES_GCM &&
		!token->uri.gcm_iv_by_token &&
		RAND_bytes(blob->iv, sizeof(blob->iv)) != 1)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "There are no random bytes.", NULL);
	set_parameters(token, key, blob, &params);
	switch (blob->mechanism)
	{
		case PROV_PKCS11_AES_GCM:
			category = encrypt_bytes(token, root, &params, plaintext, blob,
									 failure);
			break;
		case PROV_PKCS11_AES_KEY_WRAP:
		case PROV_PKCS11_AES_KEY_WRAP_PAD:
			category =
				wrap_bytes(token, root, &params, plaintext, blob, failure);
			break;
		default:
			category = encrypt_outside(token, root, plaintext, blob, failure);
			break;
	}
	return category == PROV_OK ? check_blob(blob, failure) : category;
}

static prov_category
encrypt_bytes(prov_pkcs11_token *token, const prov_pkcs11_key *root,
			  parameters *params, const uint8_t *plaintext,
			  prov_pkcs11_blob *blob, prov_failure *failure)
{
	CK_ULONG	len = sizeof(blob->ciphertext);
	CK_RV		error;

	error = token->functions->C_EncryptInit(token->session,
											&params->mechanism, root->handle);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_EncryptInit", error);
	error = token->functions->C_Encrypt(token->session, (CK_BYTE *) plaintext,
										ENVL_SEALED_PLAINTEXT_LEN,
										blob->ciphertext, &len);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_Encrypt", error);
	blob->ciphertext_len = len;
	return token->uri.gcm_iv_by_token ? take_iv(params, blob, failure) :
										PROV_OK;
}

/* Takes the IV that the token wrote over the zeroes. */
static prov_category
take_iv(const parameters *params, prov_pkcs11_blob *blob,
		prov_failure *failure)
{
	if (memcmp(params->iv, blob->iv, sizeof(blob->iv)) == 0)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The token does not choose the initialisation "
						 "vector: remove gcm-iv from the pkcs11: URI.",
						 NULL);
	memcpy(blob->iv, params->iv, sizeof(blob->iv));
	return PROV_OK;
}

static prov_category
wrap_bytes(prov_pkcs11_token *token, const prov_pkcs11_key *root,
		   parameters *params, const uint8_t *plaintext,
		   prov_pkcs11_blob *blob, prov_failure *failure)
{
	CK_ATTRIBUTE template[SESSION_KEY_ATTRIBUTES + 1];
	CK_OBJECT_HANDLE handle;
	CK_ULONG	len = sizeof(blob->ciphertext);
	CK_RV		error;

	set_session_key(template);
	template[SESSION_KEY_ATTRIBUTES] = (CK_ATTRIBUTE) {
		CKA_VALUE, (void *) plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	error = token->functions->C_CreateObject(token->session, template,
											 SESSION_KEY_ATTRIBUTES + 1,
											 &handle);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_CreateObject", error);
	error = token->functions->C_WrapKey(token->session, &params->mechanism,
										root->handle, handle,
										blob->ciphertext, &len);
	(void) token->functions->C_DestroyObject(token->session, handle);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_WrapKey", error);
	blob->ciphertext_len = len;
	return PROV_OK;
}

static prov_category
encrypt_outside(prov_pkcs11_token *token, const prov_pkcs11_key *root,
				const uint8_t *plaintext, prov_pkcs11_blob *blob,
				prov_failure *failure)
{
	uint8_t		modulus[PROV_PKCS11_RSA_MAX + 1];
	uint8_t		exponent[8];
	envl_view	n = {modulus, 0};
	envl_view	e = {exponent, 0};

	if (!prov_pkcs11_key_attribute(token, root->handle, CKA_MODULUS, modulus,
								   sizeof(modulus), &n.len) ||
		!prov_pkcs11_key_attribute(token, root->handle, CKA_PUBLIC_EXPONENT,
								   exponent, sizeof(exponent), &e.len))
		return prov_pkcs11_token_fail(token, failure, "C_GetAttributeValue",
									  token->error);
	if (!prov_pkcs11_rsa_seal(n, e, plaintext, blob))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key is not an RSA key of 2048 to 8192 "
						 "bits.",
						 NULL);
	return PROV_OK;
}

/* Refuses to store what could not be read again. */
static prov_category
check_blob(const prov_pkcs11_blob *blob, prov_failure *failure)
{
	prov_sealed sealed;
	prov_pkcs11_blob again;

	if (blob->ciphertext_len <= sizeof(blob->ciphertext))
	{
		prov_pkcs11_encode(blob, &sealed);
		if (prov_pkcs11_decode((envl_view) {sealed.bytes, sealed.len}, &again))
			return PROV_OK;
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "The token returned a sealed key of an impossible "
					 "length.",
					 "It is %zu bytes, by %s.", blob->ciphertext_len,
					 prov_pkcs11_mechanism_name(blob->mechanism));
}

/* ---------------------------------------------------------------- */
/* Unsealing                                                        */
/* ---------------------------------------------------------------- */

prov_category
prov_pkcs11_unseal(prov_pkcs11_token *token, const prov_pkcs11_key *root,
				   const char *key, const prov_pkcs11_blob *blob,
				   uint8_t *plaintext, prov_failure *failure)
{
	parameters	params;
	prov_category category;

	set_parameters(token, key, blob, &params);
	if (blob->mechanism == PROV_PKCS11_AES_KEY_WRAP ||
		blob->mechanism == PROV_PKCS11_AES_KEY_WRAP_PAD)
		category =
			unwrap_bytes(token, root, &params, blob, plaintext, failure);
	else
		category =
			decrypt_bytes(token, root, &params, blob, plaintext, failure);
	if (category != PROV_OK)
		envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
	return category;
}

static prov_category
decrypt_bytes(prov_pkcs11_token *token, const prov_pkcs11_key *root,
			  parameters *params, const prov_pkcs11_blob *blob,
			  uint8_t *plaintext, prov_failure *failure)
{
	/* Some modules want room for as much as they get as input. */
	uint8_t		opened[PROV_PKCS11_CIPHERTEXT_MAX];
	CK_ULONG	len = sizeof(opened);
	CK_RV		error;
	prov_category category = PROV_OK;

	error = token->functions->C_DecryptInit(token->session,
											&params->mechanism, root->handle);
	if (error != CKR_OK && blob->mechanism == PROV_PKCS11_RSA_OAEP_SHA256 &&
		prov_pkcs11_error_category(error) == PROV_MISCONFIGURED)
		return prov_pkcs11_fail_as(failure, PROV_MISCONFIGURED,
								   "The token does not support RSA-OAEP with "
								   "SHA-256; it may support SHA-1, with "
								   "mechanism=rsa-oaep-sha1.",
								   "C_DecryptInit", error);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_DecryptInit", error);
	error = token->functions->C_Decrypt(
		token->session, (CK_BYTE *) blob->ciphertext, blob->ciphertext_len,
		opened, &len);
	if (error != CKR_OK)
		category = prov_pkcs11_token_fail(token, failure, "C_Decrypt", error);
	else if (len != ENVL_SEALED_PLAINTEXT_LEN)
		category = fail_len(failure, len);
	else
		memcpy(plaintext, opened, len);
	envl_wipe(opened, sizeof(opened));
	return category;
}

static prov_category
unwrap_bytes(prov_pkcs11_token *token, const prov_pkcs11_key *root,
			 parameters *params, const prov_pkcs11_blob *blob,
			 uint8_t *plaintext, prov_failure *failure)
{
	CK_ATTRIBUTE template[SESSION_KEY_ATTRIBUTES];
	CK_OBJECT_HANDLE handle;
	size_t		len;
	CK_RV		error;
	prov_category category = PROV_OK;

	set_session_key(template);
	error = token->functions->C_UnwrapKey(
		token->session, &params->mechanism, root->handle,
		(CK_BYTE *) blob->ciphertext, blob->ciphertext_len, template,
		SESSION_KEY_ATTRIBUTES, &handle);
	if (error != CKR_OK)
		return prov_pkcs11_token_fail(token, failure, "C_UnwrapKey", error);
	if (!prov_pkcs11_key_attribute(token, handle, CKA_VALUE, plaintext,
								   ENVL_SEALED_PLAINTEXT_LEN, &len))
		category = prov_pkcs11_token_fail(token, failure,
										  "C_GetAttributeValue",
										  token->error);
	else if (len != ENVL_SEALED_PLAINTEXT_LEN)
		category = fail_len(failure, len);
	(void) token->functions->C_DestroyObject(token->session, handle);
	return category;
}

static prov_category
fail_len(prov_failure *failure, size_t len)
{
	return prov_fail(failure, PROV_INTEGRITY,
					 "What the token opened is not a key encryption key.",
					 "It has %zu bytes.", len);
}
