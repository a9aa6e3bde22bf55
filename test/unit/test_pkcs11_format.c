/*
 * test_pkcs11_format.c
 *	  What a PKCS#11 token seals: its bytes, what is refused of them, what is
 *	  authenticated, RSA-OAEP outside of the token, and what errors mean.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "providers/pkcs11/prov_pkcs11_error.h"
#include "providers/pkcs11/prov_pkcs11_rsa.h"
#include "scratch.h"
#include "unit.h"

static prov_pkcs11_blob blob;
static prov_sealed sealed;

/* The lengths that a mechanism has: after the id, to the end. */
typedef struct shape
{
	prov_pkcs11_mechanism mechanism;
	size_t		shortest;
	size_t		longest;
} shape;

static const shape shapes[] = {
	{PROV_PKCS11_AES_GCM, 76, 76},
	{PROV_PKCS11_AES_KEY_WRAP, 56, 56},
	{PROV_PKCS11_AES_KEY_WRAP_PAD, 56, 56},
	{PROV_PKCS11_RSA_OAEP_SHA256, 256, 1024},
	{PROV_PKCS11_RSA_OAEP_SHA1, 256, 1024},
};

static bool
decode(const uint8_t *bytes, size_t len)
{
	memset(&blob, 0xFF, sizeof(blob));
	return prov_pkcs11_decode((envl_view) {bytes, len}, &blob);
}

/* Every length of every mechanism, with ids of some lengths. */
static void
test_lengths(void)
{
	static const size_t ids[] = {0, 1, 20, 64};
	uint8_t		bytes[3 + 64 + 1100];

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		for (size_t j = 0; j < 4; j++)
		{
			size_t		bad = 0;
			size_t		head = 3 + ids[j];

			memset(bytes, 0xA5, sizeof(bytes));
			bytes[0] = 1;
			bytes[1] = (uint8_t) shapes[i].mechanism;
			bytes[2] = (uint8_t) ids[j];
			for (size_t len = 0; len <= sizeof(bytes); len++)
			{
				bool		want = len >= head + shapes[i].shortest &&
					len <= head + shapes[i].longest;
				bool		got = decode(bytes, len);

				if (got != want || (!got && !all_zero(&blob, sizeof(blob))))
				{
					bad++;
					continue;
				}
				if (!got)
					continue;
				prov_pkcs11_encode(&blob, &sealed);
				if (sealed.len != len ||
					memcmp(sealed.bytes, bytes, len) != 0)
					bad++;
			}
			is((long long) bad, 0, "%s, an id of %zu bytes: its lengths",
			   prov_pkcs11_mechanism_name(shapes[i].mechanism), ids[j]);
		}
	}
}

static void
test_refused(void)
{
	uint8_t		bytes[3 + 255 + 76] = {1, 1, 0};

	ok(decode(bytes, 79), "a seal");
	for (int format = 0; format < 256; format++)
	{
		bytes[0] = (uint8_t) format;
		if (decode(bytes, 79) != (format == 1))
			ok(false, "format %d", format);
	}
	bytes[0] = 1;
	for (int mechanism = 0; mechanism < 256; mechanism++)
	{
		bytes[1] = (uint8_t) mechanism;
		if (decode(bytes, 79) != (mechanism == 1))
			ok(false, "mechanism %d with the length of another", mechanism);
	}
	bytes[1] = 1;
	for (int id_len = 0; id_len < 256; id_len++)
	{
		bytes[2] = (uint8_t) id_len;
		if (decode(bytes, 79 + (size_t) id_len) != (id_len <= 64))
			ok(false, "an id of %d bytes", id_len);
		if (id_len > 0 && decode(bytes, 79))
			ok(false, "an id of %d bytes that is not there", id_len);
	}
	ok(!decode(bytes, 0), "nothing");
}

