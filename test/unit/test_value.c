/*
 * test_value.c
 *	  What was sealed opens, with the right key and context, unchanged.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/envl_value.h"
#include "unit.h"

#define CONTEXT "{\"id\":7,\"tenant\":\"acme\",\"type\":\"customers.email\"}"
#define MOMENT UINT64_C(0x0102030405060708)
#define VALUE_MAX 70000

static envl_sealer sealer;
static envl_kek kek;
static envl_dek_pool pool;
static uint8_t value[VALUE_MAX];
static uint8_t opened[VALUE_MAX];

/* A context bound for the AAD; base64 has room for it. */
static envl_bound_context
bind_context(const char *context, char *base64)
{
	envl_bound_context bound;

	bound.canonical = text_view(context);
	envl_base64_encode(ENVL_BASE64_URL, bound.canonical, base64);
	bound.base64.data = (const uint8_t *) base64;
	bound.base64.len = envl_base64_encoded_len(ENVL_BASE64_URL,
											   bound.canonical.len);
	return bound;
}

static envl_payload
make_payload(uint8_t flags, uint32_t padding, envl_view plaintext)
{
	return (envl_payload) {
		.key_id = 0x123456,
		.key_version = 3,
		.flags = flags,
		.padding = padding,
		.moment_us = MOMENT,
		.plaintext = plaintext,
	};
}

static void
test_protected(void)
{
	static const char *const json[] = {
		"{\"enc\":\"A256GCM\"}",
		"{\"cty\":\"text/plain;charset=UTF-8\",\"enc\":\"A256GCM\"}",
		"{\"cty\":\"application/octet-stream;pad=7816\","
		"\"enc\":\"A256GCM\"}",
		"{\"cty\":\"text/plain;charset=UTF-8;pad=7816\","
		"\"enc\":\"A256GCM\"}",
	};
	static const uint8_t flags[] = {
		0,
		ENVL_FLAG_TEXT,
		ENVL_FLAG_PADDED,
		ENVL_FLAG_TEXT | ENVL_FLAG_PADDED,
	};
	char		base64[128];

	for (size_t i = 0; i < 4; i++)
	{
		envl_bound_context encoded = bind_context(json[i], base64);

		is_bytes(envl_protected_json(flags[i]), text_view(json[i]),
				 "protected header %zu", i);
		is_bytes(envl_protected_base64(flags[i]), encoded.base64,
				 "is what its base64url says");
		is_bytes(envl_protected_base64(flags[i] | ENVL_FLAG_CONTEXT),
				 encoded.base64, "stored context or not");
	}
}

/* Seals and opens; the sizes must be those that were announced. */
static void
check_round_trip(uint8_t flags, uint32_t padding, size_t plain_len)
{
	char		base64[128];
	static uint8_t plaintext[VALUE_MAX];
	envl_bound_context context = bind_context(CONTEXT, base64);
	envl_payload payload;
	envl_envelope envelope;
	size_t		size;
	size_t		ciphertext_len = plain_len;
	size_t		len = 99;
	envl_status status;
	bool		good;

	if (padding > 0)
		ciphertext_len = (plain_len / padding + 1) * padding;
	memset(plaintext, 'p', plain_len);
	payload = make_payload(flags, padding,
						   (envl_view) {plaintext, plain_len});
	size = envl_value_size(&payload, &context);
	memset(value, 0xEE, size + 1);
	good = envl_value_seal(&sealer, &kek, &pool, &payload, &context,
						   value) == ENVL_OK &&
		value[size] == 0xEE &&
		envl_envelope_parse((envl_view) {value, size},
							&envelope) == ENVL_OK &&
		envelope.flags == flags && envelope.key_id == 0x123456 &&
		envelope.key_version == 3 &&
		envelope.ciphertext.len == ciphertext_len;
	if (good)
	{
		status = envl_value_open(&sealer.engine, &kek, &envelope, &context,
								 opened, &len);
		good = status == ENVL_OK && len == plain_len &&
			memcmp(opened, plaintext, len) == 0;
	}
	ok(good, "flags %d, padded to %u, %zu bytes", flags, padding, plain_len);
}

