/*
 * pge_token.c
 *	  The parts, the key and the claims of a session's token.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <ctype.h>

#include "context/pge_token.h"
#include "core/envl_secret.h"

/* Digits of a time, or of an integer within +-(2^53 - 1). */
#define DIGITS_MAX 16

/* What can be wrong with a key. */
#define NOT_A_KEY \
	"A key is not a JWK with kty, alg, a kid of its own and a key."
#define NOT_A_LENGTH "A key is too short or too long."
#define NOT_A_USE \
	"A key is a private one, or is not for HS256 or Ed25519 signatures."

/* ---------------------------------------------------------------- */
/* Parts                                                            */
/* ---------------------------------------------------------------- */

/* Splits at two dots into three parts, none of them empty. */
static bool
split_token(envl_view text, envl_view *header, PgeToken *token)
{
	const uint8 *end = text.data + text.len;
	const uint8 *first = memchr(text.data, '.', text.len);
	const uint8 *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', (size_t) (end - first - 1));
	if (second == NULL)
		return false;
	*header = (envl_view) {text.data, (size_t) (first - text.data)};
	token->payload = (envl_view) {first + 1, (size_t) (second - first - 1)};
	token->signature = (envl_view) {second + 1, (size_t) (end - second - 1)};
	token->signed_part = (envl_view) {text.data,
									 (size_t) (second - text.data)};
	return header->len > 0 && token->payload.len > 0 &&
		token->signature.len > 0;
}

/* Reads a part of a token; NULL if it is not JSON in base64url. */
static const PgeJson *
read_part(envl_view base64)
{
	uint8	   *text = palloc(envl_base64_decoded_max(base64.len) + 1);
	size_t		len;

	if (envl_base64_decode(ENVL_BASE64_URL, base64, text, &len) != ENVL_OK)
		return NULL;
	return pge_json_read(text, len);
}

static bool
parse_alg(envl_view alg, envl_jws_alg *out)
{
	*out = pge_json_is(alg, "HS256") ? ENVL_JWS_HS256 : ENVL_JWS_EDDSA;
	return *out == ENVL_JWS_HS256 || pge_json_is(alg, "EdDSA");
}

bool
pge_token_parse(envl_view text, PgeToken *token)
{
	const PgeJson *header;
	envl_view	base64;
	envl_view	alg;

	if (text.len > PGE_TOKEN_MAX || !split_token(text, &base64, token) ||
		envl_base64_decoded_max(base64.len) > PGE_TOKEN_HEADER_MAX)
		return false;
	header = read_part(base64);
	return header != NULL && pge_json_find(header, "crit") == NULL &&
		pge_json_find_string(header, "alg", &alg) &&
		parse_alg(alg, &token->alg) &&
		pge_json_find_string(header, "kid", &token->kid);
}

/* ---------------------------------------------------------------- */
/* Keys                                                             */
/* ---------------------------------------------------------------- */

/* Decodes the member that holds a key of min or max bytes. */
static const char *
decode_key(const PgeJson *object, const char *name, size_t min, size_t max,
		   envl_jwk *key)
{
	envl_view	base64;

	if (!pge_json_find_string(object, name, &base64))
		return NOT_A_KEY;
	if (envl_base64_decoded_max(base64.len) > sizeof(key->bytes))
		return NOT_A_LENGTH;
	if (envl_base64_decode(ENVL_BASE64_URL, base64, key->bytes, &key->len) !=
		ENVL_OK)
		return NOT_A_KEY;
	return key->len < min || key->len > max ? NOT_A_LENGTH : NULL;
}

/* A public key: kty OKP. */
static const char *
read_public_key(const PgeJson *object, envl_jwk *key)
{
	envl_view	curve;

	if (!pge_json_find_string(object, "crv", &curve))
		return NOT_A_KEY;
	if (key->alg != ENVL_JWS_EDDSA || !pge_json_is(curve, "Ed25519") ||
		pge_json_find(object, "d") != NULL)
		return NOT_A_USE;
	return decode_key(object, "x", ENVL_JWK_PUBLIC_LEN, ENVL_JWK_PUBLIC_LEN,
					  key);
}

