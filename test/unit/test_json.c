/*
 * test_json.c
 *	  What JSON is taken, and what its strings stand for.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "core/envl_json.h"
#include "unit.h"

static const char *const good[] = {
	"{}", " { } ", "[]", "\t[\r\n]", "0", "-0", "12", "-1.50", "1e5",
	"1E+5", "0.1e-5", "true", "false", "null", "\"\"", "\"a\"",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\"", "\"\xc3\xa4\"",
	"{\"a\":1,\"b\":[1,{\"a\":2}],\"\":{}}", "[ 1 , 2 ]",
	"{ \"a\" : 1 , \"b\" : 2 }", "[[[[[[[[]]]]]]]]",
	"{\"a\":{\"a\":{\"a\":1}}}"};

static const char *const bad[] = {
	"", " ", "{", "}", "{]", "[}", "[", "]", "{\"a\"}", "{\"a\":}", "{a:1}",
	"{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}", "[1,]", "[,]", "[1 2]", "01",
	"-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1 2", "tru", "True", "nul",
	"NaN", "'a'", "\"", "\"\n\"", "\"\x1f\"", "\"\\x\"", "\"\\", "\"\\u\"",
	"\"\\u12g4\"", "\"\\u123\"", "\"\\uD83D\"", "\"\\uDE00\"",
	"\"\\uD83D\\n\"", "\"\\uD83D\\uD83D\"", "\"\\uD83Dx\"", "\"\\uD83D",
	"\"\\uD83D\\", "\"\\uD83D\\u", "\"\\uD83D\\uDE0", "\"\\uDE00\\uD83D\"",
	"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "{\"\xff\":1}",
	"{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
	"{\"\xc3\xa4\":1,\"\\u00e4\":2}", "[{\"a\":1,\"b\":{},\"a\":2}]",
	"[[[[[[[[[]]]]]]]]]", "{} {}", "{}x", "\xef\xbb\xbf{}"};

static void
test_texts(void)
{
	envl_json_value value;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(envl_json_read(text_view(good[i]), &value), "taken: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!envl_json_read(text_view(bad[i]), &value), "refused: %zu", i);
}

/* No cut of a text is a text. */
static void
test_cuts(void)
{
	const char *text = "{\"a\":[1,\"\\u00e4\",true,null,{}],\"b\":{\"c\":-1.5e3}}";
	envl_json_value value;
	int			taken = 0;

	for (size_t len = 0; len < strlen(text); len++)
	{
		envl_view	cut = {(const uint8_t *) text, len};

		taken += envl_json_read(cut, &value) ? 1 : 0;
	}
	is(taken, 0, "no cut is taken");
	ok(envl_json_read(text_view(text), &value), "the whole is");
}

static void
test_members(void)
{
	char		text[1000] = "{";
	envl_json_value value;

	for (int i = 0; i < ENVL_JSON_MEMBERS_MAX; i++)
		sprintf(text + strlen(text), "%s\"m%d\":0", i > 0 ? "," : "", i);
	strcat(text, "}");
	ok(envl_json_read(text_view(text), &value), "as many members as may be");
	text[strlen(text) - 1] = '\0';
	strcat(text, ",\"x\":0}");
	ok(!envl_json_read(text_view(text), &value), "and one more");
}

static void
test_walk(void)
{
	const char *text = " {\"a\" : [ 1, \"x\" ,{}], \"\\u0062\":\"y\" } ";
	envl_json_value object = {ENVL_JSON_NULL, {NULL, 0}};
	envl_json_value value;
	envl_json_value element;
	envl_reader reader;

	ok(envl_json_read(text_view(text), &object) &&
		   object.type == ENVL_JSON_OBJECT,
	   "an object");
	ok(envl_json_find(&object, text_view("b"), &value), "a member");
	is_bytes(value.text, text_view("y"), "and its value");
	ok(!envl_json_find(&object, text_view("c"), &value), "no member");
	ok(envl_json_find(&object, text_view("a"), &value) &&
		   value.type == ENVL_JSON_ARRAY,
	   "an array");
	reader = envl_reader_over(value.text);
	ok(envl_json_next_element(&reader, &element) &&
		   element.type == ENVL_JSON_NUMBER,
	   "its first element");
	is_bytes(element.text, text_view("1"), "as it is spelled");
	ok(envl_json_next_element(&reader, &element) &&
		   element.type == ENVL_JSON_STRING,
	   "its second");
	ok(envl_json_next_element(&reader, &element) &&
		   element.type == ENVL_JSON_OBJECT,
	   "its third");
	ok(!envl_json_next_element(&reader, &element), "no fourth");
}

static void
test_strings(void)
{
	const char *spelled = "\\u0061\\u00e4\\u20ac\\ud83d\\ude00\\n\\/\xc3\xa4";
	const char *meant = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n/\xc3\xa4";
	uint8_t		out[100];
	size_t		len = envl_json_decode(text_view(spelled), out);

	is_bytes((envl_view) {out, len}, text_view(meant), "decoded");
	ok(envl_json_is(text_view(spelled), text_view(meant)), "it is that");
	ok(!envl_json_is(text_view(spelled), text_view("a")), "it is longer");
	ok(!envl_json_is(text_view("a"), text_view("ab")), "it is shorter");
	ok(!envl_json_is(text_view("a"), text_view("b")), "it is another");
	ok(envl_json_same(text_view(spelled), text_view("a\xc3\xa4\\u20AC"
													"\xf0\x9f\x98\x80\\n/"
													"\\u00E4")),
	   "two spellings are the same");
	ok(!envl_json_same(text_view("a"), text_view("ab")), "one is longer");
	ok(!envl_json_same(text_view("ab"), text_view("a")), "or shorter");
	ok(!envl_json_same(text_view("ab"), text_view("ac")), "or another");
	is((long long) envl_json_decode(text_view("\\b\\f\\r\\t\\\"\\\\"), out), 6,
	   "every short escape");
	is_bytes((envl_view) {out, 6}, text_view("\b\f\r\t\"\\"), "is what it is");
}

int
main(void)
{
	test_texts();
	test_cuts();
	test_members();
	test_walk();
	test_strings();
	return done_testing();
}
