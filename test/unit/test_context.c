/*
 * test_context.c
 *	  One spelling per context; no other is taken; what a policy demands.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>

#include "core/envl_context.h"
#include "core/envl_string.h"
#include "unit.h"

static envl_spelled spelled[ENVL_MEMBERS_MAX + 100];

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LARGEST INT64_C(9007199254740991)

static envl_member
string_member(const char *name, const char *value)
{
	return (envl_member) {
		.name = text_view(name),
		.type = ENVL_MEMBER_STRING,
		.string = text_view(value),
	};
}

static envl_member
integer_member(const char *name, int64_t value)
{
	return (envl_member) {
		.name = text_view(name),
		.type = ENVL_MEMBER_INTEGER,
		.integer = value,
	};
}

static envl_member
boolean_member(const char *name, bool value)
{
	return (envl_member) {
		.name = text_view(name),
		.type = ENVL_MEMBER_BOOLEAN,
		.boolean = value,
	};
}

static envl_member
any_member(const char *name)
{
	return (envl_member) {
		.name = text_view(name),
		.type = ENVL_MEMBER_ANY,
	};
}

/* Encodes, compares, and gives the result to the validator. */
static void
check_encoded(envl_member *members, size_t count, const char *want)
{
	uint8_t		out[ENVL_CONTEXT_MAX];
	size_t		len;

	is_status(envl_context_encode(members, count, out, &len, spelled), ENVL_OK,
			  "%s", want);
	is_bytes((envl_view) {out, len}, text_view(want), "is its canonical form");
	is_status(envl_context_validate((envl_view) {out, len}), ENVL_OK,
			  "and valid");
}

static void
check_refused(envl_member *members, size_t count, envl_status want,
			  const char *name)
{
	uint8_t		out[ENVL_CONTEXT_MAX];
	size_t		len = 99;

	is_status(envl_context_encode(members, count, out, &len, spelled), want,
			  "%s", name);
	is((long long) len, 0, "no length");
}

static void
test_encode(void)
{
	envl_member members[4];

	check_encoded(NULL, 0, "{}");

	members[0] = string_member("type", "customers.email");
	members[1] = string_member("tenant", "acme");
	members[2] = integer_member("id", 4711);
	members[3] = boolean_member("test", false);
	check_encoded(members, 4, "{\"id\":4711,\"tenant\":\"acme\","
							  "\"test\":false,\"type\":\"customers.email\"}");
	ok(members[0].integer == 4711, "the caller's array is sorted");

	members[0] = boolean_member("", true);
	members[1] = string_member("a", "");
	check_encoded(members, 2, "{\"\":true,\"a\":\"\"}");

	members[0] = integer_member("d", 0);
	members[1] = integer_member("c", -1);
	members[2] = integer_member("b", LARGEST);
	members[3] = integer_member("a", -LARGEST);
	check_encoded(members, 4, "{\"a\":-9007199254740991,"
							  "\"b\":9007199254740991,\"c\":-1,\"d\":0}");
}

static void
test_escapes(void)
{
	envl_member member;

	member = string_member("a", "\"\\/\b\f\n\r\t");
	check_encoded(&member, 1, "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"}");
	member = string_member("a", "x\x01y\x0b\x1f");
	check_encoded(&member, 1, "{\"a\":\"x\\u0001y\\u000b\\u001f\"}");
	member.string = (envl_view) {(const uint8_t *) "\0", 1};
	check_encoded(&member, 1, "{\"a\":\"\\u0000\"}");
	member = string_member("a", "\x7f\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80");
	check_encoded(&member, 1,
				  "{\"a\":\"\x7f\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"}");
	member = string_member("\n\"", "");
	check_encoded(&member, 1, "{\"\\n\\\"\":\"\"}");
}

