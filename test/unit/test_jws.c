/*
 * test_jws.c
 *	  Which signed tokens and keys are taken: the examples of RFC 7515 and RFC
 *	  8037, and what is wrong in one respect.
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
#define HS256_JWK \
	"{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":\"" HS256_K "\"}"

/* RFC 8037, A.4 and A.2. */
#define EDDSA_SIGNED \
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define EDDSA_SIGNATURE \
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B" \
	"hVsPt9g7sVvpAr_MuM0KAg"
#define EDDSA_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define EDDSA_JWK \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"kid\":\"b\"," \
	"\"x\":\"" EDDSA_X "\"}"

#define SET(jwks) "{\"keys\":[" jwks "]}"

static envl_jwk
find_key(const char *kid)
{
	envl_jwk	key;
	size_t		place;

	if (envl_jwk_find(text_view(SET(HS256_JWK "," EDDSA_JWK)), text_view(kid),
					  &key, &place) != ENVL_OK)
		ok(false, "key %s", kid);
	return key;
}

static envl_jws
make_jws(envl_jws_alg alg, const char *signed_part, const char *signature)
{
	return (envl_jws) {.alg = alg,
					  .signed_part = text_view(signed_part),
					  .signature = text_view(signature)};
}

static void
test_vectors(void)
{
	envl_jwk	secret = find_key("a");
	envl_jwk	public_key = find_key("b");
	envl_jws	hs256 = make_jws(ENVL_JWS_HS256, HS256_SIGNED,
								 HS256_SIGNATURE);
	envl_jws	eddsa = make_jws(ENVL_JWS_EDDSA, EDDSA_SIGNED,
								 EDDSA_SIGNATURE);

	is_status(envl_jws_verify(&hs256, &secret), ENVL_OK, "RFC 7515, A.1");
	is_status(envl_jws_verify(&eddsa, &public_key), ENVL_OK,
			  "RFC 8037, A.4");
	is_status(envl_jws_verify(&hs256, &public_key), ENVL_AUTHENTICATION,
			  "a key of the other kind");
	is_status(envl_jws_verify(&eddsa, &secret), ENVL_AUTHENTICATION,
			  "and the reverse");

	/* The header says what the key says, and the signature is the other's. */
	hs256.alg = ENVL_JWS_EDDSA;
	is_status(envl_jws_verify(&hs256, &public_key), ENVL_AUTHENTICATION,
			  "a signature of the other length");
	eddsa.alg = ENVL_JWS_HS256;
	is_status(envl_jws_verify(&eddsa, &secret), ENVL_AUTHENTICATION,
			  "and the reverse");
}

/* Each character of the signature, and the last of what is signed. */
static void
check_changes(envl_jws_alg alg, const char *signed_part, const char *right,
			  const envl_jwk *key)
{
	char		changed[200];
	char		signature[100];
	envl_jws	jws;
	int			taken = 0;

	for (size_t i = 0; i < strlen(right); i++)
	{
		strcpy(signature, right);
		signature[i] = signature[i] == 'A' ? 'E' : 'A';
		jws = make_jws(alg, signed_part, signature);
		taken += envl_jws_verify(&jws, key) == ENVL_OK ? 1 : 0;
	}
	is(taken, 0, "no other signature");
	strcpy(changed, signed_part);
	changed[strlen(changed) - 1] ^= 1;
	jws = make_jws(alg, changed, right);
	is_status(envl_jws_verify(&jws, key), ENVL_AUTHENTICATION,
			  "nothing else is signed");
	sprintf(signature, "%s*", right);
	jws = make_jws(alg, signed_part, signature);
	is_status(envl_jws_verify(&jws, key), ENVL_AUTHENTICATION,
			  "a character more");
	memset(signature, '*', strlen(right));
	signature[strlen(right)] = '\0';
	jws = make_jws(alg, signed_part, signature);
	is_status(envl_jws_verify(&jws, key), ENVL_AUTHENTICATION,
			  "no base64url");
}

