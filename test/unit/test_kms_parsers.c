/*
 * test_kms_parsers.c
 *	  Small parsers of the clouds' providers: profile files, times, XML, forms,
 *	  checksums and the form of what is sealed.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/aws/prov_profile.h"
#include "providers/aws/prov_xml.h"
#include "providers/gcp/prov_crc32c.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_form.h"
#include "providers/http/prov_time.h"
#include "unit.h"

static void
profile_is(const char *text, const char *profile, const char *setting,
		   const char *want, const char *name)
{
	envl_view	value = {NULL, 0};
	bool		found;

	found = prov_profile_find(text_view(text), profile, setting, &value);
	if (want == NULL)
		ok(!found, "profile: %s: absent", name);
	else if (ok(found, "profile: %s: found", name))
		is_bytes(value, text_view(want), "profile: %s", name);
}

static void
test_profile(void)
{
	static const char file[] =
		"outside = 1\n"
		"# remark\n"
		"[default]\n"
		"Key = one\r\n"
		"key_of = another\n"
		"[profile app]  # remark\n"
		"key=two = 2 \n"
		"list =\n"
		"  key = indented\n"
		"; key = remark\n"
		"#key = remark\n"
		"no equals\n"
		"empty =\n"
		"[ profile   \"two words\" ]\n"
		"key = quoted\n"
		"[profile]\n"
		"key = bare\n"
		"[profiler]\n"
		"key = longer\n"
		"[app]\n"
		"other = merged\n"
		"[last]\n"
		"key = 1\n"
		"key = end";
	envl_view	unused;

	profile_is(file, "default", "key", "one", "default");
	profile_is(file, "app", "key", "two = 2", "with a profile's word");
	profile_is(file, "app", "KEY", "two = 2", "in capitals");
	profile_is(file, "app", "other", "merged", "in two sections");
	profile_is(file, "app", "empty", "", "an empty value");
	profile_is(file, "app", "list", "", "a list");
	profile_is(file, "two words", "key", "quoted", "in quotes");
	profile_is(file, "profile", "key", "bare", "named profile");
	profile_is(file, "profiler", "key", "longer", "a longer word");
	profile_is(file, "last", "key", "end", "repeated, no newline");
	profile_is(file, "app", "ke", NULL, "a part of a name");
	profile_is(file, "ap", "key", NULL, "a part of a profile");
	profile_is(file, "default", "outside", NULL, "outside of sections");
	profile_is(file, "App", "key", NULL, "a profile in capitals");
	profile_is("", "default", "key", NULL, "an empty file");
	profile_is("[default", "default", "key", NULL, "a broken section");
	profile_is("[default]\n= x\n", "default", "", "x", "an empty name");
	ok(prov_profile_find(text_view(file), "last", NULL, &unused),
	   "profile: that it is there");
	ok(!prov_profile_find(text_view(file), "none", NULL, &unused),
	   "profile: that it is not");
}

static void
test_times(void)
{
	static const struct
	{
		const char *text;
		long long	want;		/* -1: none */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-26T01:32:20Z", 1795656740},
		{"2026-11-26T01:32:20.123456789Z", 1795656740},
		{"2026-11-26t01:32:20z", 1795656740},
		{"2026-11-26T03:32:20+02:00", 1795656740},
		{"2026-11-25T20:02:20-05:30", 1795656740},
		{"2024-02-29T00:00:00Z", 1709164800},
		{"2023-02-29T00:00:00Z", -1},
		{"2026-04-31T00:00:00Z", -1},
		{"2026-13-01T00:00:00Z", -1},
		{"2026-00-01T00:00:00Z", -1},
		{"2026-11-26T24:00:00Z", -1},
		{"2026-11-26T01:60:00Z", -1},
		{"2026-11-26T01:32:20", -1},
		{"2026-11-26T01:32:20.Z", -1},
		{"2026-11-26T01:32:20Z ", -1},
		{"2026-11-26T01:32:20+0200", -1},
		{" 2026-11-26T01:32:20Z", -1},
		{"1969-12-31T23:59:59Z", -1},
		{"20261126T013220Z", -1},
		{"2026-11-26T01:32:+1Z", -1},
		{"", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		time_t		got = -1;
		bool		read = prov_time_parse(text_view(cases[i].text), &got);

		if (cases[i].want < 0)
			ok(!read, "time: \"%s\" is none", cases[i].text);
		else
			is(read ? (long long) got : -1, cases[i].want, "time: \"%s\"",
			   cases[i].text);
	}
}

