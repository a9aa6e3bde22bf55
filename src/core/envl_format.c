/*
 * envl_format.c
 *	  The bytes of a value, format 1, and its text form.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_context.h"
#include "envl_format.h"

/* Reserved for later formats. */
#define MAGIC_LATER_FIRST 0xE2
#define MAGIC_LATER_LAST 0xEF

#define CONTEXT_LENGTH_LEN 2

static const char text_prefix[] = "env1.";

#define TEXT_PREFIX_LEN (sizeof(text_prefix) - 1)

static envl_status
parse_header(envl_reader *reader, envl_envelope *out)
{
	uint8_t		magic;
	uint8_t		suite_and_flags;
	envl_view	wrapped;
	envl_view	nonce;

	if (!envl_read_u8(reader, &magic))
		return ENVL_MALFORMED;
	if (magic >= MAGIC_LATER_FIRST && magic <= MAGIC_LATER_LAST)
		return ENVL_UNSUPPORTED;
	if (magic != ENVL_MAGIC_1 || !envl_read_u8(reader, &suite_and_flags))
		return ENVL_MALFORMED;

	out->suite = envl_suite_find(suite_and_flags >> 4);
	out->flags = suite_and_flags & 0x0F;
	if (out->suite == NULL || (out->flags & ~ENVL_FLAGS) != 0)
		return ENVL_UNSUPPORTED;

	if (!envl_read_u16(reader, &out->key_version) ||
		!envl_read_u48(reader, &out->key_id) ||
		!envl_read_view(reader, ENVL_WRAP_LEN, &wrapped) ||
		!envl_read_view(reader, ENVL_NONCE_LEN, &nonce) ||
		out->key_version == 0 || out->key_id == 0)
		return ENVL_MALFORMED;
	out->wrapped = wrapped.data;
	out->nonce = nonce.data;
	return ENVL_OK;
}

static envl_status
parse_context(envl_reader *reader, envl_envelope *out)
{
	uint16_t	len;

	if (!envl_read_u16(reader, &len) ||
		!envl_read_view(reader, len, &out->context) ||
		envl_context_validate(out->context) != ENVL_OK)
		return ENVL_MALFORMED;
	return ENVL_OK;
}

static envl_status
parse_payload(envl_reader *reader, envl_envelope *out)
{
	bool		padded = (out->flags & ENVL_FLAG_PADDED) != 0;
	size_t		limit = ENVL_PLAINTEXT_MAX + (padded ? ENVL_PADDING_MAX : 0);
	size_t		left = envl_reader_left(reader);
	envl_view	tag;

	if (left < ENVL_TAG_LEN)
		return ENVL_MALFORMED;
	if (left - ENVL_TAG_LEN > limit)
		return ENVL_LIMIT;
	if (!envl_read_view(reader, left - ENVL_TAG_LEN, &out->ciphertext) ||
		!envl_read_view(reader, ENVL_TAG_LEN, &tag) ||
		(padded && out->ciphertext.len == 0))
		return ENVL_MALFORMED;
	out->tag = tag.data;
	return ENVL_OK;
}

envl_status
envl_envelope_parse(envl_view bytes, envl_envelope *out)
{
	envl_reader reader = envl_reader_over(bytes);
	envl_status status;

	memset(out, 0, sizeof(*out));
	status = parse_header(&reader, out);
	if (status == ENVL_OK && (out->flags & ENVL_FLAG_CONTEXT) != 0)
		status = parse_context(&reader, out);
	if (status == ENVL_OK)
		status = parse_payload(&reader, out);
	if (status != ENVL_OK)
		memset(out, 0, sizeof(*out));
	return status;
}

envl_status
envl_header_parse(envl_view bytes, envl_envelope *out)
{
	envl_reader reader = envl_reader_over(bytes);
	envl_status status;

	memset(out, 0, sizeof(*out));
	status = parse_header(&reader, out);
	if (status != ENVL_OK)
		memset(out, 0, sizeof(*out));
	return status;
}

size_t
envl_envelope_size(size_t ciphertext_len, int context_len)
{
	size_t		size = ENVL_OVERHEAD + ciphertext_len;

	if (context_len >= 0)
		size += CONTEXT_LENGTH_LEN + (size_t) context_len;
	return size;
}

void
envl_envelope_encode(const envl_envelope *envelope, uint8_t *out)
{
	bool		stored = (envelope->flags & ENVL_FLAG_CONTEXT) != 0;
	int			context_len = stored ? (int) envelope->context.len : -1;
	size_t		size = envl_envelope_size(envelope->ciphertext.len,
										  context_len);
	int			suite_and_flags = envelope->suite->id << 4 | envelope->flags;
	envl_writer writer = envl_writer_into(out, size);

	envl_write_u8(&writer, ENVL_MAGIC_1);
	envl_write_u8(&writer, (uint8_t) suite_and_flags);
	envl_write_u16(&writer, envelope->key_version);
	envl_write_u48(&writer, envelope->key_id);
	envl_write_view(&writer, (envl_view) {envelope->wrapped, ENVL_WRAP_LEN});
	envl_write_view(&writer, (envl_view) {envelope->nonce, ENVL_NONCE_LEN});
	if (stored)
	{
		envl_write_u16(&writer, (uint16_t) envelope->context.len);
		envl_write_view(&writer, envelope->context);
	}
	envl_write_view(&writer, envelope->ciphertext);
	envl_write_view(&writer, (envl_view) {envelope->tag, ENVL_TAG_LEN});
}

size_t
envl_text_len(size_t envelope_len)
{
	return TEXT_PREFIX_LEN +
		envl_base64_encoded_len(ENVL_BASE64_URL, envelope_len);
}

void
envl_text_encode(envl_view bytes, char *out)
{
	memcpy(out, text_prefix, TEXT_PREFIX_LEN);
	envl_base64_encode(ENVL_BASE64_URL, bytes, out + TEXT_PREFIX_LEN);
}

size_t
envl_text_decoded_max(size_t len)
{
	if (len < TEXT_PREFIX_LEN)
		return 0;
	return envl_base64_decoded_max(len - TEXT_PREFIX_LEN);
}

envl_status
envl_text_decode(envl_view text, uint8_t *out, size_t *out_len)
{
	envl_view	encoded;

	*out_len = 0;
	if (text.len < TEXT_PREFIX_LEN ||
		memcmp(text.data, text_prefix, TEXT_PREFIX_LEN) != 0)
		return ENVL_MALFORMED;
	encoded.data = text.data + TEXT_PREFIX_LEN;
	encoded.len = text.len - TEXT_PREFIX_LEN;
	return envl_base64_decode(ENVL_BASE64_URL, encoded, out, out_len);
}

bool
envl_sealed_equal(envl_view a, envl_view b)
{
	if (a.len != b.len || a.len < ENVL_HEADER_LEN)
		return envl_view_equal(a, b);
	return memcmp(a.data, b.data, ENVL_OFFSET_VERSION) == 0 &&
		memcmp(a.data + ENVL_OFFSET_NONCE, b.data + ENVL_OFFSET_NONCE,
			   a.len - ENVL_OFFSET_NONCE) == 0;
}