/* Reads a JWK; kid->len is 0 if we do not use its type. */
static const char *
read_key(const PgeJson *object, envl_view *kid, envl_jwk *key)
{
	const PgeJson *use = pge_json_find(object, "use");
	envl_view	type;
	envl_view	alg;
	bool		is_secret;

	kid->len = 0;
	if (!pge_json_find_string(object, "kty", &type))
		return NOT_A_KEY;
	is_secret = pge_json_is(type, "oct");
	if (!is_secret && !pge_json_is(type, "OKP"))
		return NULL;
	if (!pge_json_find_string(object, "kid", kid) || kid->len == 0 ||
		!pge_json_find_string(object, "alg", &alg))
		return NOT_A_KEY;
	if (!parse_alg(alg, &key->alg) ||
		(use != NULL &&
		 (use->type != JSON_TOKEN_STRING || !pge_json_is(use->text, "sig"))))
		return NOT_A_USE;
	if (!is_secret)
		return read_public_key(object, key);
	if (key->alg != ENVL_JWS_HS256)
		return NOT_A_USE;
	return decode_key(object, "k", ENVL_JWK_SECRET_MIN, ENVL_JWK_SECRET_MAX,
					  key);
}

/* Whether an earlier key of the set has the kid. */
static bool
is_taken(const PgeJson *key, const PgeJson *end, envl_view kid)
{
	envl_view	other;

	for (; key != end; key = key->next)
	{
		if (pge_json_find_string(key, "kid", &other) &&
			envl_view_equal(other, kid))
			return true;
	}
	return false;
}

/* Finds the key that a token names; key->len stays 0 if there is none. */
static const char *
find_key(const PgeToken *token, const PgeJson *keys, envl_jwk *key,
		 int *place)
{
	const char *problem = NULL;
	envl_jwk	candidate;
	envl_view	kid;

	for (const PgeJson *object = keys->first; object != NULL && !problem;
		 object = object->next)
	{
		++*place;
		problem = read_key(object, &kid, &candidate);
		if (problem != NULL || kid.len == 0)
			continue;
		if (is_taken(keys->first, object, kid))
			problem = NOT_A_KEY;
		else if (envl_view_equal(kid, token->kid))
			*key = candidate;
	}
	envl_wipe(&candidate, sizeof(candidate));
	return problem;
}

void
pge_token_verify(const PgeToken *token, uint8 *set, size_t set_len,
				 PgeVerdict *verdict)
{
	const PgeJson *root = pge_json_read(set, set_len);
	const PgeJson *keys = root == NULL ? NULL : pge_json_find(root, "keys");
	envl_jwk	key = {.len = 0};

	*verdict = (PgeVerdict) {ENVL_MALFORMED, "The key file is not a JWK Set.",
							0};
	if (keys == NULL || keys->type != JSON_TOKEN_ARRAY_START)
		return;
	verdict->reason = find_key(token, keys, &key, &verdict->place);
	if (verdict->reason == NULL)
	{
		verdict->status = ENVL_AUTHENTICATION;
		verdict->reason = key.len == 0 ?
			"No key of the file has its kid." :
			"Its signature is not that of its key, or by another algorithm.";
		if (key.len > 0 && key.alg == token->alg)
			verdict->status = envl_jws_verify(token->signed_part,
											  token->signature, &key);
	}
	envl_wipe(&key, sizeof(key));
}

/* ---------------------------------------------------------------- */
/* Claims                                                           */
/* ---------------------------------------------------------------- */

/*
 * Reads an integer in plain digits; a time has no sign and may have a
 * fraction.
 */
