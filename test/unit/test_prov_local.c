/*
 * test_prov_local.c
 *	  Sealing under a root key in a file or from a passphrase.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/local/prov_jwe.h"
#include "providers/local/prov_local.h"
#include "scratch.h"
#include "unit.h"

#define KEY_A "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n"
#define KEY_B "/wIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n"

static const prov_kek kek = {"customers", 0x0123456789AB, 3};
static uint8_t plaintext[ENVL_SEALED_PLAINTEXT_LEN];
static prov_failure failure;

/* A provider whose file holds that. */
static prov_root
make_root(prov_kind kind, const char *content)
{
	const char *name = (kind == PROV_FILE) ? "root" : "pass";

	return scratch_root(kind, scratch_file(name, content, 0600));
}

/* Unseals, and checks that a failure leaves no plaintext. */
static prov_category
unseal(const prov_root *root, const prov_kek *which,
	   const prov_sealed *sealed, uint8_t *out)
{
	prov_category category;

	memset(&failure, 0, sizeof(failure));
	memset(out, 0xFF, ENVL_SEALED_PLAINTEXT_LEN);
	category = prov_local_unseal(root, NULL, which, sealed, out, &failure);
	if (category != PROV_OK && !all_zero(out, ENVL_SEALED_PLAINTEXT_LEN))
		ok(false, "a failure leaves no plaintext");
	return category;
}

/* Puts the JWE together again with another header. */
static void
replace_header(const prov_sealed *sealed, const char *header,
			   prov_sealed *out)
{
	const uint8_t *rest = memchr(sealed->bytes, '.', sealed->len);
	size_t		rest_len = sealed->len - (size_t) (rest - sealed->bytes);
	envl_view	view = text_view(header);
	size_t		len = envl_base64_encoded_len(ENVL_BASE64_URL, view.len);

	*out = *sealed;
	envl_base64_encode(ENVL_BASE64_URL, view, (char *) out->bytes);
	memcpy(out->bytes + len, rest, rest_len);
	out->len = len + rest_len;
}

static void
test_round_trip(prov_kind kind, const char *content)
{
	prov_root	root = make_root(kind, content);
	prov_sealed first;
	prov_sealed second;
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];

	is_category(prov_local_seal(&root, NULL, &kek, plaintext, &first,
								&failure),
				PROV_OK, "seal");
	is_category(prov_local_seal(&root, NULL, &kek, plaintext, &second,
								&failure),
				PROV_OK, "seal again");
	ok(first.len == second.len &&
		   memcmp(first.bytes, second.bytes, first.len) != 0,
	   "two seals of the same differ");
	is((long long) strlen(first.root_key), 2 * ENVL_FINGERPRINT_LEN,
	   "the root key is named by its fingerprint");
	is(strcmp(first.root_key, second.root_key) == 0, kind == PROV_FILE,
	   "a passphrase gives another root key for each salt");
	is_category(unseal(&root, &kek, &first, out), PROV_OK, "unseal");
	ok(memcmp(out, plaintext, sizeof(out)) == 0, "it is what was sealed");
	first.root_key[0] = '\0';
	is_category(unseal(&root, &kek, &first, out), PROV_OK,
				"the name of the root key is not needed");
}

/* The form is that of docs/format.md, section 6.6. */
static void
test_form(void)
{
	prov_root	root = make_root(PROV_FILE, KEY_A);
	static const struct
	{
		const char *name;
		const char *kid;		/* as JSON */
	} cases[] = {
		{"customers", "customers@0123456789ab/3"},
		{"a\"b\\c/d@e", "a\\\"b\\\\c/d@e@0123456789ab/3"},
		{"\b\t\n\f\r", "\\b\\t\\n\\f\\r@0123456789ab/3"},
		{"\x01\x0b\x1f\x7f", "\\u0001\\u000b\\u001f\x7f@0123456789ab/3"},
		{"\xC3\xA4\xF0\x9F\x98\x80",
		 "\xC3\xA4\xF0\x9F\x98\x80@0123456789ab/3"},
		{"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		 "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		 "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		 "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		 "\x01\x01",
		 NULL},
	};
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		prov_kek	named = kek;
		uint8_t		header[PROV_JWE_HEADER_MAX + 3];
		char		want[PROV_JWE_HEADER_MAX];
		size_t		len;
		size_t		first_len;

		named.name = cases[i].name;
		is_category(prov_local_seal(&root, NULL, &named, plaintext, &sealed,
									&failure),
					PROV_OK, "seal");
		is_category(unseal(&root, &named, &sealed, out), PROV_OK, "unseal");
		is_category(unseal(&root, &kek, &sealed, out), PROV_OK,
					"a key may be renamed");
		if (cases[i].kid == NULL)
			continue;
		first_len = (size_t) ((const uint8_t *) memchr(sealed.bytes, '.',
													   sealed.len) -
							  sealed.bytes);
		if (envl_base64_decode(ENVL_BASE64_URL,
							   (envl_view) {sealed.bytes, first_len}, header,
							   &len) != ENVL_OK)
			len = 0;
		snprintf(want, sizeof(want),
				 "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"%s\"}",
				 cases[i].kid);
		is_bytes((envl_view) {header, len}, text_view(want), "its header");
	}
}

