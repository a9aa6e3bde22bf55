/*
 * test_bytes.c
 *	  Cursors do not leave their bytes; base64 has one text per bytes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/evp.h>

#include "unit.h"

static const envl_view nothing = {NULL, 0};

static void
test_views(void)
{
	ok(envl_view_equal(nothing, nothing), "empty views are equal");
	ok(envl_view_equal(nothing, text_view("")), "NULL or not");
	ok(envl_view_equal(text_view("abc"), ENVL_LITERAL("abc")), "equal views");
	ok(!envl_view_equal(text_view("abc"), text_view("abd")), "other bytes");
	ok(!envl_view_equal(text_view("abc"), text_view("ab")), "another length");
}

static void
test_reader(void)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	envl_reader reader = envl_reader_over((envl_view) {bytes, 10});
	uint8_t		u8 = 99;
	uint16_t	u16 = 99;
	uint64_t	u48 = 99;
	envl_view	view;

	ok(envl_read_u8(&reader, &u8) && u8 == 1, "u8");
	ok(envl_read_u16(&reader, &u16) && u16 == 0x0203, "u16 is big-endian");
	ok(envl_read_u48(&reader, &u48) && u48 == UINT64_C(0x040506070809),
	   "u48 is big-endian");
	is((long long) envl_reader_left(&reader), 1, "one byte is left");

	ok(!envl_read_u16(&reader, &u16) && u16 == 0, "no u16 in one byte");
	ok(!envl_read_u48(&reader, &u48) && u48 == 0, "no u48 in one byte");
	ok(!envl_read_view(&reader, 2, &view) && view.data == NULL &&
		   view.len == 0,
	   "no two bytes in one");
	ok(!envl_read_view(&reader, SIZE_MAX, &view), "nor SIZE_MAX");
	is((long long) envl_reader_left(&reader), 1, "a failed read moves nothing");

	ok(envl_read_view(&reader, 1, &view) && view.len == 1 &&
		   view.data == bytes + 9,
	   "a view of the last byte");
	ok(envl_read_view(&reader, 0, &view) && view.len == 0,
	   "an empty view at the end");
	ok(!envl_read_u8(&reader, &u8) && u8 == 0, "nothing at the end");

	reader = envl_reader_over(nothing);
	is((long long) envl_reader_left(&reader), 0, "a reader over nothing");
	ok(!envl_read_u8(&reader, &u8), "reads nothing");
}

static void
test_writer(void)
{
	uint8_t		buffer[12];
	envl_writer writer = envl_writer_into(buffer, 11);

	memset(buffer, 0xEE, sizeof(buffer));
	envl_write_u8(&writer, 1);
	envl_write_u16(&writer, 0x0203);
	envl_write_u48(&writer, UINT64_C(0x040506070809));
	envl_write_view(&writer, nothing);
	envl_write_view(&writer, text_view("x"));
	ok(envl_writer_ok(&writer), "what fits is written");
	is_bytes((envl_view) {buffer, envl_writer_len(&writer)},
			 text_view("\1\2\3\4\5\6\7\10\11x"), "big-endian");

	envl_write_u16(&writer, 0xFFFF);
	ok(!envl_writer_ok(&writer), "what does not fit fails");
	envl_write_u8(&writer, 0xFF);
	envl_write_view(&writer, text_view("y"));
	ok(!envl_writer_ok(&writer), "for good, even if a byte would fit");
	is((long long) envl_writer_len(&writer), 10, "and writes nothing");
	is(buffer[10], 0xEE, "not into the space that is left");
	is(buffer[11], 0xEE, "nor behind it");

	writer = envl_writer_into(NULL, 0);
	envl_write_view(&writer, text_view("x"));
	ok(!envl_writer_ok(&writer), "a writer without a buffer");
	is((long long) envl_writer_len(&writer), 0, "has written nothing");

	memcpy(buffer, "abcdef", 6);
	writer = envl_writer_into(buffer, sizeof(buffer));
	envl_write_view(&writer, (envl_view) {buffer, 3});
	envl_write_view(&writer, (envl_view) {buffer + 4, 2});
	is_bytes((envl_view) {buffer, 5}, text_view("abcef"),
			 "bytes may be in their place already, or near it");
}

/* RFC 4648, section 10, and the difference between the alphabets. */
static const struct
{
	const char *plain;
	const char *url;
	const char *standard;
} base64_known[] = {
	{"", "", ""},
	{"f", "Zg", "Zg=="},
	{"fo", "Zm8", "Zm8="},
	{"foo", "Zm9v", "Zm9v"},
	{"foob", "Zm9vYg", "Zm9vYg=="},
	{"fooba", "Zm9vYmE", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
	{"\xfb\xff\xbf", "-_-_", "+/+/"}};

static void
check_known(envl_base64 kind, const char *plain, const char *encoded)
{
	char		text[16];
	uint8_t		bytes[16];
	size_t		len = envl_base64_encoded_len(kind, strlen(plain));

	envl_base64_encode(kind, text_view(plain), text);
	is_bytes((envl_view) {(uint8_t *) text, len}, text_view(encoded),
			 "\"%s\" is encoded", encoded);
	is_status(envl_base64_decode(kind, text_view(encoded), bytes, &len),
			  ENVL_OK, "\"%s\" is base64", encoded);
	is_bytes((envl_view) {bytes, len}, text_view(plain),
			 "\"%s\" is decoded", encoded);
}

static void
test_base64_known(void)
{
	for (size_t i = 0; i < sizeof(base64_known) / sizeof(base64_known[0]);
		 i++)
	{
		check_known(ENVL_BASE64_URL, base64_known[i].plain,
					base64_known[i].url);
		check_known(ENVL_BASE64_STANDARD, base64_known[i].plain,
					base64_known[i].standard);
	}
}

/* Every length up to a few groups, against libcrypto's. */
static void
test_base64_lengths(void)
{
	uint8_t		plain[100];
	char		text[140];
	unsigned char expected[140];
	uint8_t		decoded[105];
	size_t		wrong = 0;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t) (i * 37 + (i >> 3));
	for (size_t len = 0; len <= sizeof(plain); len++)
	{
		envl_view	in = {plain, len};
		envl_view	encoded = {(uint8_t *) text, 0};
		size_t		decoded_len;

		encoded.len = envl_base64_encoded_len(ENVL_BASE64_STANDARD, len);
		envl_base64_encode(ENVL_BASE64_STANDARD, in, text);
		EVP_EncodeBlock(expected, plain, (int) len);
		wrong += !envl_view_equal(encoded,
								  text_view((const char *) expected));
		for (int kind = ENVL_BASE64_URL; kind <= ENVL_BASE64_STANDARD; kind++)
		{
			encoded.len = envl_base64_encoded_len((envl_base64) kind, len);
			envl_base64_encode((envl_base64) kind, in, text);
			wrong += envl_base64_decode((envl_base64) kind, encoded, decoded,
										&decoded_len) != ENVL_OK ||
				!envl_view_equal(in, (envl_view) {decoded, decoded_len}) ||
				envl_base64_decoded_max(encoded.len) < len;
		}
	}
	is((long long) wrong, 0, "every length there and back, as libcrypto has it");
	is((long long) envl_base64_decoded_max(5), 3, "five characters hold three");
	is((long long) envl_base64_decoded_max(6), 4, "six hold four");
	is((long long) envl_base64_decoded_max(7), 5, "seven hold five");
}

