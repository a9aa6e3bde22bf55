/*
 * envl_claims.c
 *	  What a session's token claims.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "envl_claims.h"

#include <string.h>

/* Digits of a time, or of an integer within +-(2^53 - 1). */
#define DIGITS_MAX 16

/* The digits that a reader stands at; false if there are too many, or none. */
static bool
read_digits(envl_reader *reader, int64_t *out)
{
	const uint8_t *start = reader->next;

	*out = 0;
	while (reader->next < reader->end && *reader->next >= '0' &&
		   *reader->next <= '9')
	{
		if (reader->next - start == DIGITS_MAX)
			return false;
		*out = *out * 10 + (*reader->next - '0');
		reader->next++;
	}
	return reader->next > start;
}

/* A time: digits, and perhaps a fraction; no sign, no exponent. */
static bool
read_time(const envl_json_value *value, int64_t *out)
{
	envl_reader reader = envl_reader_over(value->text);

	if (value->type != ENVL_JSON_NUMBER || !read_digits(&reader, out))
		return false;
	for (; reader.next < reader.end; reader.next++)
	{
		if (*reader.next == 'e' || *reader.next == 'E')
			return false;
	}
	return true;
}

/* The same of a claim that may be absent. */
static bool
read_optional_time(const envl_json_value *object, envl_view name,
				   int64_t *out, bool *present)
{
	envl_json_value value;

	*out = 0;
	*present = envl_json_find(object, name, &value);
	return !*present || read_time(&value, out);
}

/* An integer, spelled as one. */
static bool
read_integer(envl_view text, int64_t *out)
{
	envl_reader reader = envl_reader_over(text);
	bool		negative = reader.next < reader.end && *reader.next == '-';

	if (negative)
		reader.next++;
	if (!read_digits(&reader, out) || reader.next < reader.end)
		return false;
	if (negative)
		*out = -*out;
	return true;
}

/* Appends what a string stands for to the claims' text. */
static bool
keep_string(envl_claims *claims, size_t *used, envl_view string,
			envl_view *out)
{
	out->data = claims->text + *used;
	out->len = envl_json_decode(string, claims->text + *used);
	*used += out->len;
	return out->len > 0 && memchr(out->data, '\0', out->len) == NULL;
}

static bool
read_member_value(envl_claims *claims, size_t *used,
				  const envl_json_value *value, envl_member *member)
{
	switch (value->type)
	{
		case ENVL_JSON_STRING:
			member->type = ENVL_MEMBER_STRING;
			return keep_string(claims, used, value->text, &member->string);
		case ENVL_JSON_NUMBER:
			member->type = ENVL_MEMBER_INTEGER;
			return read_integer(value->text, &member->integer);
		case ENVL_JSON_TRUE:
		case ENVL_JSON_FALSE:
			member->type = ENVL_MEMBER_BOOLEAN;
			member->boolean = value->type == ENVL_JSON_TRUE;
			return true;
		default:
			return false;
	}
}

/* The members of ctx: what they refer to is no longer than the payload. */
static bool
read_context(const envl_json_value *context, envl_claims *claims)
{
	envl_reader reader = envl_reader_over(context->text);
	envl_json_value value;
	envl_view	name;
	size_t		used = 0;

	while (envl_json_next_member(&reader, &name, &value))
	{
		envl_member *member = &claims->members[claims->member_count];

		if (claims->member_count == ENVL_CLAIMS_MEMBERS_MAX ||
			!keep_string(claims, &used, name, &member->name) ||
			!read_member_value(claims, &used, &value, member))
			return false;
		claims->member_count++;
	}
	return claims->member_count > 0;
}

/* A string, or an array of nothing else. */
static bool
read_audience(const envl_json_value *object, envl_json_value *audience)
{
	envl_json_value element;
	envl_reader reader;

	if (!envl_json_find(object, ENVL_LITERAL("aud"), audience))
		return false;
	if (audience->type != ENVL_JSON_ARRAY)
		return audience->type == ENVL_JSON_STRING;
	reader = envl_reader_over(audience->text);
	while (envl_json_next_element(&reader, &element))
	{
		if (element.type != ENVL_JSON_STRING)
			return false;
	}
	return true;
}

static bool
read_scope(const envl_json_value *object, bool *for_session)
{
	envl_json_value value;

	*for_session = envl_json_find(object, ENVL_LITERAL("ctx_scope"), &value);
	return !*for_session ||
		(value.type == ENVL_JSON_STRING &&
		 envl_json_is(value.text, ENVL_LITERAL("session")));
}

envl_status
envl_claims_read(envl_view payload, envl_claims *claims)
{
	envl_json_value object;
	envl_json_value value;
	bool		present;

	memset(claims, 0, sizeof(*claims));
	if (payload.len > sizeof(claims->text) ||
		!envl_json_read(payload, &object) ||
		object.type != ENVL_JSON_OBJECT ||
		!envl_json_find(&object, ENVL_LITERAL("exp"), &value) ||
		!read_time(&value, &claims->expires) ||
		!read_optional_time(&object, ENVL_LITERAL("nbf"),
							&claims->not_before, &present) ||
		!read_optional_time(&object, ENVL_LITERAL("iat"), &claims->issued,
							&claims->is_issued) ||
		!read_audience(&object, &claims->audience) ||
		!read_scope(&object, &claims->for_session) ||
		!envl_json_find(&object, ENVL_LITERAL("ctx"), &value) ||
		value.type != ENVL_JSON_OBJECT || !read_context(&value, claims))
		return ENVL_MALFORMED;
	return ENVL_OK;
}

bool
envl_claims_are_for(const envl_claims *claims, envl_view audience)
{
	envl_reader reader = envl_reader_over(claims->audience.text);
	envl_json_value element;

	if (claims->audience.type == ENVL_JSON_STRING)
		return envl_json_is(claims->audience.text, audience);
	while (envl_json_next_element(&reader, &element))
	{
		if (envl_json_is(element.text, audience))
			return true;
	}
	return false;
}