static void
test_round_trips(void)
{
	static const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000};
	static const uint32_t paddings[] = {1, 2, 64, 1000, ENVL_PADDING_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		for (uint8_t flags = 0; flags < 4; flags++)
			check_round_trip(flags, 0, lengths[i]);
		for (size_t j = 0; j < sizeof(paddings) / sizeof(paddings[0]); j++)
			check_round_trip(ENVL_FLAGS, paddings[j], lengths[i]);
	}
}

/* What is random differs, what is in the header does not. */
static void
test_fresh(void)
{
	char		base64[128];
	uint8_t		first[256];
	envl_bound_context context = bind_context(CONTEXT, base64);
	envl_payload payload = make_payload(0, 0, text_view("same"));
	size_t		size = envl_value_size(&payload, &context);

	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  first),
			  ENVL_OK, "sealed");
	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  value),
			  ENVL_OK, "and sealed again");
	ok(memcmp(first, value, ENVL_OFFSET_WRAP) == 0, "the same key");
	ok(memcmp(first + ENVL_OFFSET_WRAP, value + ENVL_OFFSET_WRAP,
			  ENVL_WRAP_LEN) != 0,
	   "another DEK");
	ok(memcmp(first + ENVL_OFFSET_NONCE, value + ENVL_OFFSET_NONCE,
			  ENVL_NONCE_LEN) != 0,
	   "another nonce");
	ok(memcmp(first + ENVL_HEADER_LEN, value + ENVL_HEADER_LEN,
			  size - ENVL_HEADER_LEN) != 0,
	   "other ciphertext");
}

/*
 * A cloned machine: its pools hold what the original's hold.  The nonce is
 * the pool's bytes with time and counter added.
 */
static void
test_clone(void)
{
	char		base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	envl_payload payload = make_payload(0, 0, text_view("same"));
	envl_random twin;
	envl_dek_pool twin_pool;
	uint8_t		random_bytes[ENVL_NONCE_LEN];
	uint8_t		expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	uint8_t		nonce[ENVL_NONCE_LEN];
	uint8_t		wrapped[ENVL_WRAP_LEN];

	twin = sealer.random;
	twin_pool = pool;
	is_status(envl_random_take(&twin, &sealer.engine, random_bytes,
							   sizeof(random_bytes)),
			  ENVL_OK,
			  "what the pool holds");
	for (size_t i = 0; i < sizeof(expected); i++)
		expected[i] ^= random_bytes[i];

	twin = sealer.random;
	sealer.counter = 0x090A0B0C;
	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  value),
			  ENVL_OK, "sealed");
	is_bytes((envl_view) {value + ENVL_OFFSET_NONCE, ENVL_NONCE_LEN},
			 (envl_view) {expected, ENVL_NONCE_LEN},
			 "the nonce is that, with time and counter");
	is(sealer.counter, 0x090A0B0D, "the counter counts");
	memcpy(nonce, value + ENVL_OFFSET_NONCE, sizeof(nonce));
	memcpy(wrapped, value + ENVL_OFFSET_WRAP, sizeof(wrapped));

	sealer.random = twin;
	pool = twin_pool;
	sealer.counter = 0x090A0B0C;
	payload.moment_us++;
	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  value),
			  ENVL_OK, "sealed by its twin, later");
	ok(memcmp(wrapped, value + ENVL_OFFSET_WRAP, sizeof(wrapped)) == 0,
	   "under the same DEK");
	ok(memcmp(nonce, value + ENVL_OFFSET_NONCE, sizeof(nonce)) != 0,
	   "with another nonce");
	envl_dek_pool_reset(&pool);
	envl_random_reset(&sealer.random);
}