/* RFC 8785, section 3.2.3: its example, and what escapes might upset. */
static void
test_order(void)
{
	envl_member members[8];

	members[0] = integer_member("\xe2\x82\xac", 1);
	members[1] = integer_member("\r", 2);
	members[2] = integer_member("\xef\xac\xb3", 3);
	members[3] = integer_member("1", 4);
	members[4] = integer_member("\xf0\x9f\x98\x80", 5);
	members[5] = integer_member("\xc2\x80", 6);
	members[6] = integer_member("\xc3\xb6", 7);
	check_encoded(members, 7,
				  "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,"
				  "\"\xe2\x82\xac\":1,\"\xf0\x9f\x98\x80\":5,"
				  "\"\xef\xac\xb3\":3}");

	/* A backslash is behind '[', what it escapes is not. */
	members[0] = integer_member("\\", 1);
	members[1] = integer_member("[", 2);
	members[2] = integer_member("\x1f", 3);
	members[3] = integer_member("\x10", 4);
	members[4] = integer_member("\"", 5);
	members[5] = integer_member("!", 6);
	members[6] = integer_member("\f", 7);
	members[7] = integer_member("\b", 8);
	check_encoded(members, 8, "{\"\\b\":8,\"\\f\":7,\"\\u0010\":4,"
							  "\"\\u001f\":3,\"!\":6,\"\\\"\":5,\"[\":2,\"\\\\\":1}");

	members[0] = integer_member("ab", 1);
	members[1] = integer_member("a", 2);
	members[2] = integer_member("", 3);
	members[3] = integer_member("a\t", 4);
	check_encoded(members, 4, "{\"\":3,\"a\":2,\"a\\t\":4,\"ab\":1}");

	/* Beyond U+FFFF among themselves, and below U+E000. */
	members[0] = integer_member("\xf0\x9f\x98\x81", 1);
	members[1] = integer_member("\xf0\x9f\x98\x80", 2);
	members[2] = integer_member("\xee\x80\x80", 3);
	members[3] = integer_member("\xed\x9f\xbf", 4);
	members[4] = integer_member("\xf4\x8f\xbf\xbf", 5);
	members[5] = integer_member("\xef\xbf\xbd", 6);
	check_encoded(members, 6, "{\"\xed\x9f\xbf\":4,"
							  "\"\xf0\x9f\x98\x80\":2,\"\xf0\x9f\x98\x81\":1,"
							  "\"\xf4\x8f\xbf\xbf\":5,\"\xee\x80\x80\":3,"
							  "\"\xef\xbf\xbd\":6}");
}

static void
test_encode_refused(void)
{
	envl_member members[2];

	members[0] = string_member("a", "x");
	members[1] = integer_member("a", 1);
	check_refused(members, 2, ENVL_CONTEXT_DUPLICATE, "a member occurs twice");
	members[0] = integer_member("a", LARGEST + 1);
	check_refused(members, 1, ENVL_CONTEXT_INTEGER, "2^53");
	members[0] = integer_member("a", -LARGEST - 1);
	check_refused(members, 1, ENVL_CONTEXT_INTEGER, "-2^53");
	members[0] = integer_member("a", INT64_MIN);
	check_refused(members, 1, ENVL_CONTEXT_INTEGER, "-2^63");
	members[0] = any_member("a");
	check_refused(members, 1, ENVL_MALFORMED, "null, outside a policy");
	members[0] = string_member("\xff", "x");
	check_refused(members, 1, ENVL_CONTEXT_NOT_UTF8, "a name is not UTF-8");
	members[0] = string_member("a", "\xc3");
	check_refused(members, 1, ENVL_CONTEXT_NOT_UTF8, "a string is not UTF-8");
}

