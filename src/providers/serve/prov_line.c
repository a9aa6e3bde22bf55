/*
 * prov_line.c
 *	  Parsing a request, and building a reply.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/serve/prov_line.h"

#include <stdio.h>
#include <string.h>

/* Twelve digits, the limit of the protocol; a service may say anything. */
#define EXPIRES_MAX INT64_C(999999999999)

static bool is_id(envl_view id);
static bool is_key(envl_view key);

bool
prov_line_parse(envl_view line, prov_line_request *out, bool *known)
{
	envl_view	key;
	bool		check;

	*known = false;
	memset(out, 0, sizeof(*out));
	if (memchr(line.data, '\0', line.len) != NULL ||
		!prov_uri_next_part(&line, ' ', &out->verb) ||
		!prov_uri_next_part(&line, ' ', &out->id) || !is_id(out->id))
		return false;

	check = envl_view_equal(out->verb, ENVL_LITERAL("check"));
	if ((!check && !envl_view_equal(out->verb, ENVL_LITERAL("seal")) &&
		 !envl_view_equal(out->verb, ENVL_LITERAL("unseal"))) ||
		!prov_uri_next_part(&line, ' ', &out->root) || out->root.len == 0)
		return true;
	if (!check)
	{
		if (!prov_uri_next_part(&line, ' ', &key) || !is_key(key) ||
			!prov_uri_next_part(&line, ' ', &out->payload) ||
			out->payload.len == 0)
			return true;
		memcpy(out->key, key.data, key.len);
	}
	*known = line.data == NULL;
	return true;
}

static bool
is_id(envl_view id)
{
	for (size_t i = 0; i < id.len; i++)
	{
		if (id.data[i] < (i == 0 ? '1' : '0') || id.data[i] > '9')
			return false;
	}
	return id.len > 0 && id.len <= 20;
}

/*
 * 12 hexadecimal digits, "/", 1 to 5 digits.  Strict, since the key is passed
 * on to other systems.
 */
static bool
is_key(envl_view key)
{
	if (key.len < 14 || key.len > 18 || key.data[12] != '/')
		return false;
	for (size_t i = 0; i < key.len; i++)
	{
		uint8_t		c = key.data[i];
		bool		digit = c >= '0' && c <= '9';

		if (i != 12 && !digit && !(i < 12 && c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

void
prov_line_begin(const char *word, envl_view id, char *reply)
{
	snprintf(reply, PROV_LINE_MAX, "%s %.*s", word, (int) id.len,
			 (const char *) id.data);
}

void
prov_line_add(char *reply, envl_view bytes)
{
	size_t		len = strlen(reply);
	size_t		more = envl_base64_encoded_len(ENVL_BASE64_STANDARD,
											   bytes.len);

	if (len + 1 + more + 2 > PROV_LINE_MAX)
		return;
	reply[len] = ' ';
	envl_base64_encode(ENVL_BASE64_STANDARD, bytes, reply + len + 1);
	reply[len + 1 + more] = '\0';
}

void
prov_line_add_root_key(char *reply, const char *root_key)
{
	envl_view	name = {(const uint8_t *) root_key, strlen(root_key)};

	if (name.len > 0)
		prov_line_add(reply, name);
}

void
prov_line_add_check(char *reply, const prov_check *check)
{
	prov_line_add_root_key(reply, check->root_key);
	if (check->expires <= 0 || check->expires > EXPIRES_MAX)
		return;
	if (check->root_key[0] == '\0')
		strcat(reply, " -");
	snprintf(reply + strlen(reply), PROV_LINE_MAX - strlen(reply), " %lld",
			 (long long) check->expires);
}
