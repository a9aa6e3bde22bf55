/*
 * prov_json.c
 *	  Reading JSON replies (over jansson), and writing JSON requests.
 *
 * jansson refuses NULs in strings, invalid UTF-8, duplicate members and
 * anything after the text; nesting is limited.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "providers/http/prov_memory.h"

#define NAME_SIZE 64			/* of a member in a path */

static const json_t *find_value(const prov_json *json, const char *path);
static const json_t *find_member(const json_t *from, const char *name);
static bool parse_digits(const char *text, int64_t *out);
static void put_raw(prov_json_writer *writer, const char *text, size_t len);
static void put_name(prov_json_writer *writer, const char *name);
static void put_string(prov_json_writer *writer, const char *text);

/* A prov_json is a json_t. */
static const json_t *
json_of(const prov_json *json)
{
	return (const json_t *) json;
}

prov_json *
prov_json_parse(const char *text, size_t len)
{
	static bool prepared = false;
	json_t	   *json;

	if (!prepared)
	{
		json_set_alloc_funcs(prov_memory_alloc, prov_memory_free);
		prepared = true;
	}
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json != NULL && !json_is_object(json))
	{
		json_decref(json);
		json = NULL;
	}
	return (prov_json *) json;
}

void
prov_json_free(prov_json *json)
{
	json_decref((json_t *) json);
}

/* Finds the value at a path, or NULL. */
static const json_t *
find_value(const prov_json *json, const char *path)
{
	const json_t *at = json_of(json);

	while (at != NULL)
	{
		char		name[NAME_SIZE];
		size_t		len = strcspn(path, ".");

		if (len == 0 || len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		at = find_member(at, name);
		if (path[len] == '\0')
			return at;
		path += len + 1;
	}
	return NULL;
}

static const json_t *
find_member(const json_t *from, const char *name)
{
	int64_t		index;

	if (json_is_object(from))
		return json_object_get(from, name);
	if (json_is_array(from) && parse_digits(name, &index) && index >= 0)
		return json_array_get(from, (size_t) index);
	return NULL;
}

bool
prov_json_string(const prov_json *json, const char *path, char *out,
				 size_t size)
{
	const json_t *found = find_value(json, path);
	size_t		len;

	out[0] = '\0';
	if (!json_is_string(found))
		return false;
	len = json_string_length(found);
	if (len >= size || memchr(json_string_value(found), 0, len) != NULL)
		return false;
	memcpy(out, json_string_value(found), len);
	out[len] = '\0';
	return true;
}

bool
prov_json_integer(const prov_json *json, const char *path, int64_t *out)
{
	const json_t *found = find_value(json, path);

	*out = json_is_integer(found) ? (int64_t) json_integer_value(found) : 0;
	return json_is_integer(found);
}

bool
prov_json_number(const prov_json *json, const char *path, int64_t *out)
{
	char		text[24];

	if (prov_json_string(json, path, text, sizeof(text)))
		return parse_digits(text, out);
	return prov_json_integer(json, path, out);
}

/*
 * Parses an optional "-" and up to 18 digits, which an int64_t always holds.
 */
static bool
parse_digits(const char *text, int64_t *out)
{
	bool		negative = text[0] == '-';
	size_t		len;
	int64_t		value = 0;

	*out = 0;
	if (negative)
		text++;
	len = strlen(text);
	if (len == 0 || len > 18)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*out = negative ? -value : value;
	return true;
}

bool
prov_json_boolean(const prov_json *json, const char *path, bool *out)
{
	const json_t *found = find_value(json, path);

	*out = json_is_true(found);
	return json_is_boolean(found);
}

bool
prov_json_base64(const prov_json *json, const char *path, envl_base64 kind,
				 uint8_t *out, size_t size, size_t *len)
{
	const json_t *found = find_value(json, path);
	envl_view	text;
	uint8_t    *decoded;
	size_t		max;
	bool		good;

	*len = 0;
	memset(out, 0, size);
	if (!json_is_string(found))
		return false;
	text.data = (const uint8_t *) json_string_value(found);
	text.len = json_string_length(found);

	/* The decoder needs room for a padded group more than it writes. */
	max = envl_base64_decoded_max(text.len);
	decoded = prov_memory_alloc(max + 1);
	if (decoded == NULL)
		return false;
	good = envl_base64_decode(kind, text, decoded, len) == ENVL_OK &&
		*len <= size;
	if (good)
		memcpy(out, decoded, *len);
	else
		*len = 0;
	prov_memory_free(decoded);
	return good;
}

bool
prov_json_has(const prov_json *json, const char *path)
{
	return find_value(json, path) != NULL;
}

void
prov_json_begin(prov_json_writer *writer, char *buffer, size_t size)
{
	writer->start = writer->next = buffer;
	writer->end = buffer + size;
	writer->overflow = false;
	writer->first = true;
	put_raw(writer, "{", 1);
}

void
prov_json_put(prov_json_writer *writer, const char *name, const char *value)
{
	put_name(writer, name);
	put_string(writer, value);
}

void
prov_json_put_integer(prov_json_writer *writer, const char *name,
					  int64_t value)
{
	char		digits[24];
	int			len = snprintf(digits, sizeof(digits), "%lld",
							   (long long) value);

	put_name(writer, name);
	put_raw(writer, digits, (size_t) len);
}

void
prov_json_put_base64(prov_json_writer *writer, const char *name,
					 envl_base64 kind, envl_view bytes)
{
	size_t		len = envl_base64_encoded_len(kind, bytes.len);

	put_name(writer, name);
	put_raw(writer, "\"", 1);
	if (len > (size_t) (writer->end - writer->next))
		writer->overflow = true;
	else if (len > 0)
	{
		envl_base64_encode(kind, bytes, writer->next);
		writer->next += len;
	}
	put_raw(writer, "\"", 1);
}

void
prov_json_open(prov_json_writer *writer, const char *name)
{
	put_name(writer, name);
	put_raw(writer, "{", 1);
	writer->first = true;
}

void
prov_json_shut(prov_json_writer *writer)
{
	put_raw(writer, "}", 1);
	writer->first = false;
}

bool
prov_json_end(prov_json_writer *writer, envl_view *text)
{
	put_raw(writer, "}", 1);
	text->data = (const uint8_t *) writer->start;
	text->len = (size_t) (writer->next - writer->start);
	put_raw(writer, "", 1);
	return !writer->overflow;
}

static void
put_raw(prov_json_writer *writer, const char *text, size_t len)
{
	if (writer->overflow || len > (size_t) (writer->end - writer->next))
	{
		writer->overflow = true;
		return;
	}
	memcpy(writer->next, text, len);
	writer->next += len;
}

static void
put_name(prov_json_writer *writer, const char *name)
{
	if (!writer->first)
		put_raw(writer, ",", 1);
	writer->first = false;
	put_string(writer, name);
	put_raw(writer, ":", 1);
}

static void
put_string(prov_json_writer *writer, const char *text)
{
	put_raw(writer, "\"", 1);
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;
		char		escape[8];

		if (c == '"' || c == '\\')
		{
			put_raw(writer, "\\", 1);
			put_raw(writer, text, 1);
		}
		else if (c < 0x20)
		{
			snprintf(escape, sizeof(escape), "\\u%04x", c);
			put_raw(writer, escape, 6);
		}
		else
			put_raw(writer, text, 1);
	}
	put_raw(writer, "\"", 1);
}
