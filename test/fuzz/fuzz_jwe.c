/*
 * fuzz_jwe.c
 *	  Any bytes as the members of a JWE, one a line, and as a value.
 *
 * Whatever converts, converts back to the same.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_jwe.h"
#include "fuzz.h"

static uint8_t context_bytes[ENVL_CONTEXT_MAX];

/* The context that aad says, which is known to be canonical. */
static envl_bound_context
bound_context(envl_view aad)
{
	envl_bound_context context = {.canonical = {context_bytes, 0}};

	CHECK(aad.len <= ENVL_CONTEXT_BASE64_MAX);
	CHECK(envl_base64_decode(ENVL_BASE64_URL, aad, context_bytes,
							 &context.canonical.len) == ENVL_OK);
	CHECK(envl_context_validate(context.canonical) == ENVL_OK);
	context.base64 = aad;
	return context;
}

static void
check_same(const envl_jwe *a, const envl_jwe *b)
{
	CHECK(envl_view_equal(a->protected_header, b->protected_header));
	CHECK(envl_view_equal(a->alg, b->alg));
	CHECK(envl_view_equal(a->kid, b->kid));
	CHECK(envl_view_equal(a->encrypted_key, b->encrypted_key));
	CHECK(envl_view_equal(a->aad, b->aad));
	CHECK(envl_view_equal(a->iv, b->iv));
	CHECK(envl_view_equal(a->ciphertext, b->ciphertext));
	CHECK(envl_view_equal(a->tag, b->tag));
}

/* The kid says what the value says, and comes back out of it. */
static void
check_kid(envl_view kid, const envl_envelope *envelope)
{
	char		name_text[ENVL_KEY_NAME_MAX + 1];
	char		again[ENVL_KID_SIZE];
	envl_view	name;
	uint64_t	key_id;
	uint16_t	version;

	CHECK(envl_kid_parse(kid, &name, &key_id, &version) == ENVL_OK);
	CHECK(key_id == envelope->key_id && version == envelope->key_version);
	CHECK(name.len > 0 && name.len <= ENVL_KEY_NAME_MAX);
	memcpy(name_text, name.data, name.len);
	name_text[name.len] = '\0';
	envl_kid_format(name_text, key_id, version, again);
	CHECK(envl_view_equal((envl_view) {(const uint8_t *) again,
									  strlen(again)},
						  kid));
}

static void
check_value(const envl_jwe *jwe, bool stored, envl_view value)
{
	envl_envelope envelope;
	envl_bound_context context = bound_context(jwe->aad);
	envl_jwe	again;
	char	   *buffer;

	CHECK(envl_envelope_parse(value, &envelope) == ENVL_OK);
	CHECK(stored == ((envelope.flags & ENVL_FLAG_CONTEXT) != 0));
	check_kid(jwe->kid, &envelope);

	buffer = fuzz_alloc(envl_jwe_buffer_len(&envelope, &context));
	CHECK(envl_jwe_from_envelope(&envelope, &context, jwe->kid, buffer,
								 &again) == ENVL_OK);
	check_same(jwe, &again);
	free(buffer);
}

static void
try_members(envl_view input)
{
	envl_reader reader = envl_reader_over(input);
	envl_jwe	jwe;

	jwe.protected_header = fuzz_next_field(&reader, '\n');
	jwe.alg = fuzz_next_field(&reader, '\n');
	jwe.kid = fuzz_next_field(&reader, '\n');
	jwe.encrypted_key = fuzz_next_field(&reader, '\n');
	jwe.aad = fuzz_next_field(&reader, '\n');
	jwe.iv = fuzz_next_field(&reader, '\n');
	jwe.ciphertext = fuzz_next_field(&reader, '\n');
	jwe.tag = fuzz_next_field(&reader, '\n');

	for (int stored = 0; stored < 2; stored++)
	{
		uint8_t    *out = fuzz_alloc(envl_jwe_envelope_max(&jwe));
		envl_view	value = {out, 0};
		envl_status status = envl_jwe_to_envelope(&jwe, stored, out,
												  &value.len);

		CHECK(status == ENVL_OK || status == ENVL_MALFORMED ||
			  status == ENVL_UNSUPPORTED || status == ENVL_LIMIT);
		CHECK(value.len <= envl_jwe_envelope_max(&jwe));
		if (status == ENVL_OK)
			check_value(&jwe, stored, value);
		else
			CHECK(value.len == 0);
		free(out);
	}
}

/* A value that does not store its context is given one that it might have. */
static void
try_value(envl_view input)
{
	static const char unstored[] = "{\"id\":1}";
	envl_envelope envelope;
	envl_bound_context context = {.canonical = ENVL_LITERAL(unstored)};
	envl_jwe	jwe;
	char		kid[ENVL_KID_SIZE];
	char		base64[ENVL_CONTEXT_BASE64_MAX];
	char	   *buffer;
	uint8_t    *again;
	size_t		again_len;

	if (envl_envelope_parse(input, &envelope) != ENVL_OK)
		return;
	if (envelope.context.data != NULL)
		context.canonical = envelope.context;
	envl_base64_encode(ENVL_BASE64_URL, context.canonical, base64);
	context.base64 = (envl_view) {
		(const uint8_t *) base64,
		envl_base64_encoded_len(ENVL_BASE64_URL, context.canonical.len)};
	envl_kid_format("name", envelope.key_id, envelope.key_version, kid);

	buffer = fuzz_alloc(envl_jwe_buffer_len(&envelope, &context));
	CHECK(envl_jwe_from_envelope(&envelope, &context,
								 (envl_view) {(const uint8_t *) kid,
											 strlen(kid)},
								 buffer, &jwe) == ENVL_OK);
	again = fuzz_alloc(envl_jwe_envelope_max(&jwe));
	CHECK(envl_jwe_to_envelope(&jwe, envelope.context.data != NULL, again,
							   &again_len) == ENVL_OK);
	CHECK(envl_view_equal((envl_view) {again, again_len}, input));
	free(again);
	free(buffer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};

	try_members(input);
	try_value(input);
	return 0;
}
