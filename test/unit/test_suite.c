/*
 * test_suite.c
 *	  The suite table, and AES-256-GCM over one reused context.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>

#include "core/envl_suite.h"
#include "unit.h"

#define TEXT_LEN 60

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16. */
static const char known_key[] =
	"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char known_nonce[] = "cafebabefacedbaddecaf888";
static const char known_aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char known_plaintext[] =
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
static const char known_ciphertext[] =
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
static const char known_tag[] = "76fc6ece0f4e1768cddf8853bb2d551b";

static const envl_view nothing = {NULL, 0};

static envl_key key;
static uint8_t nonce[ENVL_NONCE_LEN];
static uint8_t aad[20];
static uint8_t plaintext[TEXT_LEN];
static uint8_t ciphertext[TEXT_LEN];
static uint8_t tag[ENVL_TAG_LEN];

static void
test_table(void)
{
	const envl_suite *suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM);

	ok(suite != NULL && suite->id == 1, "suite 1");
	is_text(suite->name, "A256KW+A256GCM", "its name");
	is_text(suite->jwe_alg, "A256KW", "its alg");
	is_text(suite->jwe_enc, "A256GCM", "its enc");
	for (uint8_t id = 0; id < 16; id++)
	{
		if (id != 1 && envl_suite_find(id) != NULL)
			ok(false, "there is no suite %u", (unsigned int) id);
	}
}

static void
test_known(envl_engine *engine)
{
	const envl_gcm gcm = {&key, nonce, {{aad, sizeof(aad)}, {NULL, 0}}};
	const envl_gcm parted = {&key, nonce, {{aad, 7}, {aad + 7, 13}}};
	uint8_t		out[TEXT_LEN];
	uint8_t		out_tag[ENVL_TAG_LEN];

	is_status(envl_gcm_seal(engine, &gcm, (envl_view) {plaintext, TEXT_LEN},
							nothing, out, out_tag),
			  ENVL_OK, "seals");
	is_bytes((envl_view) {out, TEXT_LEN}, (envl_view) {ciphertext, TEXT_LEN},
			 "the known ciphertext");
	is_bytes((envl_view) {out_tag, ENVL_TAG_LEN},
			 (envl_view) {tag, ENVL_TAG_LEN}, "the known tag");

	for (size_t head = 0; head <= TEXT_LEN; head += 15)
	{
		memset(out, 0, sizeof(out));
		is_status(envl_gcm_seal(engine, &parted,
								(envl_view) {plaintext, head},
								(envl_view) {plaintext + head,
											TEXT_LEN - head},
								out, out_tag),
				  ENVL_OK, "in parts, %zu bytes and the rest", head);
		ok(memcmp(out, ciphertext, TEXT_LEN) == 0 &&
			   memcmp(out_tag, tag, ENVL_TAG_LEN) == 0,
		   "the same");
	}

	memcpy(out, plaintext, TEXT_LEN);
	is_status(envl_gcm_seal(engine, &gcm, (envl_view) {out, 33},
							(envl_view) {out + 33, TEXT_LEN - 33}, out,
							out_tag),
			  ENVL_OK, "in place");
	ok(memcmp(out, ciphertext, TEXT_LEN) == 0, "the same");

	is_status(envl_gcm_open(engine, &gcm, (envl_view) {ciphertext, TEXT_LEN},
							tag, out),
			  ENVL_OK, "opens");
	is_bytes((envl_view) {out, TEXT_LEN}, (envl_view) {plaintext, TEXT_LEN},
			 "the known plaintext");
	is_status(envl_gcm_open(engine, &gcm, (envl_view) {out, 0}, tag, out),
			  ENVL_AUTHENTICATION, "the tag is not that of nothing");
}

static void
test_empty(envl_engine *engine)
{
	const envl_gcm gcm = {&key, nonce, {{NULL, 0}, {NULL, 0}}};
	uint8_t		out_tag[ENVL_TAG_LEN];

	is_status(envl_gcm_seal(engine, &gcm, nothing, nothing, NULL, out_tag),
			  ENVL_OK, "nothing is sealed, without aad");
	is_status(envl_gcm_open(engine, &gcm, nothing, out_tag, NULL), ENVL_OK,
			  "and opened");
	out_tag[0] ^= 1;
	is_status(envl_gcm_open(engine, &gcm, nothing, out_tag, NULL),
			  ENVL_AUTHENTICATION, "but not with another tag");
}

/* Opens with one thing changed; nothing may come out. */
static void
check_altered(envl_engine *engine, const char *what, uint8_t *changed)
{
	const envl_gcm gcm = {&key, nonce, {{aad, sizeof(aad)}, {NULL, 0}}};
	uint8_t		out[TEXT_LEN];

	memset(out, 0xEE, sizeof(out));
	*changed ^= 0x80;
	is_status(envl_gcm_open(engine, &gcm, (envl_view) {ciphertext, TEXT_LEN},
							tag, out),
			  ENVL_AUTHENTICATION, "altered: %s",
			  what);
	*changed ^= 0x80;
	ok(all_zero(out, sizeof(out)), "nothing comes out");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");
	ok(engine->gcm_context == NULL, "the context is thrown away");
	is_status(envl_gcm_open(engine, &gcm, (envl_view) {ciphertext, TEXT_LEN},
							tag, out),
			  ENVL_OK, "and the next one works");
}

/* More than libcrypto takes; refused before a byte of it is read. */
static void
test_too_long(envl_engine *engine)
{
	const envl_gcm gcm = {&key, nonce, {{aad, SIZE_MAX / 4}, {NULL, 0}}};
	uint8_t		out[4] = {1, 1, 1, 1};
	uint8_t		out_tag[ENVL_TAG_LEN] = {1};

	is_status(envl_gcm_seal(engine, &gcm, (envl_view) {plaintext, 4},
							nothing, out, out_tag),
			  ENVL_CRYPTO_FAILED,
			  "an aad over INT_MAX");
	ok(all_zero(out, 4) && all_zero(out_tag, ENVL_TAG_LEN), "is wiped");
}

int
main(void)
{
	envl_engine engine;

	from_hex(known_key, key.bytes, sizeof(key.bytes));
	from_hex(known_nonce, nonce, sizeof(nonce));
	from_hex(known_aad, aad, sizeof(aad));
	from_hex(known_plaintext, plaintext, sizeof(plaintext));
	from_hex(known_ciphertext, ciphertext, sizeof(ciphertext));
	from_hex(known_tag, tag, sizeof(tag));

	test_table();
	is_status(envl_engine_init(&engine), ENVL_OK, "an engine");
	ok(!engine.approved_only, "FIPS was not asked for");
	ok(engine.gcm_context == NULL, "a context is made when it is needed");
	test_known(&engine);
	test_empty(&engine);
	check_altered(&engine, "the key", &key.bytes[31]);
	check_altered(&engine, "the nonce", &nonce[11]);
	check_altered(&engine, "the aad", &aad[19]);
	check_altered(&engine, "the ciphertext", &ciphertext[0]);
	check_altered(&engine, "the tag", &tag[15]);
	test_too_long(&engine);
	envl_engine_clear(&engine);
	ok(all_zero(&engine, sizeof(engine)), "a cleared engine is empty");
	envl_engine_clear(&engine);
	ok(true, "and may be cleared again");
	return done_testing();
}
