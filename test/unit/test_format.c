/*
 * test_format.c
 *	  The bytes of a value: every field in its place, and nothing else taken.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/envl_format.h"
#include "unit.h"

#define CONTEXT "{\"id\":7}"
#define CONTEXT_LEN ((int) sizeof(CONTEXT) - 1)
#define CIPHERTEXT_LEN 5
#define VALUE_MAX 256

static const uint8_t wrapped[ENVL_WRAP_LEN] = {0xA0, 0xA1};
static const uint8_t nonce[ENVL_NONCE_LEN] = {0xB0, 0xB1};
static const uint8_t tag[ENVL_TAG_LEN] = {0xC0, 0xC1};

/* Makes a value of these flags; its length. */
static size_t
make_value(uint8_t flags, uint8_t *out)
{
	bool		stored = (flags & ENVL_FLAG_CONTEXT) != 0;
	envl_envelope envelope = {
		.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM),
		.flags = flags,
		.key_version = 0x0102,
		.key_id = UINT64_C(0x030405060708),
		.wrapped = wrapped,
		.nonce = nonce,
		.ciphertext = ENVL_LITERAL("12345"),
		.tag = tag,
	};

	if (stored)
		envelope.context = ENVL_LITERAL(CONTEXT);
	envl_envelope_encode(&envelope, out);
	return envl_envelope_size(CIPHERTEXT_LEN, stored ? CONTEXT_LEN : -1);
}

static envl_status
parse(const uint8_t *bytes, size_t len)
{
	envl_envelope envelope;
	envl_status status;

	status = envl_envelope_parse((envl_view) {bytes, len}, &envelope);
	if (status != ENVL_OK && !all_zero(&envelope, sizeof(envelope)))
		ok(false, "a refused value leaves nothing");
	return status;
}

static void
test_fields(void)
{
	uint8_t		value[VALUE_MAX];
	envl_envelope envelope;
	size_t		len = make_value(ENVL_FLAG_TEXT, value);

	is((long long) len, ENVL_OVERHEAD + CIPHERTEXT_LEN,
	   "the overhead is 78 bytes");
	is_bytes((envl_view) {value, ENVL_OFFSET_WRAP + 2},
			 text_view("\xe1\x12\1\2\3\4\5\6\7\10\xa0\xa1"), "the header");
	is_bytes((envl_view) {value + ENVL_OFFSET_NONCE, 2},
			 text_view("\xb0\xb1"), "the nonce is at 50");
	is_bytes((envl_view) {value + ENVL_HEADER_LEN, CIPHERTEXT_LEN + 2},
			 text_view("12345\xc0\xc1"), "ciphertext and tag");

	is_status(envl_envelope_parse((envl_view) {value, len}, &envelope),
			  ENVL_OK, "it parses");
	is(envelope.suite->id, ENVL_SUITE_A256KW_A256GCM, "suite");
	is(envelope.flags, ENVL_FLAG_TEXT, "flags");
	is(envelope.key_version, 0x0102, "version");
	is((long long) envelope.key_id, 0x030405060708, "key id");
	ok(envelope.wrapped == value + ENVL_OFFSET_WRAP, "wrapped DEK");
	ok(envelope.nonce == value + ENVL_OFFSET_NONCE, "nonce");
	ok(envelope.context.data == NULL && envelope.context.len == 0,
	   "no context");
	is_bytes(envelope.ciphertext, text_view("12345"), "ciphertext");
	ok(envelope.tag == value + len - ENVL_TAG_LEN, "tag");

	len = make_value(ENVL_FLAGS, value);
	is((long long) len, ENVL_OVERHEAD + CIPHERTEXT_LEN + 2 + CONTEXT_LEN,
	   "a stored context takes its length and two bytes");
	is_status(envl_envelope_parse((envl_view) {value, len}, &envelope),
			  ENVL_OK, "it parses");
	is_bytes(envelope.context, text_view(CONTEXT), "the context");
	is_bytes(envelope.ciphertext, text_view("12345"), "the ciphertext");
}

static void
test_header(void)
{
	uint8_t		value[VALUE_MAX];
	envl_envelope envelope;
	size_t		len = make_value(ENVL_FLAG_CONTEXT, value);

	is_status(envl_header_parse((envl_view) {value, ENVL_HEADER_LEN},
								&envelope),
			  ENVL_OK, "a header alone");
	is(envelope.key_version, 0x0102, "has a version");
	ok(envelope.tag == NULL && envelope.ciphertext.data == NULL &&
		   envelope.context.data == NULL,
	   "and nothing behind it");
	is_status(envl_header_parse((envl_view) {value, len}, &envelope),
			  ENVL_OK, "more may follow");
	is_status(envl_header_parse((envl_view) {value, ENVL_HEADER_LEN - 1},
								&envelope),
			  ENVL_MALFORMED, "less may not");
	ok(all_zero(&envelope, sizeof(envelope)), "nothing is left of it");
}