/* At the limit of 4096 bytes, and just beyond. */
static void
test_limit(void)
{
	static char text[ENVL_CONTEXT_MAX + 2];
	static char names[900][4];
	static envl_member many[900];
	envl_member members[2];
	uint8_t		out[ENVL_CONTEXT_MAX];
	size_t		len;
	const size_t fits = ENVL_CONTEXT_MAX - strlen("{\"a\":\"\"}");

	memset(text, 'x', fits);
	members[0] = string_member("a", text);
	is_status(envl_context_encode(members, 1, out, &len, spelled), ENVL_OK,
			  "a context of 4096 bytes");
	is((long long) len, ENVL_CONTEXT_MAX, "is that long");
	is_status(envl_context_validate((envl_view) {out, len}), ENVL_OK,
			  "and valid");

	text[fits] = 'x';
	members[0] = string_member("a", text);
	check_refused(members, 1, ENVL_CONTEXT_TOO_LONG, "one of 4097");
	text[fits] = 0;
	text[0] = '\n';
	members[0] = string_member("a", text);
	check_refused(members, 1, ENVL_CONTEXT_TOO_LONG, "one that escapes make so");

	memset(text, 'x', ENVL_CONTEXT_MAX + 1);
	members[0] = string_member("a", text);
	check_refused(members, 1, ENVL_CONTEXT_TOO_LONG, "a string too long alone");
	members[0] = string_member(text, "a");
	check_refused(members, 1, ENVL_CONTEXT_TOO_LONG, "a name too long alone");
	text[3000] = 0;
	members[0] = string_member("a", text);
	members[1] = string_member("b", text);
	check_refused(members, 2, ENVL_CONTEXT_TOO_LONG, "two strings, together");

	is_status(envl_context_validate((envl_view) {
				  (const uint8_t *) text, ENVL_CONTEXT_MAX + 1}),
			  ENVL_CONTEXT_TOO_LONG, "4097 bytes are too long, whatever they are");

	for (size_t i = 0; i < COUNT(many); i++)
	{
		names[i][0] = (char) ('A' + i / 26 / 26);
		names[i][1] = (char) ('a' + i / 26 % 26);
		names[i][2] = (char) ('a' + i % 26);
		many[i] = integer_member(names[i], 1);
	}
	check_refused(many, COUNT(many), ENVL_CONTEXT_TOO_LONG, "900 members");
	is_status(envl_context_encode(many, 500, out, &len, spelled), ENVL_OK,
			  "500 members of 8 bytes");
	is_status(envl_context_validate((envl_view) {out, len}), ENVL_OK,
			  "are valid");
}

static void
test_validate(void)
{
	static const char *const canonical[] = {
		"{}", "{\"\":0}", "{\"a\":\"\"}", "{\"a\":-1,\"b\":true}",
		"{\"a\":9007199254740991}", "{\"a\":-9007199254740991}",
		"{\"\\u0000\":\"\\u001f\"}", "{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t/\"}",
		"{\"\x7f\":\"\xf4\x8f\xbf\xbf\"}", "{\"a\":false,\"aa\":10}"};
	static const char *const refused[] = {
		/* not an object, or not only one */
		"", " {}", "{} ", "{}{}", "{", "}", "[]", "{]", "null", "1", "\"a\"",
		/* members */
		"{,}", "{\"a\":1,}", "{,\"a\":1}", "{\"a\"}", "{\"a\":}", "{\"a\" :1}",
		"{\"a\": 1}", "{\"a\":1 }", "{ \"a\":1}", "{\"a\":1, \"b\":1}",
		"{\"a\":1\"b\":2}", "{a:1}", "{\"a\":1", "{\"a\":1,", "{\"a\":1,\"b\"",
		"{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"x", "{1:1}",
		/* order and duplicates */
		"{\"b\":1,\"a\":1}", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\":1}",
		"{\"ab\":1,\"a\":1}", "{\"[\":1,\"\\\"\":1}",
		"{\"\xef\xac\xb3\":1,\"\xf0\x9f\x98\x80\":1}",
		/* values */
		"{\"a\":null}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":True}",
		"{\"a\":tru}", "{\"a\":truee}", "{\"a\":falsy}", "{\"a\":nul}",
		/* numbers */
		"{\"a\":01}", "{\"a\":-0}", "{\"a\":00}", "{\"a\":-01}", "{\"a\":+1}",
		"{\"a\":-}", "{\"a\":1.0}", "{\"a\":1e3}", "{\"a\":.5}",
		"{\"a\":9007199254740992}", "{\"a\":-9007199254740992}",
		"{\"a\":99999999999999999}", "{\"a\":999999999999999999999999}",
		"{\"a\":1", "{\"a\":-",
		/* escapes */
		"{\"a\":\"\\/\"}", "{\"a\":\"\\u0041\"}", "{\"a\":\"\\u001F\"}",
		"{\"a\":\"\\u000a\"}", "{\"a\":\"\\u0022\"}", "{\"a\":\"\\u0020\"}",
		"{\"a\":\"\\u2028\"}", "{\"a\":\"\\U0001\"}", "{\"a\":\"\\u001\"}",
		"{\"a\":\"\\u00", "{\"a\":\"\\u001", "{\"a\":\"\\u0", "{\"a\":\"\\",
		"{\"a\":\"\\u001g\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\'\"}",
		"{\"a\":\"\\\n\"}", "{\"a\":\"\\ud83d\\ude00\"}",
		/* bytes */
		"{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"\t\":1}", "{\"a\":\"\xff\"}",
		"{\"\xc3\":1}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\x80\"}",
		"\xef\xbb\xbf{}"};
	envl_view	with_nul[] = {
		ENVL_LITERAL("{}\0"), ENVL_LITERAL("{\"a\":\"\\\0\"}"),
		ENVL_LITERAL("{\"a\":\"\\u001\0\"}"), ENVL_LITERAL("{\"\0\":1}")};

	for (size_t i = 0; i < COUNT(canonical); i++)
		is_status(envl_context_validate(text_view(canonical[i])), ENVL_OK,
				  "canonical, case %zu", i);
	for (size_t i = 0; i < COUNT(refused); i++)
		is_status(envl_context_validate(text_view(refused[i])),
				  ENVL_MALFORMED, "not canonical, case %zu", i);
	for (size_t i = 0; i < COUNT(with_nul); i++)
		is_status(envl_context_validate(with_nul[i]), ENVL_MALFORMED,
				  "with a zero byte, case %zu", i);
	is_status(envl_context_validate((envl_view) {NULL, 0}), ENVL_MALFORMED,
			  "nothing is no context");
}

