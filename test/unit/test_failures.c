/*
 * test_failures.c
 *	  Whatever fails in libcrypto: nothing is left, and the next call works.
 *
 * Each scenario runs over and over, with its first call of libcrypto failing,
 * then its second, until it runs through.  The failing call has done its work
 * by then, so that outputs hold secrets when the failure is noticed.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>

#include "core/envl_audit.h"
#include "core/envl_jws.h"
#include "core/envl_key.h"
#include "core/envl_value.h"
#include "inject.h"
#include "unit.h"

#define CALLS_MAX 2000			/* no scenario makes so many */
#define FILLING 0xEE			/* of outputs before a call */

/* Something that can fail. */
typedef struct scenario
{
	const char *name;

	/* Makes what the operation needs; nothing fails yet. */
	void (*prepare)(void);
	envl_status (*run)(void);

	/* Whether a failed run left nothing. */
	bool (*is_clean)(void);

	/* The call whose failure means that something was altered, or NULL. */
	const char *verdict;
} scenario;

/* What scenarios work on. */
static envl_sealer sealer;
static envl_kek kek;
static envl_dek_pool pool;
static envl_key key;
static envl_key deks[ENVL_WRAP_BATCH];
static envl_wrapped wrapped[ENVL_WRAP_BATCH];
static bool opened[ENVL_WRAP_BATCH];
static envl_bound_context context;
static envl_payload payload;
static envl_envelope envelope;
static uint8_t value[256];
static size_t value_len;

/* What they write. */
static envl_engine new_engine;
static envl_kek new_kek;
static uint8_t bytes[ENVL_RANDOM_POOL_LEN + 100];
static size_t bytes_len;

static void
must(envl_status status)
{
	if (status != ENVL_OK)
		ok(false, "prepared: %s", envl_status_name(status));
}

static void
tear_down(void)
{
	envl_kek_clear(&new_kek);
	envl_engine_clear(&new_engine);
	envl_kek_clear(&kek);
	envl_engine_clear(&sealer.engine);
	envl_random_reset(&sealer.random);
	envl_dek_pool_reset(&pool);
}

static void
set_up(void)
{
	tear_down();
	memset(&key, 0x4B, sizeof(key));
	memset(deks, 0xDE, sizeof(deks));
	must(envl_engine_init(&sealer.engine));
	must(envl_kek_init(&kek, &sealer.engine, &key));
	memset(bytes, FILLING, sizeof(bytes));
}

static envl_status
run_engine(void)
{
	envl_status status = envl_engine_init(&new_engine);
	envl_engine copy = new_engine;

	/* Kept only for is_clean, which wants a failed one. */
	if (status == ENVL_OK)
	{
		envl_engine_clear(&copy);
		memset(&new_engine, 0, sizeof(new_engine));
	}
	return status;
}

static bool
engine_clean(void)
{
	return all_zero(&new_engine, sizeof(new_engine));
}

static envl_status
run_kek(void)
{
	envl_status status = envl_kek_init(&new_kek, &sealer.engine, &key);

	if (status == ENVL_OK)
		envl_kek_clear(&new_kek);
	return status;
}

static bool
kek_clean(void)
{
	return all_zero(&new_kek, sizeof(new_kek));
}

static envl_status
run_wrap(void)
{
	memset(wrapped, FILLING, sizeof(wrapped));
	return envl_kek_wrap(&kek, 3, deks, wrapped);
}

static bool
wrap_clean(void)
{
	return all_zero(wrapped, 3 * sizeof(wrapped[0])) &&
		wrapped[3][0] == FILLING;
}

static void
prepare_unwrap(void)
{
	set_up();
	must(envl_kek_wrap(&kek, 3, deks, wrapped));
}

static envl_status
run_unwrap(void)
{
	memset(deks, FILLING, sizeof(deks));
	memset(opened, 1, sizeof(opened));
	return envl_kek_unwrap(&kek, 3, (const envl_wrapped *) wrapped, deks,
						   opened);
}

static bool
unwrap_clean(void)
{
	return all_zero(deks, 3 * sizeof(deks[0])) &&
		deks[3].bytes[0] == FILLING && all_zero(opened, 3);
}

/* Under FIPS each wrap is a call of its own: the others are good. */
static bool
unwrap_approved_clean(void)
{
	size_t		wiped = 0;

	for (size_t i = 0; i < 3; i++)
	{
		if (opened[i])
			continue;
		if (!all_zero(&deks[i], sizeof(deks[i])))
			return false;
		wiped++;
	}
	return wiped == 1;
}

static envl_status
run_random(void)
{
	bytes_len = 100;
	memset(bytes, FILLING, bytes_len);
	return envl_random_take(&sealer.random, &sealer.engine, bytes,
							bytes_len);
}

static envl_status
run_random_large(void)
{
	bytes_len = sizeof(bytes);
	memset(bytes, FILLING, bytes_len);
	return envl_random_take(&sealer.random, &sealer.engine, bytes,
							bytes_len);
}

