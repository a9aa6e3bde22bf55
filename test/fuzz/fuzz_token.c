/*
 * fuzz_token.c
 *	  Any bytes as JSON, as a session's token, as its claims, and as a set of
 *	  keys with a kid to look for, in fields with a NUL between them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_claims.h"
#include "core/envl_string.h"
#include "fuzz.h"

static void walk(const envl_json_value *value);

/* A string stands for valid UTF-8, no longer than it is spelled. */
static void
check_string(envl_view string)
{
	uint8_t    *out = fuzz_alloc(string.len);
	envl_view	decoded = {out, envl_json_decode(string, out)};

	CHECK(decoded.len <= string.len);
	CHECK(envl_utf8_valid(decoded));
	CHECK(envl_json_is(string, decoded));
	CHECK(envl_json_same(string, string));
	free(out);
}

static void
walk_object(const envl_json_value *object)
{
	envl_reader reader = envl_reader_over(object->text);
	envl_json_value value;
	envl_view	name;
	int			count = 0;

	while (envl_json_next_member(&reader, &name, &value))
	{
		envl_json_value found;

		check_string(name);
		CHECK(++count <= ENVL_JSON_MEMBERS_MAX);
		if (memchr(name.data, '\\', name.len) == NULL)
		{
			CHECK(envl_json_find(object, name, &found));
			CHECK(found.text.data == value.text.data);
		}
		walk(&value);
	}
	CHECK(count > 0 ||
		  memchr(object->text.data, '"', object->text.len) == NULL);
}

/* Whatever was read is walked to its end. */
static void
walk(const envl_json_value *value)
{
	envl_reader reader = envl_reader_over(value->text);
	envl_json_value element;

	if (value->type == ENVL_JSON_STRING)
		check_string(value->text);
	if (value->type == ENVL_JSON_OBJECT)
		walk_object(value);
	if (value->type != ENVL_JSON_ARRAY)
		return;
	while (envl_json_next_element(&reader, &element))
		walk(&element);
	while (reader.next < reader.end && *reader.next <= ' ')
		reader.next++;
	CHECK(envl_reader_left(&reader) == 0);
}

static void
try_claims(envl_view payload)
{
	envl_claims *claims = fuzz_alloc(sizeof(*claims));
	envl_spelled spelled[ENVL_CLAIMS_MEMBERS_MAX];
	uint8_t    *canonical = fuzz_alloc(ENVL_CONTEXT_MAX);
	size_t		len;

	if (envl_claims_read(payload, claims) == ENVL_OK)
	{
		CHECK(claims->expires >= 0 && claims->not_before >= 0);
		CHECK(claims->member_count > 0);
		(void) envl_claims_are_for(claims, ENVL_LITERAL("app"));
		if (envl_context_encode(claims->members, claims->member_count,
								canonical, &len, spelled) == ENVL_OK)
			CHECK(envl_context_validate((envl_view) {canonical, len}) ==
				  ENVL_OK);
	}
	free(canonical);
	free(claims);
}

/* No token that was not signed is taken. */
static void
try_token(envl_view token, envl_view set, envl_view kid)
{
	envl_jws   *jws = fuzz_alloc(sizeof(*jws));
	envl_jwk	key;
	size_t		place;
	envl_status status;
	envl_json_value string;

	if (envl_jws_parse(token, jws) == ENVL_OK)
	{
		check_string(jws->kid);
		if (envl_jwk_find(set, jws->kid, &key, &place) == ENVL_OK)
		{
			status = envl_jws_verify(jws, &key);
			CHECK(status == ENVL_OK || status == ENVL_AUTHENTICATION);
		}
	}
	if (envl_json_read(kid, &string) && string.type == ENVL_JSON_STRING &&
		envl_jwk_find(set, string.text, &key, &place) == ENVL_OK)
	{
		CHECK(place > 0 && key.len >= 32 && key.len <= ENVL_JWK_SECRET_MAX);
		CHECK(key.alg == ENVL_JWS_HS256 || key.len == 32);
	}
	free(jws);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};
	envl_reader reader = envl_reader_over(input);
	envl_view	token = fuzz_next_field(&reader, 0);
	envl_view	set = fuzz_next_field(&reader, 0);
	envl_view	kid = fuzz_next_field(&reader, 0);
	envl_json_value value;

	if (envl_json_read(input, &value))
		walk(&value);
	try_claims(input);
	try_token(token, set, kid);
	return 0;
}
