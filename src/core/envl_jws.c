/*
 * envl_jws.c
 *	  Signed tokens: taken apart, and verified.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "envl_jws.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "envl_json.h"
#include "envl_secret.h"

#define HS256_LEN 32
#define ED25519_LEN 64
#define ED25519_KEY_LEN 32

/* ---------------------------------------------------------------- */
/* Taking apart                                                     */
/* ---------------------------------------------------------------- */

/* Three parts with a dot between each; none is empty. */
static bool
split(envl_view token, envl_view *header, envl_jws *jws)
{
	const uint8_t *end = token.data + token.len;
	const uint8_t *first = memchr(token.data, '.', token.len);
	const uint8_t *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', (size_t) (end - first - 1));
	if (second == NULL)
		return false;
	*header = (envl_view) {token.data, (size_t) (first - token.data)};
	jws->payload = (envl_view) {first + 1, (size_t) (second - first - 1)};
	jws->signature = (envl_view) {second + 1, (size_t) (end - second - 1)};
	jws->signed_part = (envl_view) {token.data,
								   (size_t) (second - token.data)};
	return header->len > 0 && jws->payload.len > 0 && jws->signature.len > 0;
}

/* The member of an object with this name, which is a string. */
static bool
find_string(const envl_json_value *object, envl_view name, envl_view *string)
{
	envl_json_value value;

	if (!envl_json_find(object, name, &value) ||
		value.type != ENVL_JSON_STRING)
		return false;
	*string = value.text;
	return true;
}

static bool
parse_alg(envl_view alg, envl_jws_alg *out)
{
	if (envl_json_is(alg, ENVL_LITERAL("HS256")))
		*out = ENVL_JWS_HS256;
	else if (envl_json_is(alg, ENVL_LITERAL("EdDSA")))
		*out = ENVL_JWS_EDDSA;
	else
		return false;
	return true;
}

static bool
parse_header(envl_view base64, envl_jws *jws)
{
	envl_view	text = {jws->header, 0};
	envl_json_value header;
	envl_json_value crit;
	envl_view	alg;

	return envl_base64_decoded_max(base64.len) <= sizeof(jws->header) &&
		envl_base64_decode(ENVL_BASE64_URL, base64, jws->header,
						   &text.len) == ENVL_OK &&
		envl_json_read(text, &header) && header.type == ENVL_JSON_OBJECT &&
		!envl_json_find(&header, ENVL_LITERAL("crit"), &crit) &&
		find_string(&header, ENVL_LITERAL("alg"), &alg) &&
		parse_alg(alg, &jws->alg) &&
		find_string(&header, ENVL_LITERAL("kid"), &jws->kid);
}

envl_status
envl_jws_parse(envl_view token, envl_jws *jws)
{
	envl_view	header;

	memset(jws, 0, sizeof(*jws));
	if (token.len == 0 || token.len > ENVL_JWS_MAX ||
		!split(token, &header, jws) || !parse_header(header, jws))
		return ENVL_MALFORMED;
	return ENVL_OK;
}

/* ---------------------------------------------------------------- */
/* Verifying                                                        */
/* ---------------------------------------------------------------- */

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
envl_jws_verify(const envl_jws *jws, const envl_jwk *key)
{
	bool		is_mac = key->alg == ENVL_JWS_HS256;
	size_t		expected = is_mac ? HS256_LEN : ED25519_LEN;
	uint8_t		signature[ED25519_LEN + 2];
	size_t		len;
	envl_status status;

	if (jws->alg != key->alg ||
		envl_base64_decoded_max(jws->signature.len) != expected ||
		envl_base64_decode(ENVL_BASE64_URL, jws->signature, signature,
						   &len) != ENVL_OK)
		return ENVL_AUTHENTICATION;
	if (is_mac)
		status = verify_hs256(jws->signed_part, signature, key);
	else
		status = verify_ed25519(jws->signed_part, signature, key);
	ERR_clear_error();
	return status;
}