static void
test_changes(void)
{
	envl_jwk	secret = find_key("a");
	envl_jwk	public_key = find_key("b");

	check_changes(ENVL_JWS_HS256, HS256_SIGNED, HS256_SIGNATURE, &secret);
	check_changes(ENVL_JWS_EDDSA, EDDSA_SIGNED, EDDSA_SIGNATURE,
				  &public_key);
	public_key.len = 31;
	is_status(envl_jws_verify(&(envl_jws) {.alg = ENVL_JWS_EDDSA,
										  .signature =
											  text_view(EDDSA_SIGNATURE)},
							  &public_key),
			  ENVL_CRYPTO_FAILED, "a key that libcrypto does not take");
}

/* A token with this header. */
static envl_status
parse_header(const char *header, envl_jws *jws)
{
	static char token[3000];
	size_t		len = envl_base64_encoded_len(ENVL_BASE64_URL, strlen(header));

	envl_base64_encode(ENVL_BASE64_URL, text_view(header), token);
	strcpy(token + len, ".e30.AA");
	return envl_jws_parse(text_view(token), jws);
}

static void
test_headers(void)
{
	static const char *const bad[] = {
		"", "{}", "[]", "x", "{\"alg\":\"HS256\"}", "{\"kid\":\"a\"}",
		"{\"alg\":\"none\",\"kid\":\"a\"}", "{\"alg\":1,\"kid\":\"a\"}",
		"{\"alg\":\"RS256\",\"kid\":\"a\"}", "{\"alg\":\"HS256\",\"kid\":1}",
		"{\"alg\":\"HS256\",\"kid\":\"a\",\"crit\":[]}",
		"{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}"};
	char		header[ENVL_JWS_HEADER_MAX + 2];
	envl_jws	jws;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_status(parse_header(bad[i], &jws), ENVL_MALFORMED, "header %s",
				  bad[i]);
	is_status(parse_header("{\"kid\":\"\\u0061\",\"alg\":\"EdDSA\",\"x\":[]}",
						   &jws),
			  ENVL_OK, "a header");
	is(jws.alg, ENVL_JWS_EDDSA, "alg");
	is_bytes(jws.kid, text_view("\\u0061"), "kid");
	is_bytes(jws.payload, text_view("e30"), "payload");
	is_bytes(jws.signature, text_view("AA"), "signature");

	memset(header, ' ', sizeof(header));
	memcpy(header, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 25);
	header[ENVL_JWS_HEADER_MAX] = '\0';
	is_status(parse_header(header, &jws), ENVL_OK, "the longest header");
	header[ENVL_JWS_HEADER_MAX] = ' ';
	header[ENVL_JWS_HEADER_MAX + 1] = '\0';
	is_status(parse_header(header, &jws), ENVL_MALFORMED, "a longer one");
}

static void
test_parts(void)
{
	static const char *const bad[] = {
		"", ".", "..", "a", "a.b", "a.b.", "a..c", ".b.c", "*.b.c",
		"eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ=.e30.AA"};
	static char long_token[ENVL_JWS_MAX + 2];
	envl_jws	jws;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_status(envl_jws_parse(text_view(bad[i]), &jws), ENVL_MALFORMED,
				  "token \"%s\"", bad[i]);
	memset(long_token, 'A', sizeof(long_token) - 1);
	memcpy(long_token, "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.", 39);
	is_status(envl_jws_parse(text_view(long_token), &jws), ENVL_MALFORMED,
			  "a token that is too long");
	long_token[ENVL_JWS_MAX] = '\0';
	is_status(envl_jws_parse(text_view(long_token), &jws), ENVL_OK,
			  "the longest");
}

static void
check_set(const char *set, const char *kid, envl_status want, int want_place)
{
	envl_jwk	key;
	size_t		place = 99;

	memset(&key, 0xEE, sizeof(key));
	is_status(envl_jwk_find(text_view(set), text_view(kid), &key, &place),
			  want, "%s", set);
	if (want != ENVL_OK)
		ok(all_zero(&key, sizeof(key)), "no key is left");
	if (want_place >= 0)
		is((long long) place, want_place, "the place");
}

#define OCT(rest) "{\"kty\":\"oct\"," rest "}"
#define OKP(rest) "{\"kty\":\"OKP\"," rest "}"
#define A32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"	/* 32 bytes */

