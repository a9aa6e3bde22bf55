/*
 * test_prov_uri.c
 *	  URIs of helper programs: parts, settings, percent-encoding.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/prov_uri.h"
#include "scratch.h"
#include "unit.h"

static prov_uri uri;
static prov_failure failure;

static void
is_parsed(const char *text, const char *scheme, const char *host,
		  unsigned port, const char *path, size_t settings)
{
	memset(&failure, 0, sizeof(failure));
	if (!is_category(prov_uri_parse(text, &uri, &failure), PROV_OK, text))
		note("%s (%s)", failure.reason, failure.detail);
	is_text(uri.scheme, scheme, "its scheme");
	is_text(uri.host, host, "its host");
	is(uri.port, port, "its port");
	is_text(uri.path, path, "its path");
	is((long long) uri.settings_len, (long long) settings, "its settings");
}

static void
test_good(void)
{
	is_parsed("vault://host:8200/transit/keys/app", "vault", "host", 8200,
			  "/transit/keys/app", 0);
	is_parsed("vault+http://127.0.0.1/a/keys/b?x=y", "vault+http",
			  "127.0.0.1", 0, "/a/keys/b", 1);
	is_parsed("azurekv://[fd00::1]:1/keys/a", "azurekv", "[fd00::1]", 1,
			  "/keys/a", 0);
	is_parsed("azurekv://[::ffff:127.0.0.1]", "azurekv",
			  "[::ffff:127.0.0.1]", 0, "", 0);
	is_parsed("awskms:arn:aws:kms:eu-central-1:1:key/2?a=1&b=2", "awskms",
			  "", 0, "arn:aws:kms:eu-central-1:1:key/2", 2);
	is_parsed("pkcs11:token=a%20b;id=%00%ff", "pkcs11", "", 0,
			  "token=a%20b;id=%00%ff", 0);
	is_parsed("pkcs11:", "pkcs11", "", 0, "", 0);
	is_parsed("a:?w=v", "a", "", 0, "", 1);
	is_parsed("a:/one/slash", "a", "", 0, "/one/slash", 0);
	is_parsed("a://h?w=/x?y=z/%2C%26", "a", "h", 0, "", 1);
	is_text(prov_uri_word(&uri, "w"), "/x?y=z/,&", "a value is decoded");
	ok(prov_uri_word(&uri, "v") == NULL, "a word that was not given");
}

static void
test_bad(void)
{
	static const struct
	{
		const char *text;
		const char *reason;
	} cases[] = {
		{"", "scheme"},
		{"vault", "scheme"},
		{":x", "scheme"},
		{"Vault:x", "scheme"},
		{"1a:x", "scheme"},
		{"+a:x", "scheme"},
		{"a_b:x", "scheme"},
		{"seventeen-letters:x", "scheme"},
		{"abcdefghijklmnop:x", "scheme"},
		{"a://", "host"},
		{"a:///x", "host"},
		{"a://h:/x", "host"},
		{"a://h:0/x", "host"},
		{"a://h:65536/x", "host"},
		{"a://h:-1/x", "host"},
		{"a://h:123456/x", "host"},
		{"a://h:8:9/x", "host"},
		{"a://u@h/x", "host"},
		{"a://u:p@h/x", "host"},
		{"a://[]/x", "host"},
		{"a://[::1/x", "host"},
		{"a://::1]/x", "host"},
		{"a://[g::]/x", "host"},
		{"a://h%2Fi/x", "host"},
		{"a:b#c", "percent-encoded"},
		{"a:b c", "percent-encoded"},
		{"a:b\"c", "percent-encoded"},
		{"a:b\\c", "percent-encoded"},
		{"a:b\tc", "percent-encoded"},
		{"a:b\xC3\xA4", "percent-encoded"},
		{"a:%", "percent-encoded"},
		{"a:%4", "percent-encoded"},
		{"a:%4g", "percent-encoded"},
		{"a:b?", "word=value"},
		{"a:b?w", "word=value"},
		{"a:b?w=", "word=value"},
		{"a:b?=v", "word=value"},
		{"a:b?W=v", "word=value"},
		{"a:b?w_x=v", "word=value"},
		{"a:b?w=v&", "word=value"},
		{"a:b?&w=v", "word=value"},
		{"a:b?w=%0A", "word=value"},
		{"a:b?w=%00", "word=value"},
		{"a:b?w=%7f", "word=value"},
		{"a:b?w=1&v=2&w=1", "twice"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		memset(&failure, 0, sizeof(failure));
		prov_uri_parse(cases[i].text, &uri, &failure);
		is_failure(&failure, PROV_MISCONFIGURED, cases[i].reason,
				   cases[i].text);
	}

	/* A secret in the wrong place is not repeated. */
	prov_uri_parse("a:b?w=s3cret&w=s3cret", &uri, &failure);
	ok(strstr(failure.reason, "s3cret") == NULL &&
		   strstr(failure.detail, "s3cret") == NULL,
	   "a value is not quoted");
}

