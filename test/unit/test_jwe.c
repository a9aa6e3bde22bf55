/*
 * test_jwe.c
 *	  Values become JWEs and come back the same; nothing else is taken.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_jwe.h"
#include "unit.h"

#define CONTEXT "{\"id\":7}"
#define KID "app@0123456789ab/258"
#define CIPHERTEXT "ciphertext"
#define VALUE_MAX 5000

static const uint8_t wrapped[ENVL_WRAP_LEN] = {0xA0, 0xA1};
static const uint8_t nonce[ENVL_NONCE_LEN] = {0xB0, 0xB1};
static const uint8_t tag[ENVL_TAG_LEN] = {0xC0, 0xC1};

static char context_base64[64];
static char buffer[1000];

static envl_bound_context
bind_context(const char *context)
{
	envl_bound_context bound;

	bound.canonical = text_view(context);
	envl_base64_encode(ENVL_BASE64_URL, bound.canonical, context_base64);
	bound.base64.data = (const uint8_t *) context_base64;
	bound.base64.len = envl_base64_encoded_len(ENVL_BASE64_URL,
											   bound.canonical.len);
	return bound;
}

static envl_envelope
make_envelope(uint8_t flags)
{
	envl_envelope envelope = {
		.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM),
		.flags = flags,
		.key_version = 258,
		.key_id = UINT64_C(0x0123456789ab),
		.wrapped = wrapped,
		.nonce = nonce,
		.ciphertext = text_view(CIPHERTEXT),
		.tag = tag,
	};

	if ((flags & ENVL_FLAG_CONTEXT) != 0)
		envelope.context = text_view(CONTEXT);
	return envelope;
}

static envl_jwe
make_jwe(uint8_t flags)
{
	envl_envelope envelope = make_envelope(flags);
	envl_bound_context context = bind_context(CONTEXT);
	envl_jwe	jwe;

	if (envl_jwe_from_envelope(&envelope, &context, text_view(KID), buffer,
							   &jwe) != ENVL_OK)
		ok(false, "a value becomes a JWE");
	return jwe;
}

static void
test_strings(void)
{
	envl_envelope envelope = make_envelope(ENVL_FLAG_TEXT);
	envl_bound_context context = bind_context(CONTEXT);
	size_t		len = envl_jwe_buffer_len(&envelope, &context);
	envl_jwe	jwe;

	memset(buffer, 0xEE, sizeof(buffer));
	is_status(envl_jwe_from_envelope(&envelope, &context, text_view(KID),
									 buffer, &jwe),
			  ENVL_OK, "a JWE");
	is_bytes(jwe.protected_header, envl_protected_base64(ENVL_FLAG_TEXT),
			 "protected");
	is_bytes(jwe.alg, text_view("A256KW"), "alg");
	is_bytes(jwe.kid, text_view(KID), "kid");
	is_bytes(jwe.encrypted_key, text_view("oKEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
										  "AAAAAAAAAAAAAAAAAAAAA"),
			 "encrypted_key");
	is_bytes(jwe.aad, text_view("eyJpZCI6N30"), "aad");
	is_bytes(jwe.iv, text_view("sLEAAAAAAAAAAAAA"), "iv");
	is_bytes(jwe.ciphertext, text_view("Y2lwaGVydGV4dA"), "ciphertext");
	is_bytes(jwe.tag, text_view("wMEAAAAAAAAAAAAAAAAAAA"), "tag");
	ok((uint8_t) buffer[len - 1] != 0xEE && (uint8_t) buffer[len] == 0xEE,
	   "the buffer is as long as was said");
}

static void
test_round_trips(void)
{
	for (uint8_t flags = 0; flags <= ENVL_FLAGS; flags++)
	{
		envl_envelope envelope = make_envelope(flags);
		envl_jwe	jwe = make_jwe(flags);
		bool		stored = (flags & ENVL_FLAG_CONTEXT) != 0;
		uint8_t		value[VALUE_MAX];
		uint8_t		back[VALUE_MAX];
		size_t		size;
		size_t		len = 0;

		envl_envelope_encode(&envelope, value);
		size = envl_envelope_size(strlen(CIPHERTEXT),
								  stored ? (int) strlen(CONTEXT) : -1);
		is_status(envl_jwe_to_envelope(&jwe, stored, back, &len), ENVL_OK,
				  "flags %d, and back", flags);
		is_bytes((envl_view) {back, len}, (envl_view) {value, size},
				 "to the same value");
		ok(envl_jwe_envelope_max(&jwe) >= len, "which fits");
	}
}

static void
test_from_refused(void)
{
	envl_envelope envelope = make_envelope(ENVL_FLAG_CONTEXT);
	envl_bound_context context = bind_context("{\"id\":8}");
	envl_jwe	jwe;

	is_status(envl_jwe_from_envelope(&envelope, &context, text_view(KID),
									 buffer, &jwe),
			  ENVL_AUTHENTICATION,
			  "the value stores another context");
	ok(all_zero(&jwe, sizeof(jwe)), "nothing is made");
	envelope = make_envelope(0);
	is_status(envl_jwe_from_envelope(&envelope, &context, text_view(KID),
									 buffer, &jwe),
			  ENVL_OK,
			  "one that stores none cannot tell");
	envelope.tag = NULL;
	is_status(envl_jwe_from_envelope(&envelope, &context, text_view(KID),
									 buffer, &jwe),
			  ENVL_MALFORMED,
			  "the header of a value only");
}

/* One member replaced. */
static void
check_refused(size_t member, const char *text, envl_status want)
{
	envl_jwe	jwe = make_jwe(0);
	envl_view *const members[] = {
		&jwe.protected_header, &jwe.alg, &jwe.kid, &jwe.encrypted_key,
		&jwe.aad, &jwe.iv, &jwe.ciphertext, &jwe.tag};
	static const char *const names[] = {
		"protected", "alg", "kid", "encrypted_key", "aad", "iv",
		"ciphertext", "tag"};
	static uint8_t value[VALUE_MAX];
	size_t		len = 99;

	*members[member] = text_view(text);
	is_status(envl_jwe_to_envelope(&jwe, false, value, &len), want,
			  "%s: \"%.40s\"", names[member], text);
	is((long long) len, 0, "no length");
}