/* The bytes that docs/providers.md promises. */
static void
test_bytes(void)
{
	uint8_t		want[256];
	uint8_t		aad[PROV_PKCS11_AAD_MAX];
	size_t		aad_len;
	size_t		len;

	memset(&blob, 0, sizeof(blob));
	blob.mechanism = PROV_PKCS11_AES_GCM;
	blob.id.len = from_hex("01ff", blob.id.bytes, sizeof(blob.id.bytes));
	from_hex("000102030405060708090a0b", blob.iv, sizeof(blob.iv));
	memset(blob.ciphertext, 0xCC, 64);
	blob.ciphertext_len = 64;
	prov_pkcs11_encode(&blob, &sealed);
	len = from_hex("01010201ff000102030405060708090a0b", want, sizeof(want));
	is((long long) sealed.len, (long long) len + 64, "the length");
	is_bytes((envl_view) {sealed.bytes, len}, (envl_view) {want, len},
			 "format, mechanism, id and IV");

	len = from_hex("7067656e76656c6f70652f3120706b6373313100"	/* label */
				   "01010201ff"
				   "3031323334353637383961622f3635353335",	/* key */
				   want, sizeof(want));
	aad_len = prov_pkcs11_aad(&blob, text_view("0123456789ab/65535"), aad);
	is_bytes((envl_view) {aad, aad_len}, (envl_view) {want, len},
			 "what is authenticated");

	/* The longest of both fits. */
	blob.id.len = 64;
	is((long long) prov_pkcs11_aad(&blob, text_view("0123456789ab/65535"),
								   aad),
	   20 + 3 + 64 + 18, "the longest");
}

static void
test_names(void)
{
	for (int i = 1; i < PROV_PKCS11_MECHANISMS; i++)
	{
		const char *name = prov_pkcs11_mechanism_name(i);

		is(prov_pkcs11_mechanism_parse(text_view(name)), i, "%s", name);
	}
	is(prov_pkcs11_mechanism_parse(text_view("")), 0, "no name");
	is(prov_pkcs11_mechanism_parse(text_view("aes-gcm ")), 0, "no such name");
}

static void
test_ids(void)
{
	prov_pkcs11_id a = {.len = 1, .bytes = {1}};
	prov_pkcs11_id b = {.len = 2, .bytes = {1, 0}};

	ok(prov_pkcs11_id_equal(&a, &a), "an id is itself");
	ok(!prov_pkcs11_id_equal(&a, &b), "a zero more is another id");
	b.len = 1;
	ok(prov_pkcs11_id_equal(&a, &b), "what is behind an id does not count");
	b.bytes[0] = 2;
	ok(!prov_pkcs11_id_equal(&a, &b), "another byte");
}

/* ---------------------------------------------------------------- */
/* RSA                                                              */
/* ---------------------------------------------------------------- */

static size_t
number_of(EVP_PKEY *key, const char *name, uint8_t *out)
{
	BIGNUM	   *number = NULL;
	size_t		len = 0;

	if (EVP_PKEY_get_bn_param(key, name, &number) == 1)
		len = (size_t) BN_bn2bin(number, out);
	BN_free(number);
	return len;
}

/* Opens what was sealed, with one hash for both of its uses. */
static bool
opens(EVP_PKEY *key, const EVP_MD *hash, const uint8_t *plaintext)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	uint8_t		opened[PROV_PKCS11_RSA_MAX];
	size_t		len = sizeof(opened);
	bool		same;

	same = EVP_PKEY_decrypt_init(context) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_oaep_md(context, hash) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash) == 1 &&
		EVP_PKEY_decrypt(context, opened, &len, blob.ciphertext,
						 blob.ciphertext_len) == 1 &&
		len == ENVL_SEALED_PLAINTEXT_LEN &&
		memcmp(opened, plaintext, len) == 0;
	EVP_PKEY_CTX_free(context);
	return same;
}

