/*
 * fuzz_envelope.c
 *	  Any bytes as a value, and as the text form of one.
 *
 * What is accepted has exactly one spelling, and equality overlooks exactly
 * what a rewrap changes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_context.h"
#include "core/envl_format.h"
#include "fuzz.h"

static void
check_header(envl_view bytes, const envl_envelope *whole)
{
	envl_envelope header;
	envl_view	slice = {bytes.data, ENVL_HEADER_LEN};

	CHECK(envl_header_parse(slice, &header) == ENVL_OK);
	CHECK(header.suite == whole->suite && header.flags == whole->flags);
	CHECK(header.key_version == whole->key_version);
	CHECK(header.key_id == whole->key_id);
	CHECK(header.wrapped == whole->wrapped && header.nonce == whole->nonce);
	CHECK(header.context.len == 0 && header.ciphertext.len == 0);
}

static void
check_fields(envl_view bytes, const envl_envelope *envelope)
{
	bool		stored = (envelope->flags & ENVL_FLAG_CONTEXT) != 0;

	CHECK(bytes.len >= ENVL_OVERHEAD && bytes.data[0] == ENVL_MAGIC_1);
	CHECK(envelope->suite != NULL);
	CHECK((envelope->flags & ~ENVL_FLAGS) == 0);
	CHECK(envelope->key_version > 0);
	CHECK(envelope->key_id > 0 && envelope->key_id <= ENVL_KEY_ID_MAX);
	CHECK(stored == (envelope->context.data != NULL));
	CHECK(!stored || envl_context_validate(envelope->context) == ENVL_OK);
	CHECK(envelope->tag + ENVL_TAG_LEN == bytes.data + bytes.len);
}

static void
check_encoding(envl_view bytes, const envl_envelope *envelope)
{
	int			context_len = (int) envelope->context.len;
	uint8_t    *encoded;

	if (envelope->context.data == NULL)
		context_len = -1;
	CHECK(envl_envelope_size(envelope->ciphertext.len,
							 context_len) == bytes.len);
	encoded = fuzz_alloc(bytes.len);
	envl_envelope_encode(envelope, encoded);
	CHECK(memcmp(encoded, bytes.data, bytes.len) == 0);
	free(encoded);
}

static void
check_text(envl_view bytes)
{
	size_t		text_len = envl_text_len(bytes.len);
	char	   *text = fuzz_alloc(text_len);
	envl_view	view = {(const uint8_t *) text, text_len};
	uint8_t    *decoded;
	size_t		decoded_len;

	envl_text_encode(bytes, text);
	decoded = fuzz_alloc(envl_text_decoded_max(text_len));
	CHECK(envl_text_decode(view, decoded, &decoded_len) == ENVL_OK);
	CHECK(envl_view_equal((envl_view) {decoded, decoded_len}, bytes));
	free(decoded);
	free(text);
}

/* Flips a bit of every byte in turn, or of some thousand if there are more. */
static void
check_equality(envl_view bytes)
{
	uint8_t    *twin = fuzz_alloc(bytes.len);
	envl_view	view = {twin, bytes.len};
	size_t		step = bytes.len / 4096 + 1;

	memcpy(twin, bytes.data, bytes.len);
	CHECK(envl_sealed_equal(bytes, view));
	for (size_t i = 0; i < bytes.len; i += step)
	{
		bool		rewrap = i >= ENVL_OFFSET_VERSION && i < ENVL_OFFSET_NONCE;

		twin[i] ^= 0x10;
		CHECK(envl_sealed_equal(bytes, view) == rewrap);
		CHECK(envl_sealed_equal(view, bytes) == rewrap);
		twin[i] ^= 0x10;
	}
	view.len--;
	CHECK(!envl_sealed_equal(bytes, view));
	free(twin);
}

static void
try_bytes(envl_view bytes)
{
	envl_envelope envelope;
	envl_status status = envl_envelope_parse(bytes, &envelope);

	CHECK(status == ENVL_OK || status == ENVL_MALFORMED ||
		  status == ENVL_UNSUPPORTED || status == ENVL_LIMIT);
	if (status != ENVL_OK)
		return;
	check_fields(bytes, &envelope);
	check_header(bytes, &envelope);
	check_encoding(bytes, &envelope);
	check_text(bytes);
	check_equality(bytes);
}

static void
try_text(envl_view text)
{
	uint8_t    *bytes = fuzz_alloc(envl_text_decoded_max(text.len));
	size_t		len;
	char	   *again;

	if (envl_text_decode(text, bytes, &len) == ENVL_OK)
	{
		CHECK(len <= envl_text_decoded_max(text.len));
		CHECK(envl_text_len(len) == text.len);
		again = fuzz_alloc(text.len);
		envl_text_encode((envl_view) {bytes, len}, again);
		CHECK(memcmp(again, text.data, text.len) == 0);
		free(again);
		try_bytes((envl_view) {bytes, len});
	}
	else
		CHECK(len == 0);
	free(bytes);
}

/* The standard alphabet, too: root keys and the helper protocol use it. */
static void
try_base64(envl_view text)
{
	uint8_t    *bytes = fuzz_alloc(envl_base64_decoded_max(text.len));
	size_t		len;
	char	   *again;

	if (envl_base64_decode(ENVL_BASE64_STANDARD, text, bytes,
						   &len) == ENVL_OK)
	{
		CHECK(envl_base64_encoded_len(ENVL_BASE64_STANDARD, len) == text.len);
		again = fuzz_alloc(text.len);
		envl_base64_encode(ENVL_BASE64_STANDARD, (envl_view) {bytes, len},
						   again);
		CHECK(text.len == 0 || memcmp(again, text.data, text.len) == 0);
		free(again);
	}
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};
	envl_envelope header;

	try_bytes(input);
	try_text(input);
	try_base64(input);
	(void) !envl_header_parse(input, &header);
	return 0;
}