/* Each character of 256 in each place of one and a half groups. */
static void
test_base64_alphabets(void)
{
	static const char *const alphabets[] = {
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"};
	size_t		wrong = 0;

	for (int kind = ENVL_BASE64_URL; kind <= ENVL_BASE64_STANDARD; kind++)
	{
		for (int character = 0; character < 256; character++)
		{
			bool		member = character != 0 &&
				strchr(alphabets[kind], character) != NULL;

			for (size_t place = 0; place < 8; place++)
			{
				uint8_t		text[] = "AAAAAAAA";
				uint8_t		out[6];
				size_t		len = 99;
				envl_status status;
				bool		padding = kind == ENVL_BASE64_STANDARD &&
					character == '=' && place == 7;

				text[place] = (uint8_t) character;
				status = envl_base64_decode((envl_base64) kind,
											(envl_view) {text, 8}, out, &len);
				wrong += (status == ENVL_OK) != (member || padding);
				wrong += status != ENVL_OK && len != 0;
			}
		}
	}
	is((long long) wrong, 0, "no character of another alphabet, anywhere");
}

static void
test_base64_strict(void)
{
	static const struct
	{
		envl_base64 kind;
		const char *text;
	} refused[] = {
		{ENVL_BASE64_URL, "A"},
		{ENVL_BASE64_URL, "AAAAA"},
		{ENVL_BASE64_URL, "AB"},	/* set bits after the end */
		{ENVL_BASE64_URL, "AAB"},
		{ENVL_BASE64_URL, "AA=="},
		{ENVL_BASE64_URL, "AAA="},
		{ENVL_BASE64_URL, "A+"},
		{ENVL_BASE64_URL, "+A"},
		{ENVL_BASE64_URL, "AA/"},
		{ENVL_BASE64_URL, " AAAA"},
		{ENVL_BASE64_URL, "AAAA\n"},
		{ENVL_BASE64_STANDARD, "AA"},
		{ENVL_BASE64_STANDARD, "AAA"},
		{ENVL_BASE64_STANDARD, "AB=="},
		{ENVL_BASE64_STANDARD, "AAB="},
		{ENVL_BASE64_STANDARD, "===="},
		{ENVL_BASE64_STANDARD, "A==="},
		{ENVL_BASE64_STANDARD, "A=A="},
		{ENVL_BASE64_STANDARD, "AA==AAAA"},
		{ENVL_BASE64_STANDARD, "AAAA===="},
		{ENVL_BASE64_STANDARD, "AAAA\n"}};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		uint8_t		out[8];
		size_t		len = 99;

		is_status(envl_base64_decode(refused[i].kind,
									 text_view(refused[i].text), out, &len),
				  ENVL_MALFORMED, "refused, case %zu", i);
		is((long long) len, 0, "no length");
	}
}

int
main(void)
{
	test_views();
	test_reader();
	test_writer();
	test_base64_known();
	test_base64_lengths();
	test_base64_alphabets();
	test_base64_strict();
	return done_testing();
}
