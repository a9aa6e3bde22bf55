/*
 * prov_pkcs11_rsa.c
 *	  RSA-OAEP with a public key given by its numbers.
 *
 * Sealing with a public key does not need the token.  Some tokens have no
 * object for the public key, or no OAEP for it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

static EVP_PKEY *make_key(envl_view modulus, envl_view exponent);
static EVP_PKEY *make_key_of(const BIGNUM *n, const BIGNUM *e);
static bool encrypt_oaep(EVP_PKEY *key, const uint8_t *plaintext,
						 prov_pkcs11_blob *blob);

bool
prov_pkcs11_rsa_seal(envl_view modulus, envl_view exponent,
					 const uint8_t *plaintext, prov_pkcs11_blob *blob)
{
	EVP_PKEY   *key;
	bool		sealed = false;

	ERR_clear_error();
	if (modulus.len > PROV_PKCS11_RSA_MAX + 1 || exponent.len > 8)
		return false;
	key = make_key(modulus, exponent);
	if (key != NULL && EVP_PKEY_get_size(key) >= PROV_PKCS11_RSA_MIN &&
		EVP_PKEY_get_size(key) <= PROV_PKCS11_RSA_MAX)
		sealed = encrypt_oaep(key, plaintext, blob);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return sealed;
}

/* NULL if the numbers make no key. */
static EVP_PKEY *
make_key(envl_view modulus, envl_view exponent)
{
	BIGNUM	   *n = BN_bin2bn(modulus.data, (int) modulus.len, NULL);
	BIGNUM	   *e = BN_bin2bn(exponent.data, (int) exponent.len, NULL);
	EVP_PKEY   *key = NULL;

	if (n != NULL && e != NULL)
		key = make_key_of(n, e);
	BN_free(n);
	BN_free(e);
	return key;
}

static EVP_PKEY *
make_key_of(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY   *key = NULL;

	if (builder != NULL && context != NULL &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
		(params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
		EVP_PKEY_fromdata_init(context) == 1 &&
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	return key;
}

/*
 * Uses one hash for both OAEP and MGF1, and no label, since some tokens
 * support nothing else.
 */
static bool
encrypt_oaep(EVP_PKEY *key, const uint8_t *plaintext, prov_pkcs11_blob *blob)
{
	const EVP_MD *hash = blob->mechanism == PROV_PKCS11_RSA_OAEP_SHA1 ?
		EVP_sha1() :
		EVP_sha256();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	bool		good;

	blob->ciphertext_len = sizeof(blob->ciphertext);
	good = context != NULL && EVP_PKEY_encrypt_init(context) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_oaep_md(context, hash) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash) == 1 &&
		EVP_PKEY_encrypt(context, blob->ciphertext, &blob->ciphertext_len,
						 plaintext, ENVL_SEALED_PLAINTEXT_LEN) == 1;
	EVP_PKEY_CTX_free(context);
	return good;
}