static void
test_rsa(void)
{
	EVP_PKEY   *key = EVP_RSA_gen(2048);
	EVP_PKEY   *small = EVP_RSA_gen(1024);
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN] = {1, 2, 3};
	uint8_t		modulus[PROV_PKCS11_RSA_MAX + 1] = {0};
	uint8_t		exponent[8];
	envl_view	n = {modulus + 1, 0};
	envl_view	e = {exponent, 0};

	n.len = number_of(key, OSSL_PKEY_PARAM_RSA_N, modulus + 1);
	e.len = number_of(key, OSSL_PKEY_PARAM_RSA_E, exponent);
	memset(&blob, 0, sizeof(blob));
	blob.mechanism = PROV_PKCS11_RSA_OAEP_SHA256;
	ok(prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "RSA-OAEP seals");
	is((long long) blob.ciphertext_len, 256, "into 256 bytes");
	ok(opens(key, EVP_sha256(), plaintext), "with SHA-256");
	blob.mechanism = PROV_PKCS11_RSA_OAEP_SHA1;
	ok(prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "it seals again");
	ok(opens(key, EVP_sha1(), plaintext), "with SHA-1 when told to");

	/* Modules put a zero in front, or do not. */
	n.data--;
	n.len++;
	ok(prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "a zero in front");
	ok(opens(key, EVP_sha1(), plaintext), "is the same key");

	n.len = 0;
	ok(!prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "no modulus");
	n.data = modulus;
	n.len = number_of(small, OSSL_PKEY_PARAM_RSA_N, modulus);
	ok(!prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "1024 bits");
	n.len = sizeof(modulus) + 1;
	ok(!prov_pkcs11_rsa_seal(n, e, plaintext, &blob), "too many bits");
	EVP_PKEY_free(key);
	EVP_PKEY_free(small);
}

/* ---------------------------------------------------------------- */
/* Errors                                                           */
/* ---------------------------------------------------------------- */

static void
test_errors(void)
{
	static const struct
	{
		CK_RV		error;
		prov_category category;
		prov_pkcs11_cure cure;
	} cases[] = {
		{CKR_PIN_INCORRECT, PROV_DENIED, PROV_PKCS11_NO_CURE},
		{CKR_PIN_LOCKED, PROV_DENIED, PROV_PKCS11_NO_CURE},
		{CKR_KEY_FUNCTION_NOT_PERMITTED, PROV_DENIED, PROV_PKCS11_NO_CURE},
		{CKR_DEVICE_REMOVED, PROV_UNAVAILABLE, PROV_PKCS11_REOPEN},
		{CKR_SESSION_HANDLE_INVALID, PROV_UNAVAILABLE, PROV_PKCS11_REOPEN},
		{CKR_TOKEN_NOT_PRESENT, PROV_UNAVAILABLE, PROV_PKCS11_REOPEN},
		{CKR_USER_NOT_LOGGED_IN, PROV_UNAVAILABLE, PROV_PKCS11_REOPEN},
		{CKR_OBJECT_HANDLE_INVALID, PROV_NOT_FOUND, PROV_PKCS11_REOPEN},
		{CKR_ENCRYPTED_DATA_INVALID, PROV_INTEGRITY, PROV_PKCS11_NO_CURE},
		{CKR_WRAPPED_KEY_INVALID, PROV_INTEGRITY, PROV_PKCS11_NO_CURE},
		{CKR_MECHANISM_INVALID, PROV_MISCONFIGURED, PROV_PKCS11_NO_CURE},
		{CKR_GENERAL_ERROR, PROV_UNAVAILABLE, PROV_PKCS11_PROBE},
		{CKR_FUNCTION_FAILED, PROV_UNAVAILABLE, PROV_PKCS11_PROBE},
		{CKR_VENDOR_DEFINED | 7, PROV_UNAVAILABLE, PROV_PKCS11_PROBE},
		{0x123456, PROV_UNAVAILABLE, PROV_PKCS11_PROBE},
	};
	prov_failure failure;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		name[32];

		snprintf(name, sizeof(name), "error 0x%lx", cases[i].error);
		is_category(prov_pkcs11_error_category(cases[i].error),
					cases[i].category, name);
		is(prov_pkcs11_error_cure(cases[i].error), cases[i].cure,
		   "%s: its cure", name);
	}
	is(prov_pkcs11_error_cure(CKR_OK), PROV_PKCS11_NO_CURE,
	   "nothing to cure");

	is_category(prov_pkcs11_fail(&failure, "C_Login", CKR_PIN_INCORRECT),
				PROV_DENIED, "a failure");
	is_text(failure.detail, "C_Login returned CKR_PIN_INCORRECT (0xa0).",
			"its detail");
	prov_pkcs11_fail(&failure, "C_Login", CKR_VENDOR_DEFINED | 7);
	is_text(failure.detail, "C_Login returned an error (0x80000007).",
			"a vendor's error");
}

int
main(void)
{
	test_lengths();
	test_refused();
	test_bytes();
	test_names();
	test_ids();
	test_rsa();
	test_errors();
	return done_testing();
}