static bool
random_clean(void)
{
	return all_zero(bytes, bytes_len) &&
		all_zero(&sealer.random, sizeof(sealer.random));
}

static envl_status
run_dek(void)
{
	memset(bytes, FILLING, sizeof(bytes));
	memset(&deks[0], FILLING, sizeof(deks[0]));
	return envl_dek_take(&pool, &kek, &sealer.engine, &sealer.random,
						 &deks[0], bytes);
}

static bool
dek_clean(void)
{
	return all_zero(&deks[0], sizeof(deks[0])) && bytes[0] == FILLING &&
		all_zero(&pool, sizeof(pool));
}

static void
prepare_seal(void)
{
	set_up();
	context.canonical = text_view("{\"id\":7}");
	context.base64 = text_view("eyJpZCI6N30");
	payload = (envl_payload) {
		.key_id = 1,
		.key_version = 1,
		.flags = ENVL_FLAGS,
		.padding = 32,
		.plaintext = text_view("a secret of some length, over a block"),
	};
	value_len = envl_value_size(&payload, &context);
}

/* An AAD that is not put into one piece. */
static void
prepare_seal_long(void)
{
	static char base64[400];

	memset(base64, 'A', sizeof(base64) - 1);
	prepare_seal();
	context.base64 = text_view(base64);
}

static envl_status
run_seal(void)
{
	memset(value, FILLING, sizeof(value));
	return envl_value_seal(&sealer, &kek, &pool, &payload, &context, value);
}

static bool
seal_clean(void)
{
	return all_zero(value, value_len) && value[value_len] == FILLING;
}

static void
prepare_open(void)
{
	prepare_seal();
	must(run_seal());
	must(envl_envelope_parse((envl_view) {value, value_len}, &envelope));

	/* Opening then makes its context as well. */
	envl_cipher_free(&sealer.engine.gcm, sealer.engine.gcm_context);
	sealer.engine.gcm_context = NULL;
}

static envl_status
run_open(void)
{
	memset(bytes, FILLING, sizeof(bytes));
	return envl_value_open(&sealer.engine, &kek, &envelope, &context, bytes,
						   &bytes_len);
}

static bool
open_clean(void)
{
	return bytes_len == 0 && all_zero(bytes, envelope.ciphertext.len) &&
		bytes[envelope.ciphertext.len] == FILLING;
}

static envl_status
run_binding(void)
{
	bytes_len = ENVL_BINDING_LEN;
	return envl_key_binding(1, 1, bytes);
}

static envl_status
run_check_value(void)
{
	bytes_len = ENVL_KCV_LEN;
	return envl_key_check_value(&key, 1, 1, bytes);
}

static envl_status
run_fingerprint(void)
{
	bytes_len = ENVL_FINGERPRINT_LEN;
	return envl_root_fingerprint(&key, bytes);
}

static envl_status
run_digest(void)
{
	bytes_len = ENVL_KEK_DIGEST_LEN;
	return envl_kek_digest(1, 1, text_view("sealed"), bytes);
}

static bool
bytes_clean(void)
{
	return all_zero(bytes, bytes_len) && bytes[bytes_len] == FILLING;
}

/* RFC 7515, A.1 and RFC 8037, A.4. */
static envl_view signed_part;
static envl_view signature;
static envl_jwk token_key;

static void
prepare_token(envl_jws_alg alg, const char *base64, const char *text,
			  const char *text_signature)
{
	set_up();
	token_key.alg = alg;
	must(envl_base64_decode(ENVL_BASE64_URL, text_view(base64),
							token_key.bytes, &token_key.len));
	signed_part = text_view(text);
	signature = text_view(text_signature);
}