static void
test_bad_names(void)
{
	prov_root	root = make_root(PROV_FILE, KEY_A);
	prov_kek	named = kek;
	prov_sealed sealed;
	char		name[ENVL_KEY_NAME_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[ENVL_KEY_NAME_MAX + 1] = '\0';
	named.name = name;
	is_category(prov_local_seal(&root, NULL, &named, plaintext, &sealed,
								&failure),
				PROV_MISCONFIGURED, "64 bytes");
	named.name = name + 1;
	is_category(prov_local_seal(&root, NULL, &named, plaintext, &sealed,
								&failure),
				PROV_OK, "63 bytes");
	named.name = "\xE4";
	ok(prov_local_seal(&root, NULL, &named, plaintext, &sealed,
					   &failure) != PROV_OK,
	   "not UTF-8");
	ok(all_zero(&sealed, sizeof(sealed)), "nothing is sealed");
}

static void
test_wrong_root(void)
{
	prov_root	root = make_root(PROV_FILE, KEY_A);
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;
	prov_sealed other;
	char		want[400];

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	scratch_file("root", KEY_B, 0600);
	prov_local_seal(&root, NULL, &kek, plaintext, &other, &failure);
	unseal(&root, &kek, &sealed, out);
	is_failure(&failure, PROV_INTEGRITY, "not the one that sealed",
			   "another root key");
	snprintf(want, sizeof(want), "Provider \"main\" holds root key %s; it "
								 "was sealed by root key %s.",
			 other.root_key, sealed.root_key);
	is_text(failure.detail, want, "both fingerprints are told to the log");

	strcpy(sealed.root_key, "\x1b[2J; DROP TABLE");
	unseal(&root, &kek, &sealed, out);
	ok(strstr(failure.detail, "unknown") != NULL &&
		   strstr(failure.detail, "DROP") == NULL,
	   "what is no fingerprint is not shown");

	root.kind = PROV_COMMAND;
	unseal(&root, &kek, &sealed, out);
	ok(failure.category != PROV_OK, "not a local provider");
}

/* Every single changed, missing or added byte is found. */
static void
test_altered(void)
{
	prov_root	root = make_root(PROV_FILE, KEY_A);
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;
	prov_sealed changed;
	size_t		opened = 0;
	size_t		other = 0;

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	for (size_t i = 0; i < sealed.len; i++)
	{
		static const uint8_t flips[] = {0x01, 0x02, 0x20, 0x80};

		for (size_t j = 0; j < sizeof(flips); j++)
		{
			changed = sealed;
			changed.bytes[i] ^= flips[j];
			switch (unseal(&root, &kek, &changed, out))
			{
				case PROV_OK:
					opened++;
					break;
				case PROV_INTEGRITY:
					break;
				default:
					other++;
			}
		}
	}
	is((long long) opened, 0, "no changed byte is accepted");
	is((long long) other, 0, "all are PROV_INTEGRITY");

	for (size_t len = 0; len < sealed.len; len++)
	{
		changed = sealed;
		changed.len = len;
		if (unseal(&root, &kek, &changed, out) != PROV_INTEGRITY)
			ok(false, "cut to %zu bytes", len);
	}
	changed = sealed;
	changed.bytes[changed.len++] = 'A';
	is_category(unseal(&root, &kek, &changed, out), PROV_INTEGRITY,
				"a byte more");
	changed.bytes[changed.len - 1] = '.';
	is_category(unseal(&root, &kek, &changed, out), PROV_INTEGRITY,
				"a part more");
	changed.bytes[changed.len - 1] = '=';
	is_category(unseal(&root, &kek, &changed, out), PROV_INTEGRITY,
				"padding");
	memset(changed.bytes, 'A', sizeof(changed.bytes));
	changed.len = PROV_SEALED_MAX;
	is_category(unseal(&root, &kek, &changed, out), PROV_INTEGRITY,
				"the longest blob");
	changed.len = PROV_SEALED_MAX + 1;
	is_category(unseal(&root, &kek, &changed, out), PROV_INTEGRITY,
				"a longer one");

	changed = sealed;
	changed.bytes[changed.len - 3] =
		changed.bytes[changed.len - 3] == 'A' ? 'B' : 'A';
	unseal(&root, &kek, &changed, out);
	is_failure(&failure, PROV_INTEGRITY, "was altered",
			   "the right root key and a wrong tag");
}

/* Spellings of the header that another JOSE library might take. */
static void
test_headers(void)
{
	static const char *const headers[] = {
		"",
		"{}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"",
		"{\"enc\":\"A256GCM\",\"alg\":\"dir\","
		"\"kid\":\"customers@0123456789ab/3\"}",
		"{\"alg\":\"dir\", \"enc\":\"A256GCM\","
		"\"kid\":\"customers@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customers@0123456789ab/3\"} ",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customers@0123456789ab/3\",\"zip\":\"DEF\"}",
		"{\"alg\":\"dir\",\"enc\":\"A128GCM\","
		"\"kid\":\"customers@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customers@0123456789AB/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customers@0123456789ab/03\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customer\\u0073@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"customer\\/@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"\\u0000@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"\\u000A@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"\\u00\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"\\\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"\xE4@0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"0123456789ab/3\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\","
		"\"kid\":\"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA\"}",
		"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"xxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@0123456789ab/3\"}",
	};
	prov_root	root = make_root(PROV_FILE, KEY_A);
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;
	prov_sealed changed;

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
	{
		replace_header(&sealed, headers[i], &changed);
		unseal(&root, &kek, &changed, out);
		is_failure(&failure, PROV_INTEGRITY, "of this kind", headers[i]);
	}
}

static void
test_swapped(void)
{
	prov_root	root = make_root(PROV_FILE, KEY_A);
	prov_kek	other = kek;
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	other.version++;
	unseal(&root, &other, &sealed, out);
	is_failure(&failure, PROV_INTEGRITY, "another key or version",
			   "the blob of another version");
	is_text(failure.detail,
			"It is that of 0123456789ab/3, not 0123456789ab/4.",
			"the log is told which");
	other = kek;
	other.key_id++;
	unseal(&root, &other, &sealed, out);
	is_failure(&failure, PROV_INTEGRITY, "another key or version",
			   "the blob of another key");
}

static void
test_passphrase(void)
{
	prov_root	root = make_root(PROV_PASSPHRASE, "correct horse");
	prov_root	file = make_root(PROV_FILE, KEY_A);
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;
	prov_sealed by_file;

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	scratch_file("pass", "correct horse\n", 0600);
	is_category(unseal(&root, &kek, &sealed, out), PROV_OK,
				"a newline is not part of a passphrase");
	scratch_file("pass", "correct horsf", 0600);
	unseal(&root, &kek, &sealed, out);
	is_failure(&failure, PROV_INTEGRITY, "not the one that sealed",
			   "a wrong passphrase");

	scratch_file("pass", "1234567\n", 0600);
	prov_local_seal(&root, NULL, &kek, plaintext, &by_file, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "fewer than 8 bytes",
			   "a short passphrase");
	scratch_file("pass", "12345678\n", 0600);
	is_category(prov_local_seal(&root, NULL, &kek, plaintext, &by_file,
								&failure),
				PROV_OK, "one of 8 bytes");

	prov_local_seal(&file, NULL, &kek, plaintext, &by_file, &failure);
	unseal(&file, &kek, &sealed, out);
	is_failure(&failure, PROV_INTEGRITY, "of this kind",
			   "a passphrase's blob for a file");
	unseal(&root, &kek, &by_file, out);
	is_failure(&failure, PROV_INTEGRITY, "of this kind",
			   "a file's blob for a passphrase");
}

/*
 * Costs are refused before scrypt runs: a cost that is let through takes
 * noticeable time and then fails at the tag, with another reason.
 */
static void
test_costs(void)
{
	static const struct
	{
		const char *kid;
		const char *reason;
	} cases[] = {
		{"$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "scrypt cost"},
		{"$scrypt$ln=21,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "scrypt cost"},
		{"$scrypt$ln=63,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "scrypt cost"},
		{"$scrypt$ln=99,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "scrypt cost"},
		{"$scrypt$ln=9,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=017,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=117,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=+7,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,r=9,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,r=8,p=2$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,p=1,r=8$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$argon2$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAAA", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAB", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAA-_", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==", "of this kind"},
		{"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$x", "of this kind"},
		{"$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA", "sealed this key"},
	};
	prov_root	root = make_root(PROV_PASSPHRASE, "correct horse");
	uint8_t		out[ENVL_SEALED_PLAINTEXT_LEN];
	prov_sealed sealed;
	prov_sealed changed;
	char		header[256];

	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(header, sizeof(header),
				 "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"%s\"}",
				 cases[i].kid);
		replace_header(&sealed, header, &changed);
		unseal(&root, &kek, &changed, out);
		is_failure(&failure, PROV_INTEGRITY, cases[i].reason, cases[i].kid);
	}
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(plaintext); i++)
		plaintext[i] = (uint8_t) (200 - i);
	test_round_trip(PROV_FILE, KEY_A);
	test_round_trip(PROV_PASSPHRASE, "correct horse battery staple\n");
	test_form();
	test_bad_names();
	test_wrong_root();
	test_altered();
	test_headers();
	test_swapped();
	test_passphrase();
	test_costs();
	return done_testing();
}