envl_status
envl_jws_digest(const envl_jws *jws, uint8_t *digest)
{
	if (EVP_Q_digest(NULL, "SHA256", NULL, jws->signed_part.data,
					 jws->signed_part.len, digest, NULL) == 1)
		return ENVL_OK;
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

/* ---------------------------------------------------------------- */
/* Keys                                                             */
/* ---------------------------------------------------------------- */

/* Decodes the member that holds a key. */
static envl_status
decode_key(const envl_json_value *object, envl_view name, envl_jwk *key)
{
	envl_view	base64;

	if (!find_string(object, name, &base64))
		return ENVL_MALFORMED;
	if (envl_base64_decoded_max(base64.len) > sizeof(key->bytes))
		return ENVL_LIMIT;
	return envl_base64_decode(ENVL_BASE64_URL, base64, key->bytes,
							  &key->len);
}

/* A secret: kty oct. */
static envl_status
read_secret(const envl_json_value *object, envl_jwk *key)
{
	envl_status status;

	if (key->alg != ENVL_JWS_HS256)
		return ENVL_UNSUPPORTED;
	status = decode_key(object, ENVL_LITERAL("k"), key);
	if (status == ENVL_OK && key->len < ENVL_JWK_SECRET_MIN)
		status = ENVL_LIMIT;
	return status;
}

/* A public key: kty OKP. */
static envl_status
read_public_key(const envl_json_value *object, envl_jwk *key)
{
	envl_json_value private_key;
	envl_view	curve;
	envl_status status;

	if (!find_string(object, ENVL_LITERAL("crv"), &curve))
		return ENVL_MALFORMED;
	if (key->alg != ENVL_JWS_EDDSA ||
		!envl_json_is(curve, ENVL_LITERAL("Ed25519")) ||
		envl_json_find(object, ENVL_LITERAL("d"), &private_key))
		return ENVL_UNSUPPORTED;
	status = decode_key(object, ENVL_LITERAL("x"), key);
	if (status == ENVL_OK && key->len != ED25519_KEY_LEN)
		status = ENVL_LIMIT;
	return status;
}

/* Reads a JWK; *ours is false if it is of a type that is for others. */
static envl_status
read_jwk(const envl_json_value *object, bool *ours, envl_view *kid,
		 envl_jwk *key)
{
	envl_view	type;
	envl_view	alg;
	envl_json_value use;
	bool		is_secret;

	*ours = false;
	if (object->type != ENVL_JSON_OBJECT ||
		!find_string(object, ENVL_LITERAL("kty"), &type))
		return ENVL_MALFORMED;
	is_secret = envl_json_is(type, ENVL_LITERAL("oct"));
	if (!is_secret && !envl_json_is(type, ENVL_LITERAL("OKP")))
		return ENVL_OK;
	*ours = true;
	if (!find_string(object, ENVL_LITERAL("kid"), kid) || kid->len == 0 ||
		!find_string(object, ENVL_LITERAL("alg"), &alg))
		return ENVL_MALFORMED;
	if (!parse_alg(alg, &key->alg))
		return ENVL_UNSUPPORTED;
	if (envl_json_find(object, ENVL_LITERAL("use"), &use) &&
		(use.type != ENVL_JSON_STRING ||
		 !envl_json_is(use.text, ENVL_LITERAL("sig"))))
		return ENVL_UNSUPPORTED;
	return is_secret ? read_secret(object, key) :
					   read_public_key(object, key);
}

/* Whether an element of the array before this one has the kid. */
static bool
is_taken(envl_view array, size_t place, envl_view kid)
{
	envl_reader reader = envl_reader_over(array);
	envl_json_value object;
	envl_view	other;

	for (size_t i = 1; i < place; i++)
	{
		if (envl_json_next_element(&reader, &object) &&
			find_string(&object, ENVL_LITERAL("kid"), &other) &&
			envl_json_same(other, kid))
			return true;
	}
	return false;
}

/* Goes through all keys; *found is the one with the kid. */
static envl_status
search_keys(envl_view array, envl_view kid, envl_jwk *found, size_t *place)
{
	envl_reader reader = envl_reader_over(array);
	envl_status result = ENVL_AUTHENTICATION;
	envl_status status = ENVL_OK;
	envl_json_value object;
	envl_view	name;
	envl_jwk	key = {0};
	bool		ours;

	while (status == ENVL_OK && envl_json_next_element(&reader, &object))
	{
		++*place;
		status = read_jwk(&object, &ours, &name, &key);
		if (status == ENVL_OK && ours && is_taken(array, *place, name))
			status = ENVL_MALFORMED;
		if (status == ENVL_OK && ours && envl_json_same(name, kid))
		{
			*found = key;
			result = ENVL_OK;
		}
	}
	envl_wipe(&key, sizeof(key));
	return status == ENVL_OK ? result : status;
}

envl_status
envl_jwk_find(envl_view set, envl_view kid, envl_jwk *key, size_t *place)
{
	envl_status status;
	envl_json_value object;
	envl_json_value keys;

	*place = 0;
	memset(key, 0, sizeof(*key));
	if (!envl_json_read(set, &object) || object.type != ENVL_JSON_OBJECT ||
		!envl_json_find(&object, ENVL_LITERAL("keys"), &keys) ||
		keys.type != ENVL_JSON_ARRAY)
		return ENVL_MALFORMED;
	status = search_keys(keys.text, kid, key, place);
	if (status != ENVL_OK)
		envl_wipe(key, sizeof(*key));
	return status;
}