static void
test_lengths(void)
{
	uint8_t		value[VALUE_MAX];
	size_t		len = make_value(ENVL_FLAG_CONTEXT, value);
	size_t		least = len - CIPHERTEXT_LEN;

	for (size_t i = 0; i < least; i++)
	{
		if (parse(value, i) != ENVL_MALFORMED)
			ok(false, "%zu bytes are no value", i);
	}
	is_status(parse(value, least - 1), ENVL_MALFORMED, "one byte too few");
	is_status(parse(value, least), ENVL_OK, "an empty ciphertext");
	is_status(parse(NULL, 0), ENVL_MALFORMED, "nothing");

	len = make_value(0, value);
	is_status(parse(value, ENVL_OVERHEAD - 1), ENVL_MALFORMED,
			  "one byte too few, without a context");
	is_status(parse(value, ENVL_OVERHEAD), ENVL_OK, "78 bytes are enough");
	is_status(parse(value, 1), ENVL_MALFORMED, "one byte");

	len = make_value(ENVL_FLAG_PADDED, value);
	is_status(parse(value, len), ENVL_OK, "a padded value");
	is_status(parse(value, ENVL_OVERHEAD), ENVL_MALFORMED,
			  "is not empty, for there is padding");
}

/* A value of len bytes in memory that is only touched where it is read. */
static void
check_large(uint8_t flags, size_t plain_len, envl_status want)
{
	const size_t size = ENVL_PLAINTEXT_MAX + 2 * ENVL_PADDING_MAX;
	uint8_t    *value = mmap(NULL, size, PROT_READ | PROT_WRITE,
							 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
							 0);

	if (value == MAP_FAILED)
	{
		ok(false, "no address space");
		return;
	}
	make_value(flags, value);
	is_status(parse(value, ENVL_OVERHEAD + plain_len), want,
			  "flags %d, %zu bytes", flags, plain_len);
	munmap(value, size);
}

static void
test_limits(void)
{
	check_large(0, ENVL_PLAINTEXT_MAX, ENVL_OK);
	check_large(0, ENVL_PLAINTEXT_MAX + 1, ENVL_LIMIT);
	check_large(ENVL_FLAG_PADDED, ENVL_PLAINTEXT_MAX + ENVL_PADDING_MAX,
				ENVL_OK);
	check_large(ENVL_FLAG_PADDED, ENVL_PLAINTEXT_MAX + ENVL_PADDING_MAX + 1,
				ENVL_LIMIT);
}

/* Bytes 0 and 1, all of them. */
static void
test_magic_suite_flags(void)
{
	uint8_t		value[VALUE_MAX];
	size_t		len = make_value(0, value);
	size_t		wrong = 0;

	for (int magic = 0; magic < 256; magic++)
	{
		bool		later = magic >= 0xE2 && magic <= 0xEF;
		envl_status want = later ? ENVL_UNSUPPORTED : ENVL_MALFORMED;

		value[0] = (uint8_t) magic;
		wrong += parse(value, len) != (magic == 0xE1 ? ENVL_OK : want);
		wrong += parse(value, 1) != want;
	}
	is((long long) wrong, 0, "E1 is format 1, E2 to EF later ones");

	make_value(0, value);
	for (int byte = 0; byte < 256; byte++)
	{
		bool		known = byte >> 4 == 1 && (byte & 0x8) == 0;

		/* A context needs more than the flag. */
		if (known && (byte & ENVL_FLAG_CONTEXT) != 0)
			continue;
		value[1] = (uint8_t) byte;
		wrong += parse(value, len) != (known ? ENVL_OK : ENVL_UNSUPPORTED);
	}
	is((long long) wrong, 0, "one suite, three flags");
}

static void
test_key_id_version(void)
{
	uint8_t		value[VALUE_MAX];
	size_t		len = make_value(0, value);

	memset(value + ENVL_OFFSET_VERSION, 0, 2);
	is_status(parse(value, len), ENVL_MALFORMED, "version 0");
	value[ENVL_OFFSET_VERSION] = 0xFF;
	value[ENVL_OFFSET_VERSION + 1] = 0xFF;
	is_status(parse(value, len), ENVL_OK, "version 65535");
	memset(value + ENVL_OFFSET_KEY_ID, 0, 6);
	is_status(parse(value, len), ENVL_MALFORMED, "key id 0");
	memset(value + ENVL_OFFSET_KEY_ID, 0xFF, 6);
	is_status(parse(value, len), ENVL_OK, "the largest key id");
}