static void
prepare_hs256(void)
{
	prepare_token(ENVL_JWS_HS256,
				  "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN"
				  "3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
				  "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiL"
				  "A0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
				  "c19yb290Ijp0cnVlfQ",
				  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

static void
prepare_eddsa(void)
{
	prepare_token(ENVL_JWS_EDDSA,
				  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
				  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
				  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iyl"
				  "Gjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

static envl_status
run_token(void)
{
	return envl_jws_verify(signed_part, signature, &token_key);
}

static envl_status
run_token_digest(void)
{
	return envl_jws_digest(signed_part, bytes);
}

/* Verifying writes nothing; what a digest leaves is no secret. */
static bool
token_clean(void)
{
	return true;
}

/* Of an audit key, an entry of four fields, one absent, and an anchor. */
static envl_key chain_key;

static void
prepare_chain(void)
{
	set_up();
	memset(&chain_key, FILLING, sizeof(chain_key));
	bytes_len = ENVL_AUDIT_MAC_LEN;
}

static envl_status
run_chain_key(void)
{
	return envl_audit_key(&key, 7, 1, &chain_key);
}

static bool
chain_key_clean(void)
{
	return all_zero(&chain_key, sizeof(chain_key));
}

static envl_status
run_entry(void)
{
	const envl_view fields[] = {
		text_view("1"), text_view(""), {NULL, 0}, text_view("grant")};

	return envl_audit_entry(&key, wrapped[0], fields, 4, bytes);
}

static envl_status
run_anchor(void)
{
	return envl_audit_anchor(&key, text_view("entry 7\n"), bytes);
}

static const scenario scenarios[] = {
	{"an engine", set_up, run_engine, engine_clean, NULL},
	{"a KEK", set_up, run_kek, kek_clean, NULL},
	{"wrapping", set_up, run_wrap, wrap_clean, NULL},
	{"unwrapping", prepare_unwrap, run_unwrap, unwrap_clean, NULL},
	{"random bytes", set_up, run_random, random_clean, NULL},
	{"many random bytes", set_up, run_random_large, random_clean, NULL},
	{"a DEK", set_up, run_dek, dek_clean, NULL},
	{"sealing", prepare_seal, run_seal, seal_clean, NULL},
	{"a long context", prepare_seal_long, run_seal, seal_clean, NULL},
	{"opening", prepare_open, run_open, open_clean, "cipher_final"},
	{"a binding", set_up, run_binding, bytes_clean, NULL},
	{"a key-check value", set_up, run_check_value, bytes_clean, NULL},
	{"a fingerprint", set_up, run_fingerprint, bytes_clean, NULL},
	{"a digest", set_up, run_digest, bytes_clean, NULL},
	{"an HS256 token", prepare_hs256, run_token, token_clean, NULL},
	{"an EdDSA token", prepare_eddsa, run_token, token_clean,
	 "EVP_DigestVerify"},
	{"a token's digest", prepare_hs256, run_token_digest, token_clean, NULL},
	{"a chain key", prepare_chain, run_chain_key, chain_key_clean, NULL},
	{"an entry", prepare_chain, run_entry, bytes_clean, NULL},
	{"an anchor", prepare_chain, run_anchor, bytes_clean, NULL}};

/* With libcrypto's own key wrap, and unpooled random bytes. */
static const scenario fips_scenarios[] = {
	{"an engine", set_up, run_engine, engine_clean, NULL},
	{"a KEK", set_up, run_kek, kek_clean, NULL},
	{"wrapping", set_up, run_wrap, wrap_clean, NULL},
	{"unwrapping", prepare_unwrap, run_unwrap, unwrap_approved_clean,
	 "cipher_update"},
	{"random bytes", set_up, run_random, random_clean, NULL},
	{"a DEK", set_up, run_dek, dek_clean, NULL},
	{"sealing", prepare_seal, run_seal, seal_clean, NULL}};

/* Runs with one call failing; false if there was none left to fail. */
static bool
run_once(const scenario *s, unsigned int call, bool short_length)
{
	envl_status status;
	const char *failed;
	envl_status want;

	s->prepare();
	if (short_length)
		inject_short_length(call);
	else
		inject_failure(call);
	status = s->run();
	failed = injected();
	inject_failure(0);
	if (failed == NULL)
	{
		is_status(status, ENVL_OK, "%s: runs through after %u failures",
				  s->name, call - 1);
		return false;
	}

	want = s->verdict != NULL && strcmp(failed, s->verdict) == 0 ?
		ENVL_AUTHENTICATION :
		ENVL_CRYPTO_FAILED;
	is_status(status, want, "%s: call %u, %s%s", s->name, call, failed,
			  short_length ? ", a byte short" : "");
	ok(s->is_clean(), "nothing is left");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");
	is_status(s->run(), ENVL_OK, "the next one works");
	return true;
}

static void
run_all(const scenario *list, size_t count, bool short_length)
{
	for (size_t i = 0; i < count; i++)
	{
		unsigned int call = 1;

		while (call < CALLS_MAX && run_once(&list[i], call, short_length))
			call++;
	}
}

/* A value that does not open leaves nothing of its DEK's wrap either. */
static void
test_unwrap_then_open(void)
{
	prepare_open();
	envelope.tag = value;
	is_status(run_open(), ENVL_AUTHENTICATION, "another tag");
	ok(open_clean(), "nothing is left");
	ok(sealer.engine.gcm_context == NULL, "not even the context");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");
}

int
main(void)
{
	const size_t count = sizeof(scenarios) / sizeof(scenarios[0]);
	const size_t fips_count =
		sizeof(fips_scenarios) / sizeof(fips_scenarios[0]);

	run_all(scenarios, count, false);
	run_all(scenarios, count, true);
	test_unwrap_then_open();

	inject_fips(true);
	set_up();
	ok(sealer.engine.approved_only,
	   "where FIPS is asked for, its key wrap is used");
	run_all(fips_scenarios, fips_count, false);
	run_all(fips_scenarios, fips_count, true);
	tear_down();
	return done_testing();
}
