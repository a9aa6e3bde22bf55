/*
 * fuzz_value.c
 *	  Any plaintext, context and flags, sealed and opened again; then with one
 *	  bit changed.
 *
 * Keys and nonces are random, so a run does not repeat exactly; what is
 * checked holds for all of them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_value.h"
#include "fuzz.h"

static envl_sealer sealer;
static envl_dek_pool pool;
static envl_kek kek;

static void
set_up(void)
{
	static const envl_key key = {{1, 2, 3}};

	if (kek.wrap != NULL)
		return;
	CHECK(envl_engine_init(&sealer.engine) == ENVL_OK);
	CHECK(envl_kek_init(&kek, &sealer.engine, &key) == ENVL_OK);
}

static envl_status
open_bytes(envl_view value, const envl_bound_context *context,
		   envl_view *plaintext, uint8_t **out)
{
	envl_envelope envelope;
	envl_status status = envl_envelope_parse(value, &envelope);

	*out = NULL;
	if (status != ENVL_OK)
		return status;
	*out = fuzz_alloc(envelope.ciphertext.len);
	plaintext->data = *out;
	return envl_value_open(&sealer.engine, &kek, &envelope, context, *out,
						   &plaintext->len);
}

/* Only the number of the key may change unnoticed. */
static void
check_flip(envl_view value, const envl_bound_context *context, size_t bit)
{
	uint8_t    *twin = fuzz_alloc(value.len);
	uint8_t    *out;
	envl_view	plaintext;
	size_t		byte = bit / 8 % value.len;
	envl_status status;

	memcpy(twin, value.data, value.len);
	twin[byte] ^= (uint8_t) (1 << bit % 8);
	status = open_bytes((envl_view) {twin, value.len}, context, &plaintext,
						&out);
	if (byte >= ENVL_OFFSET_VERSION && byte < ENVL_OFFSET_WRAP)
		CHECK(status == ENVL_OK || status == ENVL_MALFORMED);
	else
		CHECK(status != ENVL_OK);
	free(out);
	free(twin);
}

static void
check_payload(const envl_payload *payload, const envl_bound_context *context,
			  size_t bit)
{
	size_t		size = envl_value_size(payload, context);
	uint8_t    *bytes;
	uint8_t    *out;
	envl_view	opened;
	envl_status status;

	CHECK(size >= ENVL_OVERHEAD + payload->plaintext.len);
	bytes = fuzz_alloc(size);
	status = envl_value_seal(&sealer, &kek, &pool, payload, context, bytes);
	if (payload->key_id == 0 || payload->key_version == 0)
		CHECK(status == ENVL_MALFORMED);
	else
	{
		CHECK(status == ENVL_OK);
		CHECK(open_bytes((envl_view) {bytes, size}, context, &opened,
						 &out) == ENVL_OK);
		CHECK(envl_view_equal(opened, payload->plaintext));
		free(out);
		check_flip((envl_view) {bytes, size}, context, bit);
	}
	free(bytes);
}

/* FLAGS PADDING(2) VERSION(2) ID(6) BIT(2) CONTEXT '\n' PLAINTEXT */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_reader reader = envl_reader_over((envl_view) {data, size});
	envl_bound_context context;
	envl_payload payload = {0};
	char		base64[ENVL_CONTEXT_BASE64_MAX];
	uint16_t	padding;
	uint16_t	bit;

	set_up();
	if (!envl_read_u8(&reader, &payload.flags) ||
		!envl_read_u16(&reader, &padding) ||
		!envl_read_u16(&reader, &payload.key_version) ||
		!envl_read_u48(&reader, &payload.key_id) ||
		!envl_read_u16(&reader, &bit))
		return 0;
	context.canonical = fuzz_next_field(&reader, '\n');
	if (envl_context_validate(context.canonical) != ENVL_OK)
		return 0;
	envl_base64_encode(ENVL_BASE64_URL, context.canonical, base64);
	context.base64 = (envl_view) {
		(const uint8_t *) base64,
		envl_base64_encoded_len(ENVL_BASE64_URL, context.canonical.len)};
	payload.flags &= ENVL_FLAGS;
	if ((payload.flags & ENVL_FLAG_PADDED) != 0)
		payload.padding = (uint32_t) padding + 1;
	payload.plaintext.data = reader.next;
	payload.plaintext.len = envl_reader_left(&reader);
	check_payload(&payload, &context, bit);
	return 0;
}
