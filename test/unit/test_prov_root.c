/*
 * test_prov_root.c
 *	  The provider list, categories and failures, and the binding of a KEK.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "scratch.h"
#include "unit.h"

#define NAME_63 \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static void
test_categories(void)
{
	prov_category category;

	for (int i = PROV_OK; i < PROV_CATEGORIES; i++)
	{
		const char *name = prov_category_name((prov_category) i);
		bool		parsed = prov_category_parse(text_view(name), &category);

		if (i == PROV_OK)
			ok(!parsed, "\"%s\" is no category of a reply", name);
		else
			ok(parsed && category == (prov_category) i,
			   "category %s is parsed", name);
	}
	ok(!prov_category_parse(text_view("Denied"), &category),
	   "another case is another word");
	ok(!prov_category_parse(text_view(""), &category), "no word");
	ok(!prov_category_parse(text_view("denied "), &category),
	   "a longer word");
}

static void
test_failure(void)
{
	prov_failure failure;
	char		path[400];

	is_category(prov_fail(&failure, PROV_DENIED, "No.", "%s %d", "file", 7),
				PROV_DENIED, "a failure returns its category");
	is_text(failure.reason, "No.", "its reason");
	is_text(failure.detail, "file 7", "its detail");
	prov_fail(&failure, PROV_DENIED, "No.", NULL);
	is_text(failure.detail, "", "no detail");

	/* Two-byte characters up to the end, at both parities. */
	for (int shift = 0; shift < 2; shift++)
	{
		size_t		len;

		memset(path, 'x', sizeof(path));
		for (size_t i = 310 + (size_t) shift; i + 1 < sizeof(path); i += 2)
			memcpy(path + i, "\xC3\xA4", 2);
		path[sizeof(path) - 1] = '\0';
		prov_fail(&failure, PROV_DENIED, "No.", "%s", path);
		len = strlen(failure.detail);
		ok(len < sizeof(failure.detail) &&
			   (failure.detail[len - 1] & 0x80) == 0,
		   "a long detail is not cut within a character (%d)", shift);
	}
}

/* Reads a whole list and writes what was found: name@database kind path. */
static prov_category
read_list(const char *list, char *found, size_t size, prov_failure *failure)
{
	static const char *const kinds[] = {
		"file", "passphrase", "command", "kms", "pkcs11"};
	const char *cursor = list;
	size_t		len = 0;

	found[0] = '\0';
	for (;;)
	{
		prov_root	root;
		bool		more;
		prov_category category = prov_root_next(&cursor, &root, &more,
												failure);

		if (category != PROV_OK)
		{
			ok(!more && root.name[0] == '\0', "nothing is left of it");
			return category;
		}
		if (!more)
			return PROV_OK;
		len += (size_t) snprintf(found + len, size - len, "%s@%s %s %s;",
								 root.name, root.database, kinds[root.kind],
								 root.location);
	}
}