static void
test_sets(void)
{
	check_set("", "a", ENVL_MALFORMED, 0);
	check_set("[]", "a", ENVL_MALFORMED, 0);
	check_set("{}", "a", ENVL_MALFORMED, 0);
	check_set("{\"keys\":{}}", "a", ENVL_MALFORMED, 0);
	check_set(SET(""), "a", ENVL_AUTHENTICATION, -1);
	check_set(SET("{\"kty\":\"RSA\",\"kid\":\"a\"}"), "a",
			  ENVL_AUTHENTICATION, -1);
	check_set(SET(EDDSA_JWK ",{\"kty\":\"EC\"}," HS256_JWK), "a", ENVL_OK, -1);
	check_set(SET(EDDSA_JWK "," HS256_JWK), "\\u0061", ENVL_OK, -1);
	check_set(SET(EDDSA_JWK "," HS256_JWK), "c", ENVL_AUTHENTICATION, -1);
	check_set(SET(HS256_JWK "," EDDSA_JWK ",1"), "a", ENVL_MALFORMED, 3);
	check_set(SET(HS256_JWK ",{\"kid\":\"x\"}"), "a", ENVL_MALFORMED, 2);
	check_set(SET(HS256_JWK "," HS256_JWK), "b", ENVL_MALFORMED, 2);
	check_set(SET("{\"kty\":\"RSA\",\"kid\":\"a\"}," HS256_JWK), "a",
			  ENVL_MALFORMED, 2);
}

static void
test_secrets(void)
{
	check_set(SET(OCT("\"alg\":\"HS256\",\"k\":\"" A32 "\"")), "a",
			  ENVL_MALFORMED, 1);
	check_set(SET(OCT("\"kid\":\"\",\"alg\":\"HS256\",\"k\":\"" A32 "\"")),
			  "", ENVL_MALFORMED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"k\":\"" A32 "\"")), "a",
			  ENVL_MALFORMED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\"")), "a",
			  ENVL_MALFORMED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"*" A32
					  "\"")),
			  "a", ENVL_MALFORMED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS512\",\"k\":\"" A32 "\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"EdDSA\",\"k\":\"" A32 "\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"" A32
					  "\",\"use\":\"enc\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"" A32
					  "\",\"use\":1")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"" A32
					  "\",\"use\":\"sig\"")),
			  "a", ENVL_OK, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"AAAA\"")), "a",
			  ENVL_LIMIT, 1);
	check_set(SET(OCT("\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"" A32 A32 A32
						  A32 A32 A32 A32 A32 A32 "\"")),
			  "a", ENVL_LIMIT, 1);
}

static void
test_public_keys(void)
{
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"EdDSA\",\"x\":\"" A32 "\"")),
			  "a", ENVL_MALFORMED, 1);
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"EdDSA\",\"crv\":\"Ed448\","
					  "\"x\":\"" A32 "\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"HS256\",\"crv\":\"Ed25519\","
					  "\"x\":\"" A32 "\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\","
					  "\"x\":\"" A32 "\",\"d\":\"" A32 "\"")),
			  "a", ENVL_UNSUPPORTED, 1);
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\","
					  "\"x\":\"AAAA\"")),
			  "a", ENVL_LIMIT, 1);
	check_set(SET(OKP("\"kid\":\"a\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\"")),
			  "a", ENVL_MALFORMED, 1);
}

/* Two tokens with one digest are signed alike. */
static void
test_digest(void)
{
	envl_jws	jws = make_jws(ENVL_JWS_HS256, "abc", "AA");
	uint8_t		digest[ENVL_JWS_DIGEST_LEN];
	uint8_t		want[ENVL_JWS_DIGEST_LEN];

	from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			 want, sizeof(want));
	is_status(envl_jws_digest(&jws, digest), ENVL_OK, "a digest");
	is_bytes((envl_view) {digest, sizeof(digest)},
			 (envl_view) {want, sizeof(want)}, "SHA-256 of what is signed");
}

int
main(void)
{
	test_vectors();
	test_changes();
	test_headers();
	test_parts();
	test_sets();
	test_secrets();
	test_public_keys();
	test_digest();
	return done_testing();
}