static bool
read_integer(const PgeJson *value, bool is_time, int64 *out)
{
	const char *text = (const char *) value->text.data;
	size_t		len = value->text.len;
	size_t		end = 0;

	if (value->type != JSON_TOKEN_NUMBER)
		return false;
	*out = 0;
	for (end = text[0] == '-'; end < len && isdigit((uint8) text[end]); end++)
	{
		if (end == DIGITS_MAX + (text[0] == '-'))
			return false;
		*out = *out * 10 + (text[end] - '0');
	}
	if (is_time)
		return text[0] != '-' && memchr(text, 'e', len) == NULL &&
			memchr(text, 'E', len) == NULL;
	if (text[0] == '-')
		*out = -*out;
	return end == len;
}

/* Reads a time; 0 if it is absent. */
static bool
read_time(const PgeJson *payload, const char *name, int64 *out)
{
	const PgeJson *value = pge_json_find(payload, name);

	*out = 0;
	return value == NULL || read_integer(value, true, out);
}

static bool
is_text(envl_view text)
{
	return text.len > 0 && memchr(text.data, '\0', text.len) == NULL;
}

static bool
read_member(const PgeJson *value, envl_member *member)
{
	member->name = value->name;
	switch (value->type)
	{
		case JSON_TOKEN_STRING:
			member->type = ENVL_MEMBER_STRING;
			member->string = value->text;
			return is_text(value->name) && is_text(value->text);
		case JSON_TOKEN_NUMBER:
			member->type = ENVL_MEMBER_INTEGER;
			return is_text(value->name) &&
				read_integer(value, false, &member->integer);
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			member->type = ENVL_MEMBER_BOOLEAN;
			member->boolean = value->type == JSON_TOKEN_TRUE;
			return is_text(value->name);
		default:
			return false;
	}
}

static bool
read_context(const PgeJson *context, PgeClaims *claims)
{
	if (context == NULL || context->type != JSON_TOKEN_OBJECT_START ||
		context->count == 0 || context->count > PGE_CLAIMS_MEMBERS_MAX)
		return false;
	for (const PgeJson *value = context->first; value; value = value->next)
	{
		if (!read_member(value, &claims->members[claims->member_count++]))
			return false;
	}
	return true;
}

/* Whether it is a string or an array of strings. */
static bool
is_audience(const PgeJson *audience)
{
	if (audience == NULL || audience->type != JSON_TOKEN_ARRAY_START)
		return audience != NULL && audience->type == JSON_TOKEN_STRING;
	for (const PgeJson *name = audience->first; name; name = name->next)
	{
		if (name->type != JSON_TOKEN_STRING)
			return false;
	}
	return true;
}

bool
pge_token_claims(const PgeToken *token, PgeClaims *claims)
{
	const PgeJson *payload = read_part(token->payload);
	const PgeJson *scope;

	memset(claims, 0, sizeof(*claims));
	if (payload == NULL)
		return false;
	scope = pge_json_find(payload, "ctx_scope");
	claims->for_session = scope != NULL;
	claims->is_issued = pge_json_find(payload, "iat") != NULL;
	claims->audience = pge_json_find(payload, "aud");
	return pge_json_find(payload, "exp") != NULL &&
		read_time(payload, "exp", &claims->expires) &&
		read_time(payload, "nbf", &claims->not_before) &&
		read_time(payload, "iat", &claims->issued) &&
		is_audience(claims->audience) &&
		(scope == NULL ||
		 (scope->type == JSON_TOKEN_STRING &&
		  pge_json_is(scope->text, "session"))) &&
		read_context(pge_json_find(payload, "ctx"), claims);
}

bool
pge_claims_are_for(const PgeClaims *claims, envl_view audience)
{
	if (claims->audience->type == JSON_TOKEN_STRING)
		return envl_view_equal(claims->audience->text, audience);
	for (const PgeJson *name = claims->audience->first; name;
		 name = name->next)
	{
		if (envl_view_equal(name->text, audience))
			return true;
	}
	return false;
}