static void
test_xml(void)
{
	static const struct
	{
		const char *text;
		const char *want;
	} cases[] = {
		{"<r><a>text</a></r>", "text"},
		{"<a>first</a><a>second</a>", "first"},
		{"<aa>no</aa><a>yes</a>", "yes"},
		{"<a>1234567</a>", "1234567"},
		{"<a>12345678</a>", NULL},
		{"<a></a>", NULL},
		{"<a/>", NULL},
		{"<a>never ends", NULL},
		{"</a><a>", NULL},
		{"<a><b>x</b></a>", NULL},
		{"<a>x&amp;</a>", NULL},
		{"<a>x\t</a>", NULL},
		{"<a x=\"1\">x</a>", NULL},
		{"", NULL},
	};
	char		out[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		bool		found;

		memset(out, 'x', sizeof(out));
		found = prov_xml_text(text_view(cases[i].text), "a", out,
							  sizeof(out));
		if (cases[i].want == NULL)
			ok(!found && out[0] == '\0', "XML: \"%s\" has none",
			   cases[i].text);
		else
			is_text(found ? out : "", cases[i].want, "XML: \"%s\"",
					cases[i].text);
	}
}

static void
test_form(void)
{
	char		buffer[32];
	prov_form	form;
	envl_view	body;

	prov_form_begin(&form, buffer, sizeof(buffer));
	prov_form_put(&form, "a", "1 &=+%");
	prov_form_put(&form, "b", "");
	ok(prov_form_end(&form, &body), "form: fits");
	is_bytes(body, text_view("a=1%20%26%3D%2B%25&b="), "form: is escaped");

	prov_form_begin(&form, buffer, 6);
	prov_form_put(&form, "a", "1234");
	ok(!prov_form_end(&form, &body), "form: a byte too long");
	prov_form_begin(&form, buffer, 7);
	prov_form_put(&form, "a", "1234");
	ok(prov_form_end(&form, &body), "form: just fits");
	prov_form_put(&form, "b", "");
	prov_form_put(&form, "c", "");
	ok(!prov_form_end(&form, &body), "form: stays too long");
	is((long long) body.len, 0, "form: and then has no body");
	prov_form_begin(&form, buffer, 0);
	prov_form_put(&form, "a", "");
	ok(!prov_form_end(&form, &body), "form: no room at all");
}

/* RFC 3720, appendix B.4. */
static void
test_crc32c(void)
{
	uint8_t		bytes[32];

	is(prov_crc32c((envl_view) {NULL, 0}), 0, "CRC-32C: of nothing");
	is(prov_crc32c(text_view("123456789")), 0xE3069283, "CRC-32C: digits");
	memset(bytes, 0, sizeof(bytes));
	is(prov_crc32c((envl_view) {bytes, 32}), 0x8A9136AA, "CRC-32C: zeros");
	memset(bytes, 0xFF, sizeof(bytes));
	is(prov_crc32c((envl_view) {bytes, 32}), 0x62A8AB43, "CRC-32C: ones");
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t) i;
	is(prov_crc32c((envl_view) {bytes, 32}), 0x46DD794E, "CRC-32C: rising");
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t) (31 - i);
	is(prov_crc32c((envl_view) {bytes, 32}), 0x113FDB5C, "CRC-32C: falling");
}

static void
test_sealed(void)
{
	static prov_sealed sealed;
	static uint8_t bytes[PROV_SEALED_MAX + 3];
	static const char *const bad[] = {
		"",
		"x:v1:",
		"x:v1",
		"y:v1:YWJjZA==",
		"x:v1:YWJjZA",
		"x:v1:YWJjZB==",
		"x:v1:YWJjZA==\n",
		"x:v1:YWJjZA== ",
		"x:v1:YW_jZA==",
		"X:v1:YWJjZA==",
	};
	size_t		len;

	ok(prov_cloud_write_sealed(&sealed, "x:v1:", ENVL_BASE64_STANDARD,
							   text_view("abcd")),
	   "sealed: is written");
	is_bytes((envl_view) {sealed.bytes, sealed.len},
			 text_view("x:v1:YWJjZA=="), "sealed: prefix and base64");
	ok(prov_cloud_read_sealed((envl_view) {sealed.bytes, sealed.len},
							  "x:v1:", ENVL_BASE64_STANDARD, bytes, &len),
	   "sealed: is read");
	is_bytes((envl_view) {bytes, len}, text_view("abcd"),
			 "sealed: as it was");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!prov_cloud_read_sealed(text_view(bad[i]), "x:v1:",
								   ENVL_BASE64_STANDARD, bytes, &len) &&
			   len == 0,
		   "sealed: \"%.12s\" is refused", bad[i]);

	memset(bytes, 0, sizeof(bytes));
	ok(!prov_cloud_write_sealed(&sealed, "x:v1:", ENVL_BASE64_STANDARD,
								(envl_view) {bytes, 3070}),
	   "sealed: too long to be written");
	ok(prov_cloud_write_sealed(&sealed, "x:v1:", ENVL_BASE64_STANDARD,
							   (envl_view) {bytes, 3066}),
	   "sealed: the longest");
	ok(!prov_cloud_write_sealed(&sealed, "x:v1:", ENVL_BASE64_STANDARD,
								(envl_view) {bytes, 0}),
	   "sealed: nothing");
}

int
main(void)
{
	test_profile();
	test_times();
	test_xml();
	test_form();
	test_crc32c();
	test_sealed();
	return done_testing();
}
