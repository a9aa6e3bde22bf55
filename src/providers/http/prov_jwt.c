/*
 * prov_jwt.c
 *	  A JSON web token signed with RSA.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "core/envl_secret.h"

/* RSA of 16384 bits, the longest that libcrypto takes. */
#define SIGNATURE_MAX 2048
#define RSA_BITS_MIN 2048

static EVP_PKEY *load_key(envl_view pem);
static int	no_passphrase(char *buffer, int size, int writing, void *data);
static bool sign_text(EVP_PKEY *key, envl_view text, uint8_t *signature,
					  size_t *len);
static size_t append_base64(envl_view bytes, char *out);

bool
prov_jwt_sign(envl_view private_key, const char *header, const char *claims,
			  char *token)
{
	envl_view	parts[2] = {
		{(const uint8_t *) header, strlen(header)},
		{(const uint8_t *) claims, strlen(claims)},
	};
	uint8_t		signature[SIGNATURE_MAX];
	EVP_PKEY   *key;
	size_t		len;
	size_t		signature_len;
	bool		good = false;

	token[0] = '\0';
	if (parts[0].len > PROV_JWT_PART_MAX || parts[1].len > PROV_JWT_PART_MAX)
		return false;
	key = load_key(private_key);
	if (key != NULL)
	{
		len = append_base64(parts[0], token);
		token[len++] = '.';
		len += append_base64(parts[1], token + len);
		good = sign_text(key, (envl_view) {(const uint8_t *) token, len},
						 signature, &signature_len);
		if (good)
		{
			envl_view	view = {signature, signature_len};

			token[len++] = '.';
			len += append_base64(view, token + len);
			token[len] = '\0';
		}
	}
	if (!good)
		token[0] = '\0';
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

static EVP_PKEY *
load_key(envl_view pem)
{
	BIO		   *bio = BIO_new_mem_buf(pem.data, (int) pem.len);
	EVP_PKEY   *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (key != NULL &&
		(EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
		 EVP_PKEY_get_bits(key) < RSA_BITS_MIN))
	{
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

/* libcrypto's default would ask at the terminal. */
static int
no_passphrase(char *buffer, int size, int writing, void *data)
{
	(void) buffer;
	(void) size;
	(void) writing;
	(void) data;
	return -1;
}

static bool
sign_text(EVP_PKEY *key, envl_view text, uint8_t *signature, size_t *len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		good;

	*len = SIGNATURE_MAX;
	good = context != NULL &&
		EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(context, signature, len, text.data, text.len) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

static size_t
append_base64(envl_view bytes, char *out)
{
	envl_base64_encode(ENVL_BASE64_URL, bytes, out);
	return envl_base64_encoded_len(ENVL_BASE64_URL, bytes.len);
}