/* Puts a context of its own length into a value, and parses it. */
static envl_status
parse_with_context(envl_view context, size_t claimed_len)
{
	static uint8_t value[ENVL_OVERHEAD + 2 + 8192];
	size_t		len = ENVL_HEADER_LEN;

	make_value(ENVL_FLAG_CONTEXT, value);
	value[len++] = (uint8_t) (claimed_len >> 8);
	value[len++] = (uint8_t) claimed_len;
	memcpy(value + len, context.data, context.len);
	len += context.len;
	memset(value + len, 0, ENVL_TAG_LEN);
	return parse(value, len + ENVL_TAG_LEN);
}

static void
test_stored_context(void)
{
	static char text[5000];
	envl_view	context = ENVL_LITERAL(CONTEXT);

	is_status(parse_with_context(context, context.len), ENVL_OK,
			  "a stored context");
	is_status(parse_with_context(ENVL_LITERAL("{}"), 2), ENVL_OK, "{}");
	is_status(parse_with_context(context, 0), ENVL_MALFORMED, "of no length");
	is_status(parse_with_context(context, context.len - 1), ENVL_MALFORMED,
			  "cut off");
	is_status(parse_with_context(context, context.len + 1), ENVL_MALFORMED,
			  "with a byte of what follows");
	is_status(parse_with_context(context, 0xFFFF), ENVL_MALFORMED,
			  "longer than the value");
	is_status(parse_with_context(ENVL_LITERAL("{\"id\": 7}"), 9),
			  ENVL_MALFORMED, "not canonical");

	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + 4094, "\"}", 2);
	is_status(parse_with_context((envl_view) {(uint8_t *) text, 4096}, 4096),
			  ENVL_OK, "of 4096 bytes");
	memcpy(text + 4094, "x\"}", 3);
	is_status(parse_with_context((envl_view) {(uint8_t *) text, 4097}, 4097),
			  ENVL_MALFORMED, "of 4097 bytes");
}

static void
test_text(void)
{
	static const char *const refused[] = {
		"", "env1", "env2.4RA", "Env1.4RA", "env1:4RA", "env1.4", "env1.4RB",
		"env1.4RA=", "env1.4RA\n", " env1.4RA", "env1.4R+", "hello"};
	uint8_t		bytes[VALUE_MAX];
	char		text[VALUE_MAX];
	size_t		len;

	envl_text_encode(text_view("\xe1\x10"), text);
	is((long long) envl_text_len(2), 8, "the text form's length");
	is_bytes((envl_view) {(uint8_t *) text, 8}, text_view("env1.4RA"),
			 "the text form");
	is((long long) envl_text_decoded_max(8), 2, "holds two bytes");
	is((long long) envl_text_decoded_max(4), 0, "a short text holds none");
	is((long long) envl_text_decoded_max(5), 0, "nor does the prefix");
	is_status(envl_text_decode(text_view("env1.4RA"), bytes, &len), ENVL_OK,
			  "it is decoded");
	is_bytes((envl_view) {bytes, len}, text_view("\xe1\x10"),
			 "into what it was");
	is_status(envl_text_decode(text_view("env1."), bytes, &len), ENVL_OK,
			  "no bytes are text too");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		len = 99;
		is_status(envl_text_decode(text_view(refused[i]), bytes, &len),
				  ENVL_MALFORMED, "refused text, case %zu", i);
		is((long long) len, 0, "no length");
	}
}

static void
test_sealed_equal(void)
{
	uint8_t		a[VALUE_MAX];
	uint8_t		b[VALUE_MAX];
	size_t		len = make_value(ENVL_FLAG_CONTEXT, a);
	envl_view	one = {a, len};
	envl_view	two = {b, len};
	size_t		wrong = 0;

	memcpy(b, a, len);
	ok(envl_sealed_equal(one, two), "a value equals itself");
	for (size_t i = 0; i < len; i++)
	{
		b[i] ^= 1;
		wrong += envl_sealed_equal(one, two) != (i >= 2 && i < 50);
		b[i] ^= 1;
	}
	is((long long) wrong, 0, "only bytes 2 to 49 may differ");
	two.len--;
	ok(!envl_sealed_equal(one, two), "another length");
	one.len = two.len = 40;
	ok(envl_sealed_equal(one, two), "less than a header: all bytes count");
	b[5] ^= 1;
	ok(!envl_sealed_equal(one, two), "all of them");
}

int
main(void)
{
	test_fields();
	test_header();
	test_lengths();
	test_limits();
	test_magic_suite_flags();
	test_key_id_version();
	test_stored_context();
	test_text();
	test_sealed_equal();
	return done_testing();
}
