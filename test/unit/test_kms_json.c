/*
 * test_kms_json.c
 *	  JSON of key services: what is read by path, what is written.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/http/prov_json.h"
#include "providers/http/prov_memory.h"
#include "unit.h"

static const char document[] =
	"{\"text\":\"a\\u00e4\\\"\\n\",\"number\":-7,\"digits\":\"42\","
	"\"real\":1.0,\"true\":true,\"null\":null,\"empty\":\"\","
	"\"object\":{\"list\":[{\"x\":\"first\"},[\"deep\"]],\"a\":{}},"
	"\"std\":\"+/8=\",\"url\":\"-_8\",\"big\":9223372036854775807,"
	"\"toolong\":\"1234567890123456789\",\"0\":\"zero\"}";

static void
test_reading(void)
{
	prov_json  *json = prov_json_parse(document, strlen(document));
	char		out[8];
	uint8_t		bytes[4];
	size_t		len;
	int64_t		number;
	bool		flag;

	ok(json != NULL, "a document");
	ok(prov_json_string(json, "text", out, sizeof(out)), "a string");
	is_text(out, "a\xC3\xA4\"\n", "is decoded");
	ok(!prov_json_string(json, "text", out, 5) && out[0] == '\0',
	   "a string that does not fit");
	ok(prov_json_string(json, "text", out, 6), "one that just fits");
	ok(prov_json_string(json, "empty", out, 1) && out[0] == '\0',
	   "an empty string");
	ok(prov_json_string(json, "object.list.0.x", out, sizeof(out)),
	   "a path through a list");
	is_text(out, "first", "leads there");
	ok(prov_json_string(json, "object.list.1.0", out, sizeof(out)),
	   "a list in a list");
	ok(prov_json_string(json, "0", out, sizeof(out)),
	   "a member that is a digit");
	for (const char *const *path = (const char *const[]){
			 "", ".", "text.", ".text", "text.x", "nothing", "object",
			 "object.list", "object.list.2", "object.list.-1",
			 "object.list.x", "object..list", "number", "null", NULL};
		 *path != NULL; path++)
		ok(!prov_json_string(json, *path, out, sizeof(out)) &&
			   out[0] == '\0',
		   "no string at \"%s\"", *path);

	ok(prov_json_integer(json, "number", &number) && number == -7,
	   "a number");
	ok(prov_json_integer(json, "big", &number) && number == INT64_MAX,
	   "the largest");
	ok(!prov_json_integer(json, "real", &number) && number == 0,
	   "a fraction is none");
	ok(!prov_json_integer(json, "digits", &number), "nor is a string");
	ok(prov_json_number(json, "digits", &number) && number == 42,
	   "unless strings are wanted too");
	ok(prov_json_number(json, "number", &number) && number == -7,
	   "and numbers then");
	ok(!prov_json_number(json, "text", &number) && number == 0,
	   "a string of something else");
	ok(!prov_json_number(json, "toolong", &number), "too many digits");
	ok(prov_json_boolean(json, "true", &flag) && flag, "a boolean");
	ok(!prov_json_boolean(json, "null", &flag) && !flag, "null is none");
	ok(prov_json_has(json, "null") && prov_json_has(json, "object.a") &&
		   !prov_json_has(json, "object.b"),
	   "what there is");

	ok(prov_json_base64(json, "std", ENVL_BASE64_STANDARD, bytes,
						sizeof(bytes), &len) &&
		   len == 2 && memcmp(bytes, "\xFB\xFF\0\0", 4) == 0,
	   "base64");
	ok(prov_json_base64(json, "url", ENVL_BASE64_URL, bytes, 2, &len) &&
		   len == 2,
	   "base64url");
	ok(!prov_json_base64(json, "std", ENVL_BASE64_URL, bytes, 4, &len) &&
		   len == 0 && all_zero(bytes, sizeof(bytes)),
	   "of the other kind");
	ok(!prov_json_base64(json, "std", ENVL_BASE64_STANDARD, bytes, 1, &len) &&
		   len == 0 && bytes[0] == 0,
	   "too long");
	ok(!prov_json_base64(json, "number", ENVL_BASE64_STANDARD, bytes, 4,
						 &len),
	   "no string");
	prov_json_free(json);
}

static void
test_refused(void)
{
	static const char *const cases[] = {
		"", " ", "null", "[]", "\"x\"", "7", "{", "{}x", "{} {}",
		"{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\xFF\"}",
		"{\"a\":01}", "{'a':1}", "{\"a\":1,}", "{\"a\":\"\\ud800\"}",
		"{\"a\":1e400}", "{\"a\":99999999999999999999}"};
	static char deep[20001];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(prov_json_parse(cases[i], strlen(cases[i])) == NULL,
		   "refused: %s", cases[i]);
	ok(prov_json_parse("{}\0", 3) == NULL, "refused: a NUL");
	memcpy(deep, "{\"a\":", 5);
	memset(deep + 5, '[', sizeof(deep) - 5);
	ok(prov_json_parse(deep, sizeof(deep)) == NULL, "refused: too deep");
	prov_json_free(NULL);
	ok(!prov_json_has(NULL, "a"), "nothing has nothing");
}

static void
test_writing(void)
{
	prov_json_writer writer;
	char		buffer[256];
	envl_view	text;
	size_t		needed;

	prov_json_begin(&writer, buffer, sizeof(buffer));
	ok(prov_json_end(&writer, &text), "an empty object");
	is_text(buffer, "{}", "is written");

	prov_json_begin(&writer, buffer, sizeof(buffer));
	prov_json_put(&writer, "a", "x\"\\\n\x01/\xC3\xA4");
	prov_json_put_integer(&writer, "b", INT64_MIN);
	prov_json_open(&writer, "c");
	prov_json_put_base64(&writer, "d", ENVL_BASE64_URL,
						 ENVL_LITERAL("\xFB\xFF"));
	prov_json_put_base64(&writer, "e", ENVL_BASE64_STANDARD,
						 ENVL_LITERAL(""));
	prov_json_shut(&writer);
	prov_json_open(&writer, "f");
	prov_json_shut(&writer);
	prov_json_put(&writer, "g", "");
	ok(prov_json_end(&writer, &text), "all there is");
	is_text(buffer,
			"{\"a\":\"x\\\"\\\\\\u000a\\u0001/\xC3\xA4\","
			"\"b\":-9223372036854775808,"
			"\"c\":{\"d\":\"-_8\",\"e\":\"\"},\"f\":{},\"g\":\"\"}",
			"is written");
	is((long long) text.len, (long long) strlen(buffer), "its length");

	/* Whatever the room, nothing is written beyond it. */
	needed = strlen("{\"a\":\"AAAA\"}") + 1;
	for (size_t size = 0; size <= needed; size++)
	{
		bool		fits;

		memset(buffer, '#', sizeof(buffer));
		prov_json_begin(&writer, buffer, size);
		prov_json_put_base64(&writer, "a", ENVL_BASE64_STANDARD,
							 ENVL_LITERAL("\0\0\0"));
		fits = prov_json_end(&writer, &text);
		ok(fits == (size == needed) && buffer[size] == '#',
		   "in %zu bytes", size);
	}
}

static void
test_memory(void)
{
	char	   *memory = prov_memory_zeroed(3, 5);

	ok(memory != NULL && all_zero(memory, 15), "zeroed memory");
	memcpy(memory, "0123456789abcd", 15);
	memory = prov_memory_resize(memory, 4000);
	is_text(memory, "0123456789abcd", "is kept when it grows");
	memory = prov_memory_resize(memory, 3);
	ok(memcmp(memory, "012", 3) == 0, "and when it shrinks");
	prov_memory_free(memory);
	memory = prov_memory_resize(NULL, 3);
	ok(memory != NULL, "nothing grows as well");
	prov_memory_free(memory);
	prov_memory_free(NULL);
	ok(prov_memory_alloc(SIZE_MAX) == NULL &&
		   prov_memory_zeroed(SIZE_MAX, 2) == NULL,
	   "what cannot be had");
	memory = prov_memory_copy("text");
	is_text(memory, "text", "a copy");
	prov_memory_free(memory);
}

int
main(void)
{
	test_reading();
	test_refused();
	test_writing();
	test_memory();
	return done_testing();
}