static void
test_good_lists(void)
{
	static const struct
	{
		const char *list;
		const char *found;
	} cases[] = {
		{"", ""},
		{" \t\n", ""},
		{"main=file:///etc/root.key", "main@ file /etc/root.key;"},
		{" a=file:///a ,\n b@shop=passphrase:///b,c=command:/usr/bin/c ",
		 "a@ file /a;b@shop passphrase /b;c@ command /usr/bin/c;"},
		{"a=file:///with space,b=file:///b",
		 "a@ file /with space;b@ file /b;"},
		{"a=file:///x=y@z", "a@ file /x=y@z;"},
		{"a@b@c=file:///x", "a@b@c file /x;"},
		{"a@my db=file:///x", "a@my db file /x;"},
		{"a=file:///\xC3\xA4", "a@ file /\xC3\xA4;"},
		{"A-_9=command:/x", "A-_9@ command /x;"},
		{NAME_63 "=file:///x", NAME_63 "@ file /x;"},
		{"a@" NAME_63 "=file:///x", "a@" NAME_63 " file /x;"},
		{"a=vault://host:8200/transit/keys/x?ca-file=/a%2Cb",
		 "a@ kms vault://host:8200/transit/keys/x?ca-file=/a%2Cb;"},
		{"a=vault+http://[::1]/x/y/keys/z",
		 "a@ kms vault+http://[::1]/x/y/keys/z;"},
		{"a=awskms:arn:aws:kms:eu-central-1:1:key/2, b=pkcs11:token=t;id=%00",
		 "a@ kms awskms:arn:aws:kms:eu-central-1:1:key/2;"
		 "b@ pkcs11 pkcs11:token=t;id=%00;"},
		{"a@b=gcpkms://projects/p/cryptoKeys/k?x=y=z,c=azurekv://h/keys/k",
		 "a@b kms gcpkms://projects/p/cryptoKeys/k?x=y=z;"
		 "c@ kms azurekv://h/keys/k;"},
		/* Which of two counts is for the caller to say. */
		{"a=file:///x,a=file:///y", "a@ file /x;a@ file /y;"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		prov_failure failure = {PROV_OK, "", ""};
		char		found[512];

		is_category(read_list(cases[i].list, found, sizeof(found), &failure),
					PROV_OK, cases[i].list);
		is_text(found, cases[i].found, "it is read");
	}
}

static void
test_bad_lists(void)
{
	static const struct
	{
		const char *list;
		const char *reason;
	} cases[] = {
		{"main", "not of the form"},
		{",", "ends with a comma"},
		{"a=file:///x,", "ends with a comma"},
		{"a=file:///x, ", "ends with a comma"},
		{",a=file:///x", "not of the form"},
		{"a=file:///x,,b=file:///y", "not of the form"},
		{"=file:///x", "name"},
		{"@db=file:///x", "name"},
		{"a b=file:///x", "name"},
		{"a =file:///x", "name"},
		{"a.b=file:///x", "name"},
		{"\xC3\xA4=file:///x", "name"},
		{NAME_63 "x=file:///x", "name"},
		{"a@=file:///x", "database"},
		{"a@b\tc=file:///x", "database"},
		{"a@" NAME_63 "x=file:///x", "database"},
		{"a=", "must start with"},
		{"a=/etc/root.key", "must start with"},
		{"a= file:///x", "must start with"},
		{"a=FILE:///x", "must start with"},
		{"a=file:/x", "must start with"},
		{"a=vaults://host:8200/transit/keys/x", "must start with"},
		{"a=vault", "must start with"},
		{"a=pkcs11", "must start with"},
		{"a=VAULT://host/transit/keys/x", "must start with"},
		{"a=vault://user@host/transit/keys/x", "host"},
		{"a=vault:///transit/keys/x", "host"},
		{"a=vault://host:0/transit/keys/x", "host"},
		{"a=vault://host/transit keys/x", "percent-encoded"},
		{"a=vault://host/%2/x", "percent-encoded"},
		{"a=vault://host/x#y", "percent-encoded"},
		{"a=vault://host/x?y", "word=value"},
		{"a=vault://host/x?y=", "word=value"},
		{"a=vault://host/x?y=1&y=2", "twice"},
		{"a=pkcs11:token=t?pin-value=1234", "PIN"},
		{"a=file://", "absolute path"},
		{"a=file:///", "absolute path"},
		{"a=file://host/x", "absolute path"},
		{"a=file:////x", "absolute path"},
		{"a=passphrase://x", "absolute path"},
		{"a=command:x", "absolute path"},
		{"a=command:", "absolute path"},
		{"a=command:///x", "absolute path"},
		{"a=file:///x%20y", "must not hold"},
		{"a=file:///x?y", "must not hold"},
		{"a=file:///x#y", "must not hold"},
		{"a=file:///x\x01y", "must not hold"},
		{"a=file:///x\ny", "must not hold"},
		{"a=file:///x\x7Fy", "must not hold"},
	};
	char		found[PROV_LOCATION_SIZE + 64];
	prov_failure failure;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		memset(&failure, 0, sizeof(failure));
		is_category(read_list(cases[i].list, found, sizeof(found), &failure),
					PROV_MISCONFIGURED, "refused");
		is_failure(&failure, PROV_MISCONFIGURED, cases[i].reason,
				   cases[i].list);
	}

	/* One byte too many. */
	{
		char		list[PROV_LOCATION_SIZE + 32];

		snprintf(list, sizeof(list), "a=vault:%01016d", 0);
		is_category(read_list(list, found, sizeof(found), &failure), PROV_OK,
					"the longest URI");
		snprintf(list, sizeof(list), "a=vault:%01018d", 0);
		read_list(list, found, sizeof(found), &failure);
		is_failure(&failure, PROV_MISCONFIGURED, "shorter than 1024",
				   "too long a URI");
		ok(strstr(failure.detail, "\"a\"") != NULL, "it is named");
	}

	/* What was put where a URI belongs may be a key. */
	read_list("main=c2VjcmV0c2VjcmV0c2VjcmV0", found, sizeof(found),
			  &failure);
	ok(strstr(failure.reason, "c2Vj") == NULL &&
		   strstr(failure.detail, "c2Vj") == NULL &&
		   strstr(failure.detail, "main") != NULL,
	   "an entry is named, not quoted");
}

