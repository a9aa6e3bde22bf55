/*
 * fuzz_kms_reply.c
 *	  Any bytes as what a key service answers, and as a URI.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "fuzz.h"
#include "providers/vault/prov_vault.h"

static const char *const paths[] = {
	"data.ciphertext", "data.plaintext", "data.latest_version", "errors.0",
	"auth.client_token", "auth.lease_duration", "a.b.c.d.e.f", "0.0.0"};

static void
try_paths(const prov_json *json)
{
	char		text[32];
	uint8_t		bytes[ENVL_SEALED_PLAINTEXT_LEN];
	size_t		len;
	int64_t		number;
	bool		flag;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
	{
		bool		there = prov_json_has(json, paths[i]);
		bool		is_string = prov_json_string(json, paths[i], text,
												 sizeof(text));

		CHECK(strlen(text) < sizeof(text));
		CHECK(there || !is_string);
		CHECK(is_string || text[0] == '\0');
		CHECK(there || !prov_json_integer(json, paths[i], &number));
		(void) prov_json_number(json, paths[i], &number);
		CHECK(!prov_json_boolean(json, paths[i], &flag) || !is_string);
		CHECK(!prov_json_base64(json, paths[i], ENVL_BASE64_STANDARD, bytes,
								sizeof(bytes), &len) ||
			  len <= sizeof(bytes));
	}
}

/* What was read and is written again is read the same. */
static void
try_writing(const prov_json *json)
{
	char		text[256];
	char		again[256];
	char		buffer[2048];
	envl_view	written;
	prov_json_writer writer;
	prov_json  *read_again;

	if (!prov_json_string(json, "data.ciphertext", text, sizeof(text)))
		return;
	prov_json_begin(&writer, buffer, sizeof(buffer));
	prov_json_put(&writer, text, text);
	prov_json_put(&writer, "\001", text);
	CHECK(prov_json_end(&writer, &written));
	CHECK(written.data[written.len] == '\0');
	if (strcmp(text, "\001") == 0)
		return;
	read_again = prov_json_parse((const char *) written.data, written.len);
	CHECK(read_again != NULL);
	CHECK(prov_json_string(read_again, "\001", again, sizeof(again)));
	CHECK(strcmp(text, again) == 0);
	prov_json_free(read_again);
}

static void
try_errors(const uint8_t *data, size_t size)
{
	static const long statuses[] = {400, 403, 404, 429, 500, 503, 302, 0};
	static prov_http_reply reply;
	prov_failure failure;

	if (size > PROV_HTTP_BODY_MAX)
		return;
	memcpy(reply.body, data, size);
	reply.body[size] = '\0';
	reply.body_len = size;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
	{
		prov_category category;

		reply.status = statuses[i];
		category = vault_fail(&reply, &failure);
		CHECK(category > PROV_OK && category < PROV_CATEGORIES);
		CHECK(failure.category == category && failure.reason[0] != '\0');
	}
}

static void
try_uri(const char *text)
{
	static prov_uri uri;
	prov_failure failure;
	vault_login login;

	if (prov_uri_parse(text, &uri, &failure) != PROV_OK)
	{
		CHECK(failure.category == PROV_MISCONFIGURED);
		return;
	}
	CHECK(uri.scheme[0] != '\0' && uri.port <= 65535);
	CHECK(uri.settings_len <= PROV_URI_WORDS_MAX);
	for (size_t i = 0; i < uri.settings_len; i++)
	{
		CHECK(uri.settings[i].value[0] != '\0');
		CHECK(prov_uri_word(&uri, uri.settings[i].word) ==
			  uri.settings[i].value);
	}
	(void) vault_login_open(&uri, &login, &failure);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = fuzz_alloc(size + 1);
	prov_json  *json = prov_json_parse((const char *) data, size);

	memcpy(text, data, size);
	text[size] = '\0';
	if (json != NULL)
	{
		try_paths(json);
		try_writing(json);
	}
	prov_json_free(json);
	try_errors(data, size);
	try_uri(text);
	free(text);
	return 0;
}