/* Every prefix of a context, and every byte of it changed to any other. */
static void
test_neighbours(void)
{
	const envl_view whole =
		ENVL_LITERAL("{\"a\":-10,\"b\":\"\\u0001\xc3\xa9\",\"c\":true}");
	uint8_t		changed[64];
	size_t		wrong = 0;
	size_t		other = 0;

	for (size_t len = 0; len < whole.len; len++)
		wrong += envl_context_validate((envl_view) {whole.data, len}) !=
			ENVL_MALFORMED;
	is((long long) wrong, 0, "no prefix of a context is one");

	for (size_t i = 0; i < whole.len; i++)
	{
		for (int byte = 0; byte < 256; byte++)
		{
			memcpy(changed, whole.data, whole.len);
			changed[i] = (uint8_t) byte;
			other += envl_context_validate((envl_view) {
						 changed, whole.len}) == ENVL_OK;
		}
	}
	ok(other > whole.len && other < whole.len * 128,
	   "%zu changed ones are canonical contexts of their own", other);
}

static void
test_utf8(void)
{
	static const char *const valid[] = {
		"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xe1\x80\x80", "\xec\xbf\xbf", "\xed\x80\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf",
		"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"};
	static const char *const refused[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f",
		"\xc2\xc0", "\xc2z", "\xe0\x9f\xbf", "\xe0\xa0", "\xe0\xa0\x7f",
		"\xe0\xa0\xc0", "\xed\xa0\x80", "\xed\xbf\xbf", "\xe1\x80",
		"\xe1", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf0\x90\x80\x7f",
		"\xf0\x90\x7f\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
		"\xfe", "a\x80", "\xf0\x9f\x98\x80\x80"};

	for (size_t i = 0; i < COUNT(valid); i++)
		ok(envl_utf8_valid(text_view(valid[i])), "UTF-8, case %zu", i);
	for (size_t i = 0; i < COUNT(refused); i++)
		ok(!envl_utf8_valid(text_view(refused[i])), "not UTF-8, case %zu", i);
	ok(envl_utf8_valid((envl_view) {NULL, 0}), "nothing is UTF-8");
	ok(envl_utf8_valid(ENVL_LITERAL("\0")), "so is a zero byte");
}