static void
check_refused(envl_payload payload, envl_status want, const char *name)
{
	char		base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	size_t		size = envl_value_size(&payload, &context);

	if (want == ENVL_LIMIT)
		is((long long) size, 0, "%s: no size", name);
	memset(value, 0xEE, sizeof(value));
	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  value),
			  want, "%s: not sealed", name);
	if (size > 0)
		ok(all_zero(value, size), "wiped");
	is(value[size], 0xEE, "and no more written");
}

static void
test_seal_refused(void)
{
	static char long_text[ENVL_CONTEXT_MAX + 2];
	static char base64[ENVL_CONTEXT_BASE64_MAX + 8];
	envl_bound_context context;
	envl_payload payload;

	payload = make_payload(0, 0, text_view("x"));
	payload.plaintext.len = ENVL_PLAINTEXT_MAX + 1;
	check_refused(payload, ENVL_LIMIT, "over 512 MiB");
	payload = make_payload(ENVL_FLAG_PADDED, ENVL_PADDING_MAX + 1,
						   text_view("x"));
	check_refused(payload, ENVL_LIMIT, "padding over 64 KiB");
	payload = make_payload(ENVL_FLAG_PADDED, 0, text_view("x"));
	check_refused(payload, ENVL_MALFORMED, "padded to nothing");
	payload = make_payload(0, 16, text_view("x"));
	check_refused(payload, ENVL_MALFORMED, "padded without the flag");
	payload = make_payload(0x8, 0, text_view("x"));
	check_refused(payload, ENVL_MALFORMED, "flag 3");
	payload = make_payload(0, 0, text_view("x"));
	payload.key_version = 0;
	check_refused(payload, ENVL_MALFORMED, "version 0");
	payload = make_payload(0, 0, text_view("x"));
	payload.key_id = 0;
	check_refused(payload, ENVL_MALFORMED, "key id 0");
	payload.key_id = ENVL_KEY_ID_MAX + 1;
	check_refused(payload, ENVL_MALFORMED, "a key id of 49 bits");

	memset(long_text, 'x', sizeof(long_text) - 1);
	context = bind_context(long_text, base64);
	payload = make_payload(0, 0, text_view("x"));
	is((long long) envl_value_size(&payload, &context), 0,
	   "no size with a context of 4097 bytes");
}