static void
test_limits(void)
{
	char		text[4096];
	size_t		len;

	len = (size_t) snprintf(text, sizeof(text), "a:b?");
	for (int i = 0; i < PROV_URI_WORDS_MAX; i++)
		len += (size_t) snprintf(text + len, sizeof(text) - len, "%sw%d=v",
								 i > 0 ? "&" : "", i);
	is_category(prov_uri_parse(text, &uri, &failure), PROV_OK,
				"as many settings as there may be");
	strcat(text, "&more=v");
	prov_uri_parse(text, &uri, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "too many", "one more");

	snprintf(text, sizeof(text), "a:b?w=%0511d", 1);
	is_category(prov_uri_parse(text, &uri, &failure), PROV_OK,
				"the longest value");
	snprintf(text, sizeof(text), "a:b?w=%0512d", 1);
	prov_uri_parse(text, &uri, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "too long", "a longer value");
	snprintf(text, sizeof(text), "a:b?%031d=v", 1);
	is_category(prov_uri_parse(text, &uri, &failure), PROV_OK,
				"the longest word");
	snprintf(text, sizeof(text), "a:b?%032d=v", 1);
	prov_uri_parse(text, &uri, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "too long", "a longer word");
	snprintf(text, sizeof(text), "a://%0256d/", 1);
	prov_uri_parse(text, &uri, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "host", "too long a host");
	snprintf(text, sizeof(text), "a:%01024d", 1);
	prov_uri_parse(text, &uri, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "too long", "too long a path");
}

static void
test_words(void)
{
	static const char *const some[] = {"one", "two", NULL};
	static const char *const more[] = {"three", NULL};

	prov_uri_parse("a:b?one=1&three=3", &uri, &failure);
	is_category(prov_uri_only(&uri, some, more, &failure), PROV_OK,
				"words of two lists");
	prov_uri_only(&uri, some, NULL, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "does not know",
			   "a word of no list");
	is_text(failure.detail, "It is \"three\".", "it is named");
	prov_uri_parse("a:b", &uri, &failure);
	is_category(prov_uri_only(&uri, NULL, NULL, &failure), PROV_OK,
				"no words, no lists");

	prov_uri_parse("a:b?one=1", &uri, &failure);
	setenv("PROV_TEST_ONE", "x", 1);
	setenv("PROV_TEST_EMPTY", "", 1);
	is_text(prov_uri_setting_of(&uri, "one", "PROV_TEST_ONE"), "1",
			"a word counts more than the environment");
	is_text(prov_uri_setting_of(&uri, "two", "PROV_TEST_ONE"), "x",
			"which counts without it");
	is_text(prov_uri_setting_of(&uri, NULL, "PROV_TEST_ONE"), "x",
			"or where there is no word");
	ok(prov_uri_setting_of(&uri, "two", "PROV_TEST_EMPTY") == NULL,
	   "an empty variable is none");
	ok(prov_uri_setting_of(&uri, "two", NULL) == NULL, "neither");
}

static void
test_parts(void)
{
	static const struct
	{
		const char *text;
		const char *parts;		/* each in <> */
	} cases[] = {
		{"", "<>"},
		{"a", "<a>"},
		{"a/b", "<a><b>"},
		{"/a", "<><a>"},
		{"a/", "<a><>"},
		{"//", "<><><>"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		envl_view	rest = text_view(cases[i].text);
		envl_view	part;
		char		found[64] = "";
		size_t		len = 0;

		while (prov_uri_next_part(&rest, '/', &part))
			len += (size_t) snprintf(found + len, sizeof(found) - len,
									 "<%.*s>", (int) part.len,
									 (const char *) part.data);
		is_text(found, cases[i].parts, "the parts of \"%s\"", cases[i].text);
	}
}

static void
test_encoding(void)
{
	char		out[32];
	uint8_t		bytes[8];
	size_t		len;

	ok(prov_uri_decode(text_view("a%2Fb%c3%A4+"), out, sizeof(out)),
	   "escapes of both cases");
	is_text(out, "a/b\xC3\xA4+", "are decoded, and nothing else is");
	ok(!prov_uri_decode(text_view("a%0ab"), out, sizeof(out)),
	   "a line break");
	ok(!prov_uri_decode(text_view("a%00"), out, sizeof(out)), "a NUL");
	ok(!prov_uri_decode(text_view("%"), out, sizeof(out)), "half an escape");
	ok(!prov_uri_decode(text_view("%zz"), out, sizeof(out)), "no digits");
	ok(prov_uri_decode(text_view("%61%61"), out, 3), "what fits");
	ok(!prov_uri_decode(text_view("aaa"), out, 3), "what does not");
	ok(prov_uri_decode_bytes(text_view("%00%ff"), bytes, 2, &len) &&
		   len == 2 && bytes[0] == 0 && bytes[1] == 0xFF,
	   "any bytes");
	ok(!prov_uri_decode_bytes(text_view("abc"), bytes, 2, &len),
	   "too many bytes");

	ok(prov_uri_encode("a/b c~", out, sizeof(out)), "a text");
	is_text(out, "a%2Fb%20c~", "is encoded");
	ok(prov_uri_encode("aaa", out, 4), "what fits");
	ok(!prov_uri_encode("aaaa", out, 4), "what does not");
	ok(!prov_uri_encode("//", out, 6), "nor when it is encoded");
	ok(!prov_uri_encode("", out, 0), "no room at all");
}

int
main(void)
{
	test_good();
	test_bad();
	test_limits();
	test_words();
	test_parts();
	test_encoding();
	return done_testing();
}
