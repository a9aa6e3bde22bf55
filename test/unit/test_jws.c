/*
 * test_jws.c
 *	  Which signatures are taken: the examples of RFC 7515 and RFC 8037, and
 *	  what is wrong in one respect.  The tokens themselves are the server's.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "core/envl_jws.h"
#include "unit.h"

/* RFC 7515, A.1, whose header has no kid. */
#define HS256_SIGNED \
	"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt" \
	"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define HS256_SIGNATURE "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define HS256_K \
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i" \
	"PS4hcgUuTwjAzZr1Z9CAow"

/* RFC 8037, A.4 and A.2. */
#define EDDSA_SIGNED \
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define EDDSA_SIGNATURE \
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B" \
	"hVsPt9g7sVvpAr_MuM0KAg"
#define EDDSA_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

static envl_jwk
make_key(envl_jws_alg alg, const char *base64)
{
	envl_jwk	key = {.alg = alg};

	if (envl_base64_decode(ENVL_BASE64_URL, text_view(base64), key.bytes,
						   &key.len) != ENVL_OK)
		ok(false, "a key");
	return key;
}

static envl_status
verify(const char *signed_part, const char *signature, const envl_jwk *key)
{
	return envl_jws_verify(text_view(signed_part), text_view(signature), key);
}

static void
test_vectors(void)
{
	envl_jwk	secret = make_key(ENVL_JWS_HS256, HS256_K);
	envl_jwk	public_key = make_key(ENVL_JWS_EDDSA, EDDSA_X);

	is_status(verify(HS256_SIGNED, HS256_SIGNATURE, &secret), ENVL_OK,
			  "RFC 7515, A.1");
	is_status(verify(EDDSA_SIGNED, EDDSA_SIGNATURE, &public_key), ENVL_OK,
			  "RFC 8037, A.4");
	is_status(verify(HS256_SIGNED, HS256_SIGNATURE, &public_key),
			  ENVL_AUTHENTICATION, "a key of the other kind");
	is_status(verify(EDDSA_SIGNED, EDDSA_SIGNATURE, &secret),
			  ENVL_AUTHENTICATION, "and the reverse");
}

/* Each character of the signature, and the last of what is signed. */
static void
check_changes(const char *signed_part, const char *right, const envl_jwk *key)
{
	char		changed[200];
	char		signature[100];
	int			taken = 0;

	for (size_t i = 0; i < strlen(right); i++)
	{
		strcpy(signature, right);
		signature[i] = signature[i] == 'A' ? 'E' : 'A';
		taken += verify(signed_part, signature, key) == ENVL_OK ? 1 : 0;
	}
	is(taken, 0, "no other signature");
	strcpy(changed, signed_part);
	changed[strlen(changed) - 1] ^= 1;
	is_status(verify(changed, right, key), ENVL_AUTHENTICATION,
			  "nothing else is signed");
	sprintf(signature, "%s*", right);
	is_status(verify(signed_part, signature, key), ENVL_AUTHENTICATION,
			  "a character more");
	memset(signature, '*', strlen(right));
	signature[strlen(right)] = '\0';
	is_status(verify(signed_part, signature, key), ENVL_AUTHENTICATION,
			  "no base64url");
}

static void
test_changes(void)
{
	envl_jwk	secret = make_key(ENVL_JWS_HS256, HS256_K);
	envl_jwk	public_key = make_key(ENVL_JWS_EDDSA, EDDSA_X);

	check_changes(HS256_SIGNED, HS256_SIGNATURE, &secret);
	check_changes(EDDSA_SIGNED, EDDSA_SIGNATURE, &public_key);
	public_key.len = 31;
	is_status(verify("", EDDSA_SIGNATURE, &public_key), ENVL_CRYPTO_FAILED,
			  "a key that libcrypto does not take");
}

/* Two tokens with one digest are signed alike. */
static void
test_digest(void)
{
	uint8_t		digest[ENVL_JWS_DIGEST_LEN];
	uint8_t		want[ENVL_JWS_DIGEST_LEN];

	from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			 want, sizeof(want));
	is_status(envl_jws_digest(text_view("abc"), digest), ENVL_OK, "a digest");
	is_bytes((envl_view) {digest, sizeof(digest)},
			 (envl_view) {want, sizeof(want)}, "SHA-256 of what is signed");
}

int
main(void)
{
	test_vectors();
	test_changes();
	test_digest();
	return done_testing();
}