/* Each bit of a value flipped: nothing is opened that was not sealed. */
static void
test_altered(uint8_t flags)
{
	char		base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	uint32_t	padding = (flags & ENVL_FLAG_PADDED) != 0 ? 32 : 0;
	envl_payload payload = make_payload(flags, padding, text_view("hello"));
	size_t		size = envl_value_size(&payload, &context);
	size_t		wrong = 0;

	if (envl_value_seal(&sealer, &kek, &pool, &payload, &context,
						value) != ENVL_OK)
		wrong++;
	for (size_t bit = 0; bit < size * 8; bit++)
	{
		envl_envelope envelope;
		size_t		len = 99;
		envl_status status;

		value[bit / 8] ^= (uint8_t) (1 << bit % 8);
		status = envl_envelope_parse((envl_view) {value, size}, &envelope);
		if (status == ENVL_OK)
		{
			memset(opened, 0xEE, sizeof(opened));
			status = envl_value_open(&sealer.engine, &kek, &envelope,
									 &context, opened, &len);

			/* Version and key id say which key to ask for, no more. */
			if (bit / 8 >= ENVL_OFFSET_VERSION && bit / 8 < ENVL_OFFSET_WRAP)
				wrong += status != ENVL_OK;
			else
				wrong += status != ENVL_AUTHENTICATION || len != 0 ||
					!all_zero(opened, envelope.ciphertext.len);
		}
		value[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	is((long long) wrong, 0, "flags %d: each bit flipped", flags);
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");
}

/* Opens a value with another context, or another key. */
static void
test_wrong_context(uint8_t flags)
{
	char		base64[128];
	char		other_base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	envl_bound_context other = bind_context("{\"id\":8}", other_base64);
	envl_payload payload = make_payload(flags, 0, text_view("hello"));
	size_t		size = envl_value_size(&payload, &context);
	envl_engine engine = {0};
	envl_envelope envelope;
	envl_key	key = {{1}};
	envl_kek	other_kek;
	size_t		len = 99;

	is_status(envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							  value),
			  ENVL_OK, "sealed, flags %d", flags);
	is_status(envl_envelope_parse((envl_view) {value, size}, &envelope),
			  ENVL_OK, "parsed");
	memset(opened, 0xEE, sizeof(opened));
	is_status(envl_value_open(&sealer.engine, &kek, &envelope, &other,
							  opened, &len),
			  ENVL_AUTHENTICATION,
			  "another context");
	ok(all_zero(opened, 5) && len == 0, "nothing comes out");

	is_status(envl_kek_init(&other_kek, &sealer.engine, &key), ENVL_OK,
			  "another KEK");
	memset(opened, 0xEE, sizeof(opened));
	is_status(envl_value_open(&sealer.engine, &other_kek, &envelope,
							  &context, opened, &len),
			  ENVL_AUTHENTICATION,
			  "does not open it");
	ok(all_zero(opened, 5) && len == 0, "nothing comes out");
	envl_kek_clear(&other_kek);

	memset(opened, 0xEE, sizeof(opened));
	is_status(envl_value_open(&engine, &kek, &envelope, &context, opened,
							  &len),
			  ENVL_CRYPTO_FAILED, "an empty engine");
	ok(all_zero(opened, 5) && len == 0, "nothing comes out");
	envl_engine_clear(&engine);

	is_status(envl_header_parse((envl_view) {value, ENVL_HEADER_LEN},
								&envelope),
			  ENVL_OK, "a header");
	is_status(envl_value_open(&sealer.engine, &kek, &envelope, &context,
							  opened, &len),
			  ENVL_MALFORMED,
			  "is not a value");
}

/* Seals bytes as a padded payload, whatever they are, and opens that. */
static envl_status
open_padded(envl_view payload, size_t *len)
{
	char		base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	uint8_t		ciphertext[64];
	uint8_t		tag[ENVL_TAG_LEN];
	uint8_t		nonce[ENVL_NONCE_LEN] = {0};
	envl_wrapped wrapped;
	envl_key	dek = {{2}};
	envl_gcm	gcm = {.key = &dek, .nonce = nonce};
	envl_view	header = envl_protected_base64(ENVL_FLAG_PADDED);
	uint8_t		aad[256];
	envl_envelope envelope = {
		.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM),
		.flags = ENVL_FLAG_PADDED,
		.wrapped = wrapped,
		.nonce = nonce,
		.ciphertext = {ciphertext, payload.len},
		.tag = tag,
	};
	envl_writer writer = envl_writer_into(aad, sizeof(aad));
	envl_status status;

	envl_write_view(&writer, header);
	envl_write_u8(&writer, '.');
	envl_write_view(&writer, context.base64);
	gcm.aad[0] = (envl_view) {aad, envl_writer_len(&writer)};
	status = envl_kek_wrap(&kek, 1, &dek, &wrapped);
	if (status == ENVL_OK)
		status = envl_gcm_seal(&sealer.engine, &gcm, payload,
							   (envl_view) {NULL, 0}, ciphertext, tag);
	if (status != ENVL_OK)
		return status;
	memset(opened, 0xEE, sizeof(opened));
	return envl_value_open(&sealer.engine, &kek, &envelope, &context, opened,
						   len);
}

