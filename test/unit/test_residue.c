/*
 * test_residue.c
 *	  No DEK stays behind on the stack.
 *
 * Each operation runs on a stack of its own, which is then searched for the
 * secret.  What libcrypto keeps in its contexts it wipes itself; what our
 * functions put on the stack is ours to wipe.  Any half of a key counts.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <openssl/evp.h>

#include "core/envl_key.h"
#include "core/envl_value.h"
#include "inject.h"
#include "unit.h"

#define STACK_LEN ((size_t) 512 * 1024)
#define HALF ((size_t) ENVL_KEY_LEN / 2)

static uint8_t stack[STACK_LEN];
static ucontext_t tester;
static ucontext_t operation;

static envl_sealer sealer;
static envl_kek kek;
static envl_dek_pool pool;
static envl_key key;
static envl_key dek;
static envl_wrapped wrapped;
static envl_bound_context context;
static envl_payload payload;
static envl_envelope envelope;
static uint8_t value[256];
static uint8_t out[256];
static size_t out_len;
static envl_status status;

/* Runs it on the other stack, which holds nothing before. */
static void
run(void (*function)(void))
{
	memset(stack, 0, sizeof(stack));
	getcontext(&operation);
	operation.uc_stack.ss_sp = stack;
	operation.uc_stack.ss_size = sizeof(stack);
	operation.uc_link = &tester;
	makecontext(&operation, function, 0);
	swapcontext(&tester, &operation);
}

static bool
on_stack(const uint8_t *secret)
{
	return memmem(stack, sizeof(stack), secret, HALF) != NULL ||
		memmem(stack, sizeof(stack), secret + HALF, HALF) != NULL;
}

static void
check_gone(const uint8_t *secret, envl_status want, const char *name)
{
	is_status(status, want, "%s", name);
	ok(!on_stack(secret), "leaves nothing on the stack");
}

/* The DEK of the value that was sealed. */
static void
find_dek(void)
{
	memcpy(wrapped, value + ENVL_OFFSET_WRAP, sizeof(wrapped));
	if (envl_kek_unwrap(&kek, 1, (const envl_wrapped *) &wrapped, &dek,
						NULL) != ENVL_OK)
		ok(false, "the DEK is found");
}

static void
run_careless(void)
{
	volatile envl_key copy = dek;

	(void) copy;
}

static void
run_seal(void)
{
	status = envl_value_seal(&sealer, &kek, &pool, &payload, &context, value);
}

static void
run_open(void)
{
	status = envl_value_open(&sealer.engine, &kek, &envelope, &context, out,
							 &out_len);
}

static void
run_wrap(void)
{
	status = envl_kek_wrap(&kek, 1, &dek, &wrapped);
}

static void
run_unwrap(void)
{
	status = envl_kek_unwrap(&kek, 1, (const envl_wrapped *) &wrapped,
							 &dek, NULL);
}

static void
run_kek(void)
{
	envl_kek	other;

	status = envl_kek_init(&other, &sealer.engine, &key);
	if (status == ENVL_OK)
		envl_kek_clear(&other);
}

static void
run_check_value(void)
{
	status = envl_key_check_value(&key, 1, 1, out);
}

static void
check_all(const char *how)
{
	const uint8_t plaintext[] = "as long as a key, or a little longer";
	envl_view	sealed = {value, 0};

	note("%s", how);
	if (envl_engine_init(&sealer.engine) != ENVL_OK ||
		envl_kek_init(&kek, &sealer.engine, &key) != ENVL_OK)
		ok(false, "an engine and a KEK");
	payload.plaintext = (envl_view) {plaintext, sizeof(plaintext)};

	run(run_seal);
	find_dek();
	check_gone(dek.bytes, ENVL_OK, "sealing");
	sealed.len = envl_value_size(&payload, &context);
	if (envl_envelope_parse(sealed, &envelope) != ENVL_OK)
		ok(false, "a value");
	run(run_open);
	check_gone(dek.bytes, ENVL_OK, "opening");
	ok(!on_stack(plaintext), "nor of the plaintext");
	run(run_wrap);
	check_gone(dek.bytes, ENVL_OK, "wrapping");
	run(run_unwrap);
	check_gone(dek.bytes, ENVL_OK, "unwrapping");
	run(run_kek);
	check_gone(key.bytes, ENVL_OK, "keying");

	value[ENVL_HEADER_LEN] ^= 1;
	run(run_open);
	check_gone(dek.bytes, ENVL_AUTHENTICATION, "failing to open");

	envl_dek_pool_reset(&pool);
	envl_random_reset(&sealer.random);
	envl_kek_clear(&kek);
	envl_engine_clear(&sealer.engine);
}

/* The part of the HMAC that is not the key-check value. */
static void
test_check_value(void)
{
	uint8_t		message[sizeof("pgenvelope/1 kcv") + 8] = "pgenvelope/1 kcv";
	uint8_t		mac[32];

	message[sizeof(message) - 3] = 1;
	message[sizeof(message) - 1] = 1;
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.bytes, sizeof(key),
				  message, sizeof(message), mac, sizeof(mac), NULL) == NULL)
		ok(false, "an HMAC");
	run(run_check_value);
	ok(memcmp(mac, out, ENVL_KCV_LEN) == 0, "the HMAC is the right one");
	check_gone(mac, ENVL_OK, "a key-check value");
	check_gone(key.bytes, ENVL_OK, "and its KEK");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(key); i++)
		key.bytes[i] = (uint8_t) (0xA5 ^ i * 7);
	context.canonical = text_view("{\"id\":7}");
	context.base64 = text_view("eyJpZCI6N30");
	payload.key_id = 1;
	payload.key_version = 1;

	dek = key;
	run(run_careless);
	ok(on_stack(dek.bytes), "a careless function would be found out");
	check_all("as usual");
	inject_fips(true);
	check_all("where FIPS is asked for");
	test_check_value();
	return done_testing();
}
