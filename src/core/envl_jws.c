/*
 * envl_jws.c
 *	  Signatures of tokens: HS256 and Ed25519.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "envl_jws.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "envl_secret.h"

#define HS256_LEN 32
#define ED25519_LEN 64

static envl_status
verify_hs256(envl_view signed_part, const uint8_t *signature,
			 const envl_jwk *key)
{
	envl_status status = ENVL_CRYPTO_FAILED;
	uint8_t		mac[HS256_LEN];
	size_t		mac_len = 0;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->bytes, key->len,
				  signed_part.data, signed_part.len, mac, sizeof(mac),
				  &mac_len) != NULL &&
		mac_len == sizeof(mac))
		status = envl_secret_equal(mac, signature, sizeof(mac)) ?
			ENVL_OK :
			ENVL_AUTHENTICATION;
	envl_wipe(mac, sizeof(mac));
	return status;
}

static envl_status
verify_ed25519(envl_view signed_part, const uint8_t *signature,
			   const envl_jwk *key)
{
	envl_status status = ENVL_CRYPTO_FAILED;
	EVP_PKEY   *public_key = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, key->bytes, key->len);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (public_key != NULL && context != NULL &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, public_key) == 1)
		status = EVP_DigestVerify(context, signature, ED25519_LEN,
								  signed_part.data, signed_part.len) == 1 ?
			ENVL_OK :
			ENVL_AUTHENTICATION;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public_key);
	return status;
}

envl_status
envl_jws_verify(envl_view signed_part, envl_view signature,
				const envl_jwk *key)
{
	bool		is_mac = key->alg == ENVL_JWS_HS256;
	size_t		expected = is_mac ? HS256_LEN : ED25519_LEN;
	uint8_t		bytes[ED25519_LEN + 2];
	size_t		len;
	envl_status status;

	if (envl_base64_decoded_max(signature.len) != expected ||
		envl_base64_decode(ENVL_BASE64_URL, signature, bytes, &len) !=
			ENVL_OK)
		return ENVL_AUTHENTICATION;
	if (is_mac)
		status = verify_hs256(signed_part, bytes, key);
	else
		status = verify_ed25519(signed_part, bytes, key);
	ERR_clear_error();
	return status;
}

envl_status
envl_jws_digest(envl_view signed_part, uint8_t *digest)
{
	if (EVP_Q_digest(NULL, "SHA256", NULL, signed_part.data, signed_part.len,
					 digest, NULL) == 1)
		return ENVL_OK;
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}