static void
test_to_refused(void)
{
	char		text[60];

	check_refused(0, "", ENVL_UNSUPPORTED);
	check_refused(0, "eyJlbmMiOiJBMTI4R0NNIn0", ENVL_UNSUPPORTED);
	check_refused(0, "eyJlbmMiOiJBMjU2R0NNIn0.", ENVL_UNSUPPORTED);
	check_refused(1, "dir", ENVL_UNSUPPORTED);
	check_refused(1, "A256KWx", ENVL_UNSUPPORTED);
	check_refused(2, "app@0123456789ab/0", ENVL_MALFORMED);
	check_refused(3, "", ENVL_MALFORMED);
	memset(text, 'A', sizeof(text));
	text[53] = 0;
	check_refused(3, text, ENVL_MALFORMED);
	text[53] = 'A';
	text[54] = 'A';
	text[55] = 0;
	check_refused(3, text, ENVL_MALFORMED);
	text[53] = '=';
	text[54] = 0;
	check_refused(3, text, ENVL_MALFORMED);
	check_refused(4, "", ENVL_MALFORMED);
	check_refused(4, "eyJpZCI6IDd9", ENVL_MALFORMED);
	check_refused(4, "eyJpZCI6N30=", ENVL_MALFORMED);
	check_refused(5, "sLEAAAAAAAAAAAA", ENVL_MALFORMED);
	check_refused(5, "sLEAAAAAAAAAAAAAAAAA", ENVL_MALFORMED);
	check_refused(5, "sLEAAAAAAAAAAAA*", ENVL_MALFORMED);
	check_refused(6, "Y2lwaGVydGV4dA==", ENVL_MALFORMED);
	check_refused(6, "Y", ENVL_MALFORMED);
	check_refused(7, "wMEAAAAAAAAAAAAAAAAAA", ENVL_MALFORMED);
	check_refused(7, "wMEAAAAAAAAAAAAAAAAAAB", ENVL_MALFORMED);
}

/* Empty: fine for bytes, impossible if padded. */
static void
test_empty(void)
{
	uint8_t		value[VALUE_MAX];
	envl_jwe	jwe = make_jwe(0);
	size_t		len = 99;

	jwe.ciphertext.len = 0;
	is_status(envl_jwe_to_envelope(&jwe, true, value, &len), ENVL_OK,
			  "an empty ciphertext");
	is((long long) len, ENVL_OVERHEAD + 2 + (long long) strlen(CONTEXT),
	   "is an empty value");
	jwe = make_jwe(ENVL_FLAG_PADDED);
	jwe.ciphertext.len = 0;
	len = 99;
	is_status(envl_jwe_to_envelope(&jwe, false, value, &len),
			  ENVL_MALFORMED, "but not if it is padded");
	is((long long) len, 0, "no length");
}

/* A context of 4096 bytes, and an aad that is too long to be one. */
static void
test_long_context(void)
{
	static char text[ENVL_CONTEXT_MAX + 2];
	static char aad[ENVL_CONTEXT_BASE64_MAX + 4];
	static uint8_t value[VALUE_MAX];
	envl_jwe	jwe = make_jwe(0);
	size_t		len;

	memset(text, 'x', ENVL_CONTEXT_MAX);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + ENVL_CONTEXT_MAX - 2, "\"}", 3);
	envl_base64_encode(ENVL_BASE64_URL, text_view(text), aad);
	jwe.aad = text_view(aad);
	is((long long) jwe.aad.len, ENVL_CONTEXT_BASE64_MAX,
	   "the longest context in base64url");
	is_status(envl_jwe_to_envelope(&jwe, true, value, &len), ENVL_OK,
			  "is taken");
	ok(len <= envl_jwe_envelope_max(&jwe), "and fits");

	memcpy(text + ENVL_CONTEXT_MAX - 2, "x\"}", 4);
	envl_base64_encode(ENVL_BASE64_URL, text_view(text), aad);
	jwe.aad = text_view(aad);
	is_status(envl_jwe_to_envelope(&jwe, true, value, &len), ENVL_MALFORMED,
			  "a longer one is not");
}

int
main(void)
{
	test_strings();
	test_round_trips();
	test_from_refused();
	test_to_refused();
	test_empty();
	test_long_context();
	return done_testing();
}
