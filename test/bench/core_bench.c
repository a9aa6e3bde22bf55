/*
 * core_bench.c
 *	  What the core's operations cost, in nanoseconds.
 *
 * Each line is the best of several rounds, which is what the code costs when
 * nothing else disturbs it.  No PostgreSQL is involved: docs/performance.md
 * says what a statement adds.
 *
 *	  cc -std=c11 -D_GNU_SOURCE -O2 -Isrc/core -o build/core_bench \
 *		  test/bench/core_bench.c src/core/envl_*.c -lcrypto
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "envl_value.h"

#define ROUNDS 9
#define BASE64_LEN ((size_t) 1024 * 1024)
#define LARGE_LEN ((size_t) 1024 * 1024)
#define SMALL_LEN 16

/* Everything an operation below works on. */
static envl_sealer sealer;
static envl_kek kek;
static envl_dek_pool pool;
static envl_key deks[ENVL_WRAP_BATCH];
static envl_wrapped wrapped[ENVL_WRAP_BATCH];
static envl_bound_context bound;
static envl_member members[3];
static envl_spelled spelled[3];
static envl_spelled policy[ENVL_MEMBERS_MAX];
static size_t policy_count;
static envl_payload payload;
static envl_envelope envelope;
static uint8_t context_bytes[ENVL_CONTEXT_MAX];
static char context_base64[ENVL_CONTEXT_BASE64_MAX];
static uint8_t plaintext[LARGE_LEN];
static uint8_t value[LARGE_LEN + ENVL_OVERHEAD];
static uint8_t opened[LARGE_LEN];
static char base64[BASE64_LEN * 2];

static void
must(envl_status status)
{
	if (status != ENVL_OK)
	{
		fprintf(stderr, "core_bench: %s\n", envl_status_name(status));
		exit(EXIT_FAILURE);
	}
}

static void
wrap_one(void)
{
	must(envl_kek_wrap(&kek, 1, deks, wrapped));
}

static void
wrap_batch(void)
{
	must(envl_kek_wrap(&kek, ENVL_WRAP_BATCH, deks, wrapped));
}

static void
unwrap_one(void)
{
	must(envl_kek_unwrap(&kek, 1, (const envl_wrapped *) wrapped, deks,
						 NULL));
}

static void
unwrap_batch(void)
{
	must(envl_kek_unwrap(&kek, ENVL_WRAP_BATCH,
						 (const envl_wrapped *) wrapped, deks, NULL));
}

static void
seal(void)
{
	must(envl_value_seal(&sealer, &kek, &pool, &payload, &bound, value));
}

static void
parse(void)
{
	envl_view	bytes = {value, envl_value_size(&payload, &bound)};

	must(envl_envelope_parse(bytes, &envelope));
}

static void
open_value(void)
{
	size_t		len;

	parse();
	must(envl_value_open(&sealer.engine, &kek, &envelope, &bound, opened,
						 &len));
}

static void
encode_context(void)
{
	must(envl_context_encode(members, 3, context_bytes,
							 &bound.canonical.len, spelled));
}

static void
validate_context(void)
{
	must(envl_context_validate(bound.canonical));
}

static void
check_policy(void)
{
	envl_view	member;

	must(envl_policy_check(policy, policy_count, spelled, 3, &member));
}

static void
base64_encode(void)
{
	envl_base64_encode(ENVL_BASE64_URL,
					   (envl_view) {plaintext, BASE64_LEN}, base64);
}

static void
base64_decode(void)
{
	envl_view	text = {
		(const uint8_t *) base64,
		envl_base64_encoded_len(ENVL_BASE64_URL, BASE64_LEN)};
	size_t		len;

	must(envl_base64_decode(ENVL_BASE64_URL, text, opened, &len));
}

/* Nanoseconds of one call, the best of ROUNDS. */
static double
measure(void (*operation)(void), unsigned int calls)
{
	double		best = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		struct timespec start;
		struct timespec end;
		double		each;

		clock_gettime(CLOCK_MONOTONIC, &start);
		for (unsigned int i = 0; i < calls; i++)
			operation();
		clock_gettime(CLOCK_MONOTONIC, &end);
		each = ((double) (end.tv_sec - start.tv_sec) * 1e9 +
				(double) (end.tv_nsec - start.tv_nsec)) /
			calls;
		if (round == 0 || each < best)
			best = each;
	}
	return best;
}

static void
per_operation(const char *name, void (*operation)(void), unsigned int calls,
			  unsigned int values)
{
	printf("%-34s %9.1f ns\n", name, measure(operation, calls) / values);
}

static void
per_byte(const char *name, void (*operation)(void), size_t len)
{
	printf("%-34s %9.0f MB/s\n", name,
		   (double) len * 1e3 / measure(operation, 20));
}

static void
prepare(void)
{
	envl_key	key;

	must(envl_engine_init(&sealer.engine));
	must(envl_random_take(&sealer.random, &sealer.engine, key.bytes,
						  sizeof(key)));
	must(envl_kek_init(&kek, &sealer.engine, &key));
	envl_wipe(&key, sizeof(key));

	members[0].name = ENVL_LITERAL("tenant");
	members[0].type = ENVL_MEMBER_STRING;
	members[0].string = ENVL_LITERAL("acme");
	members[1].name = ENVL_LITERAL("type");
	members[1].type = ENVL_MEMBER_STRING;
	members[1].string = ENVL_LITERAL("customers.email");
	members[2].name = ENVL_LITERAL("id");
	members[2].type = ENVL_MEMBER_INTEGER;
	members[2].integer = 4711;
	must(envl_policy_read(
		ENVL_LITERAL("{\"tenant\":\"acme\",\"type\":null}"), policy,
		&policy_count));
	encode_context();
	bound.canonical.data = context_bytes;
	envl_base64_encode(ENVL_BASE64_URL, bound.canonical, context_base64);
	bound.base64.data = (const uint8_t *) context_base64;
	bound.base64.len = envl_base64_encoded_len(ENVL_BASE64_URL,
											   bound.canonical.len);

	memset(plaintext, 'x', sizeof(plaintext));
	payload.key_id = 1;
	payload.key_version = 1;
	payload.flags = ENVL_FLAG_TEXT;
	payload.moment_us = 1;
	payload.plaintext = (envl_view) {plaintext, SMALL_LEN};
}

int
main(void)
{
	prepare();
	printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
	per_operation("wrap one", wrap_one, 50000, 1);
	per_operation("wrap, each of 64", wrap_batch, 1000, ENVL_WRAP_BATCH);
	per_operation("unwrap one", unwrap_one, 50000, 1);
	per_operation("unwrap, each of 64", unwrap_batch, 1000, ENVL_WRAP_BATCH);
	per_operation("seal 16 bytes", seal, 50000, 1);
	per_operation("open 16 bytes", open_value, 50000, 1);
	per_operation("parse a value", parse, 50000, 1);
	per_operation("encode a context of 3 members", encode_context, 50000, 1);
	per_operation("validate a context of 3 members", validate_context, 50000,
				  1);
	per_operation("check it against a policy", check_policy, 50000, 1);
	per_byte("base64 encode", base64_encode, BASE64_LEN);
	per_byte("base64 decode", base64_decode, BASE64_LEN);

	payload.plaintext.len = LARGE_LEN;
	per_byte("seal 1 MiB", seal, LARGE_LEN);
	per_byte("open 1 MiB", open_value, LARGE_LEN);

	envl_kek_clear(&kek);
	envl_engine_clear(&sealer.engine);
	return EXIT_SUCCESS;
}
