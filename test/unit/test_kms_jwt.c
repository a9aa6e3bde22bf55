/*
 * test_kms_jwt.c
 *	  Signed tokens: what is signed verifies, and which keys are refused.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "providers/http/prov_jwt.h"
#include "unit.h"

#define HEADER "{\"alg\":\"RS256\"}"
#define CLAIMS "{\"iss\":\"me\"}"

static char token[PROV_JWT_SIZE];

/* The key in PEM, in a static buffer; encrypted if there is a passphrase. */
static envl_view
pem_of(EVP_PKEY *key, const char *passphrase)
{
	static char text[8192];
	BIO		   *bio = BIO_new(BIO_s_mem());
	int			len = 0;

	if (PEM_write_bio_PrivateKey(bio, key,
								 passphrase != NULL ? EVP_aes_256_cbc() : NULL,
								 NULL, 0, NULL, (void *) passphrase) == 1)
		len = BIO_read(bio, text, sizeof(text));
	BIO_free(bio);
	return (envl_view) {(const uint8_t *) text, (size_t) len};
}

static bool
verifies(EVP_PKEY *key)
{
	const char *dot = strrchr(token, '.');
	uint8_t		signature[2048];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t		len;
	bool		good;

	good = dot != NULL &&
		envl_base64_decode(ENVL_BASE64_URL, text_view(dot + 1), signature,
						   &len) == ENVL_OK &&
		EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestVerify(context, signature, len, (const uint8_t *) token,
						 (size_t) (dot - token)) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

static void
is_refused(envl_view pem, const char *name)
{
	memset(token, 'x', sizeof(token));
	ok(!prov_jwt_sign(pem, HEADER, CLAIMS, token), "%s: refused", name);
	is_text(token, "", "%s: no token", name);
}

static void
test_signature(EVP_PKEY *key)
{
	static const char parts[] =
		"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9.";
	char		longest[PROV_JWT_PART_MAX + 2];

	ok(prov_jwt_sign(pem_of(key, NULL), HEADER, CLAIMS, token),
	   "RSA of 2048 bits signs");
	ok(strncmp(token, parts, strlen(parts)) == 0, "header and claims");
	ok(verifies(key), "the signature verifies");
	token[0] = 'f';
	ok(!verifies(key), "not for another header");

	memset(longest, 'x', sizeof(longest));
	longest[PROV_JWT_PART_MAX] = '\0';
	ok(prov_jwt_sign(pem_of(key, NULL), longest, longest, token) &&
		   verifies(key),
	   "the longest parts");
	longest[PROV_JWT_PART_MAX] = 'x';
	longest[PROV_JWT_PART_MAX + 1] = '\0';
	ok(!prov_jwt_sign(pem_of(key, NULL), HEADER, longest, token),
	   "too long a part");
}

int
main(void)
{
	EVP_PKEY   *key = EVP_RSA_gen(2048);
	EVP_PKEY   *small = EVP_RSA_gen(1024);
	EVP_PKEY   *curve = EVP_EC_gen("P-256");
	envl_view	cut;

	test_signature(key);
	is_refused(pem_of(small, NULL), "RSA of 1024 bits");
	is_refused(pem_of(curve, NULL), "an elliptic curve");
	is_refused(pem_of(key, "secret"), "an encrypted key");
	cut = pem_of(key, NULL);
	cut.len /= 2;
	is_refused(cut, "half a key");
	is_refused(text_view("rubbish"), "rubbish");
	is_refused((envl_view) {NULL, 0}, "nothing");
	EVP_PKEY_free(key);
	EVP_PKEY_free(small);
	EVP_PKEY_free(curve);
	return done_testing();
}