static void
test_long_path(void)
{
	char		list[PROV_LOCATION_SIZE + 32];
	char		found[2 * PROV_LOCATION_SIZE];
	prov_failure failure;

	for (size_t len = PROV_LOCATION_SIZE - 1; len <= PROV_LOCATION_SIZE;
		 len++)
	{
		size_t		start = (size_t) snprintf(list, sizeof(list),
											  "a=file://");

		memset(list + start, '/', 1);
		memset(list + start + 1, 'x', len - 1);
		list[start + len] = '\0';
		is_category(read_list(list, found, sizeof(found), &failure),
					len < PROV_LOCATION_SIZE ? PROV_OK : PROV_MISCONFIGURED,
					"a path as long as fits, and one byte more");
	}
}

static void
test_list_goes_on(void)
{
	const char *cursor = "bad,good=file:///x";
	prov_root	root;
	prov_failure failure;
	bool		found;

	is_category(prov_root_next(&cursor, &root, &found, &failure),
				PROV_MISCONFIGURED, "a bad entry");
	is_category(prov_root_next(&cursor, &root, &found, &failure), PROV_OK,
				"what comes behind it");
	ok(found && strcmp(root.name, "good") == 0, "is read");
}

static void
test_binding(void)
{
	const prov_kek kek = {"k", 0x0123456789AB, 7};
	envl_key	key;
	envl_key	back;
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	prov_failure failure;

	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t) (i + 1);
	is_category(prov_kek_bind(&kek, &key, plaintext, &failure), PROV_OK,
				"a KEK is bound");
	is_category(prov_kek_check(&kek, plaintext, &back, &failure), PROV_OK,
				"and found to be");
	ok(memcmp(&key, &back, sizeof(key)) == 0, "it is the same KEK");

	for (size_t i = ENVL_KEY_LEN; i < sizeof(plaintext); i++)
	{
		prov_category category;

		plaintext[i] ^= 0x80;
		category = prov_kek_check(&kek, plaintext, &back, &failure);
		plaintext[i] ^= 0x80;
		if (category != PROV_INTEGRITY || !all_zero(&back, sizeof(back)))
			ok(false, "byte %zu of the binding is checked", i);
	}
	for (int i = 0; i < 2; i++)
	{
		const prov_kek other = {"k", kek.key_id + (i == 0),
								(uint16_t) (kek.version + (i == 1))};

		prov_kek_check(&other, plaintext, &back, &failure);
		is_failure(&failure, PROV_INTEGRITY, "another key or version",
				   i == 0 ? "another key" : "another version");
		ok(all_zero(&back, sizeof(back)), "no key is left");
	}
}

int
main(void)
{
	test_categories();
	test_failure();
	test_good_lists();
	test_bad_lists();
	test_long_path();
	test_list_goes_on();
	test_binding();
	return done_testing();
}