static void
test_padding(void)
{
	static const struct
	{
		envl_view	payload;
		int			plain_len;	/* -1: wrong padding */
	} cases[] = {
		{{(const uint8_t *) "\x80", 1}, 0},
		{{(const uint8_t *) "\x80\0\0", 3}, 0},
		{{(const uint8_t *) "ab\x80", 3}, 2},
		{{(const uint8_t *) "ab\x80\0\0\0", 6}, 2},
		{{(const uint8_t *) "ab\0\x80\0", 5}, 3},
		{{(const uint8_t *) "\x80\x80", 2}, 1},
		{{(const uint8_t *) "ab", 2}, -1},
		{{(const uint8_t *) "ab\0\0", 4}, -1},
		{{(const uint8_t *) "\0", 1}, -1},
		{{(const uint8_t *) "\0\0\0\0", 4}, -1},
		{{(const uint8_t *) "\x80\1", 2}, -1},
		{{(const uint8_t *) "\x81\0", 2}, -1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t		len = 99;
		envl_status status = open_padded(cases[i].payload, &len);

		if (cases[i].plain_len < 0)
		{
			is_status(status, ENVL_AUTHENTICATION, "wrong padding, case %zu",
					  i);
			ok(len == 0 && all_zero(opened, cases[i].payload.len),
			   "nothing comes out");
			continue;
		}
		is_status(status, ENVL_OK, "padding, case %zu", i);
		is_bytes((envl_view) {opened, len},
				 (envl_view) {cases[i].payload.data,
							 (size_t) cases[i].plain_len},
				 "the plaintext");
	}
}

/* Every value has a mark of its own, which no wrap changes. */
static void
test_mark(void)
{
	char		base64[128];
	envl_bound_context context = bind_context(CONTEXT, base64);
	envl_payload payload = make_payload(0, 0, text_view("plain"));
	size_t		size = envl_value_size(&payload, &context);
	uint8_t		marks[3][ENVL_MARK_LEN];
	envl_envelope envelope;
	envl_wrapped wrapped;
	envl_key	key = {{1}};
	envl_key	dek;
	envl_kek	next;
	bool		good = true;

	for (int i = 0; i < 2; i++)
	{
		good = good &&
			envl_value_seal(&sealer, &kek, &pool, &payload, &context,
							value) == ENVL_OK &&
			envl_envelope_parse((envl_view) {value, size},
								&envelope) == ENVL_OK &&
			envl_value_mark(&kek, &envelope, marks[i]) == ENVL_OK;
	}
	ok(good && memcmp(marks[0], marks[1], ENVL_MARK_LEN) != 0,
	   "two values have two marks");

	is_status(envl_kek_init(&next, &sealer.engine, &key), ENVL_OK, "a KEK");
	memcpy(wrapped, envelope.wrapped, sizeof(wrapped));
	good = envl_kek_unwrap(&kek, 1, (const envl_wrapped *) &wrapped, &dek,
						   NULL) == ENVL_OK &&
		envl_kek_wrap(&next, 1, &dek, &wrapped) == ENVL_OK;
	memcpy(value + ENVL_OFFSET_WRAP, wrapped, sizeof(wrapped));
	is_status(envl_value_mark(&next, &envelope, marks[2]), ENVL_OK,
			  "mark of a value that was rewrapped");
	ok(good && memcmp(marks[1], marks[2], ENVL_MARK_LEN) == 0,
	   "is the same");
	is_status(envl_value_mark(&kek, &envelope, marks[2]), ENVL_AUTHENTICATION,
			  "under another KEK there is none");
	ok(all_zero(marks[2], ENVL_MARK_LEN), "and nothing comes out");
	envl_kek_clear(&next);
}

int
main(void)
{
	envl_key	key;

	test_protected();
	is_status(envl_engine_init(&sealer.engine), ENVL_OK, "an engine");
	is_status(envl_random_take(&sealer.random, &sealer.engine, key.bytes,
							   sizeof(key)),
			  ENVL_OK, "a random KEK");
	is_status(envl_kek_init(&kek, &sealer.engine, &key), ENVL_OK, "a KEK");
	test_round_trips();
	test_fresh();
	test_clone();
	test_seal_refused();
	test_altered(0);
	test_altered(ENVL_FLAGS);
	test_wrong_context(0);
	test_wrong_context(ENVL_FLAG_CONTEXT | ENVL_FLAG_TEXT);
	test_padding();
	test_mark();
	envl_kek_clear(&kek);
	envl_engine_clear(&sealer.engine);
	return done_testing();
}
