/*
 * test_audit.c
 *	  The audit's chain: what each MAC depends on, and on what alone.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_audit.h"
#include "unit.h"

#define LONG_LEN 70000			/* more than two bytes of a length say */

static const envl_key kek = {
	{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
	 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
	 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}};
static const uint8_t first[ENVL_AUDIT_MAC_LEN];

/* An entry of these fields; a name says which, for the check. */
static void
entry(const uint8_t *previous, const envl_view *fields, size_t count,
	  uint8_t *out)
{
	is_status(envl_audit_entry(&kek, previous, fields, count, out), ENVL_OK,
			  "an entry of %zu fields", count);
}

static void
check_hex(const uint8_t *got, const char *hex, const char *name)
{
	uint8_t		want[ENVL_AUDIT_MAC_LEN];

	from_hex(hex, want, sizeof(want));
	is_bytes((envl_view) {got, ENVL_AUDIT_MAC_LEN},
			 (envl_view) {want, sizeof(want)}, "%s", name);
}

/* Made by Python's hmac, from what docs/format.md says. */
static void
test_known(void)
{
	const envl_view fields[] = {
		text_view("1"), text_view(""), {NULL, 0}, text_view("gr\xc3\xa4nt")};
	uint8_t		mac[ENVL_AUDIT_MAC_LEN];
	envl_key	chain;

	is_status(envl_audit_key(&kek, UINT64_C(0x123456789abc), 258, &chain),
			  ENVL_OK, "a chain key");
	check_hex(chain.bytes, "141064825f2d384b48fd8e0c49ec867e"
						   "91cc75e52f83e082f7df465e03c75c69",
			  "is the HMAC of label, id and version");
	entry(first, fields, 4, mac);
	check_hex(mac, "b81afa974adca003479276d4687d5e2d"
				   "6e3dffc6c5817bd2ed57f12641391c6c",
			  "is the HMAC of label, the MAC before, and fields");
	is_status(envl_audit_anchor(&kek, text_view("a\nb\n"), mac), ENVL_OK,
			  "an anchor");
	check_hex(mac, "19e0c32aff1992fd7324d3a062cc7579"
				   "c75a872865d3a2338b7012ee81dcc86b",
			  "is the HMAC of label and lines");
}

static void
test_keys(void)
{
	static const struct
	{
		uint64_t	id;
		uint16_t	version;
	} others[] = {{1, 2}, {2, 1}, {UINT64_C(0x100000001), 1}, {1, 257}};
	envl_key	one;
	envl_key	other;

	is_status(envl_audit_key(&kek, 1, 1, &one), ENVL_OK, "a chain key");
	ok(memcmp(&one, &kek, sizeof(one)) != 0, "is not the KEK");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
	{
		is_status(envl_audit_key(&kek, others[i].id, others[i].version,
								 &other),
				  ENVL_OK, "another");
		ok(memcmp(&one, &other, sizeof(one)) != 0,
		   "of key %llu, version %u, is another",
		   (unsigned long long) others[i].id, (unsigned) others[i].version);
	}
}

/* Lists of fields that a careless spelling would make alike. */
static void
test_fields(void)
{
	static uint8_t zeroes[LONG_LEN];
	const envl_view absent = {NULL, 0};
	const envl_view empty = text_view("");
	const envl_view ab = text_view("ab");
	const envl_view lists[][3] = {
		{ab, empty, empty}, {empty, ab, empty}, {empty, empty, ab}, {text_view("a"), text_view("b"), empty}, {empty, empty, empty}, {absent, empty, empty}, {empty, absent, empty}, {absent, absent, absent}, {ab, absent, absent}, {text_view("\xff\xff\xff\xff"), empty, empty}, {{zeroes, 4}, empty, empty}, {{zeroes, 8}, empty, empty}, {{zeroes, 4464}, empty, empty}, {{zeroes, LONG_LEN}, empty, empty}};
	const size_t count = sizeof(lists) / sizeof(lists[0]);
	uint8_t macs[sizeof(lists) / sizeof(lists[0])][ENVL_AUDIT_MAC_LEN];
	uint8_t		shorter[ENVL_AUDIT_MAC_LEN];

	for (size_t i = 0; i < count; i++)
	{
		entry(first, lists[i], 3, macs[i]);
		entry(first, lists[i], 2, shorter);
		ok(memcmp(macs[i], shorter, sizeof(shorter)) != 0,
		   "list %zu is not that list with one field less", i);
		for (size_t j = 0; j < i; j++)
			ok(memcmp(macs[i], macs[j], sizeof(shorter)) != 0,
			   "list %zu is not list %zu", i, j);
	}
}

static void
test_order(void)
{
	const envl_view field = text_view("x");
	uint8_t		one[ENVL_AUDIT_MAC_LEN];
	uint8_t		two[ENVL_AUDIT_MAC_LEN];
	uint8_t		again[ENVL_AUDIT_MAC_LEN];

	entry(first, &field, 1, one);
	entry(one, &field, 1, two);
	ok(memcmp(one, two, sizeof(one)) != 0,
	   "the same entry after another has another MAC");
	entry(first, &field, 1, again);
	ok(memcmp(one, again, sizeof(one)) == 0, "and the same at its place");
	entry(first, NULL, 0, again);
	ok(memcmp(one, again, sizeof(one)) != 0, "an entry without fields");

	/* The same bytes as an entry's, as an anchor's lines. */
	is_status(envl_audit_anchor(&kek, (envl_view) {first, sizeof(first)},
								two),
			  ENVL_OK, "an anchor");
	ok(memcmp(two, again, sizeof(two)) != 0, "is no entry");
}

/* A length that would be that of an absent field, and longer ones. */
static void
test_too_long(void)
{
	const envl_view field = {first, UINT32_C(0xffffffff)};
	uint8_t		mac[ENVL_AUDIT_MAC_LEN];

	memset(mac, 0xEE, sizeof(mac));
	is_status(envl_audit_entry(&kek, first, &field, 1, mac),
			  ENVL_CRYPTO_FAILED, "a field of 4 GiB");
	ok(all_zero(mac, sizeof(mac)), "leaves nothing");
}

int
main(void)
{
	test_known();
	test_keys();
	test_fields();
	test_order();
	test_too_long();
	return done_testing();
}