static const struct
{
	const char *policy;
	const char *context;
	envl_status status;
	const char *member;
} policies[] = {
	{"{}", "{}", ENVL_OK, ""},
	{"{}", "{\"a\":\"\"}", ENVL_OK, ""},
	{"{\"a\":null}", "{}", ENVL_CONTEXT_EMPTY, ""},
	{"{\"a\":null}", "{\"a\":1}", ENVL_OK, ""},
	{"{\"a\":null}", "{\"a\":false}", ENVL_OK, ""},
	{"{\"a\":null}", "{\"a\":\"null\"}", ENVL_OK, ""},
	{"{\"a\":null}", "{\"a\":\"\"}", ENVL_CONTEXT_EMPTY_MEMBER, "a"},
	{"{\"a\":null}", "{\"b\":1}", ENVL_CONTEXT_MISSING, "a"},
	{"{\"b\":null}", "{\"a\":1}", ENVL_CONTEXT_MISSING, "b"},
	{"{\"a\":\"x\"}", "{\"a\":\"x\"}", ENVL_OK, ""},
	{"{\"a\":\"x\"}", "{\"a\":\"y\"}", ENVL_CONTEXT_PINNED, "a"},
	{"{\"a\":\"x\"}", "{\"a\":\"xx\"}", ENVL_CONTEXT_PINNED, "a"},
	{"{\"a\":\"1\"}", "{\"a\":1}", ENVL_CONTEXT_PINNED, "a"},
	{"{\"a\":\"true\"}", "{\"a\":true}", ENVL_CONTEXT_PINNED, "a"},
	{"{\"a\":\"x\"}", "{\"a\":\"\"}", ENVL_CONTEXT_EMPTY_MEMBER, "a"},
	{"{\"a\":\"\"}", "{\"a\":\"\"}", ENVL_CONTEXT_EMPTY_MEMBER, "a"},
	{"{\"a\":1}", "{\"a\":1}", ENVL_OK, ""},
	{"{\"a\":\"null\"}", "{\"a\":\"x\"}", ENVL_CONTEXT_PINNED, "a"},
	{"{\"id\":null,\"tenant\":\"acme\",\"type\":null}",
	 "{\"id\":1,\"tenant\":\"acme\",\"type\":\"t\"}", ENVL_OK, ""},
	{"{\"id\":null,\"tenant\":\"acme\",\"type\":null}",
	 "{\"extra\":1,\"id\":1,\"more\":2,\"tenant\":\"acme\",\"type\":\"t\","
	 "\"zz\":3}",
	 ENVL_OK, ""},
	{"{\"id\":null,\"tenant\":\"acme\",\"type\":null}",
	 "{\"id\":1,\"tenant\":\"acme\"}", ENVL_CONTEXT_MISSING, "type"},
	{"{\"id\":null,\"tenant\":\"acme\",\"type\":null}",
	 "{\"id\":1,\"tenant\":\"evil\",\"type\":\"\"}", ENVL_CONTEXT_PINNED,
	 "tenant"},
	{"{\"\\n\":null}", "{\"a\":1}", ENVL_CONTEXT_MISSING, "\\n"},
	{"{\"\\n\":null}", "{\"\\n\":1,\"a\":1}", ENVL_OK, ""},
	{"{\"a\":null}", "{\"a\":null}", ENVL_MALFORMED, ""},
	{"{\"a\": null}", "{\"a\":1}", ENVL_MALFORMED, ""},
	{"{\"a\":null}", "{\"a\":1}x", ENVL_MALFORMED, ""},
	{"", "{\"a\":1}", ENVL_MALFORMED, ""},
	{"{\"a\":null}", "", ENVL_MALFORMED, ""},
	{"{\"a\":null,\"b\":nul}", "{\"a\":1}", ENVL_MALFORMED, ""}};

static void
test_policy(void)
{
	envl_member members[3];
	uint8_t		out[ENVL_CONTEXT_MAX];
	size_t		len;
	envl_view	member;

	for (size_t i = 0; i < COUNT(policies); i++)
	{
		is_status(check_policy(text_view(policies[i].policy),
							   text_view(policies[i].context), &member),
				  policies[i].status, "%s under %s", policies[i].context,
				  policies[i].policy);
		is_bytes(member, text_view(policies[i].member), "because of \"%s\"",
				 policies[i].member);
	}

	members[0] = any_member("type");
	members[1] = string_member("tenant", "acme");
	members[2] = any_member("id");
	is_status(envl_policy_encode(members, 3, out, &len, spelled), ENVL_OK,
			  "a policy is encoded");
	is_bytes((envl_view) {out, len}, text_view("{\"id\":null,\"tenant\":\"acme\",\"type\":null}"),
			 "like a context, with null");
	members[0] = any_member("\xff");
	is_status(envl_policy_encode(members, 1, out, &len, spelled),
			  ENVL_CONTEXT_NOT_UTF8, "and as strictly");
}

int
main(void)
{
	test_encode();
	test_escapes();
	test_order();
	test_encode_refused();
	test_limit();
	test_validate();
	test_neighbours();
	test_utf8();
	test_policy();
	return done_testing();
}
