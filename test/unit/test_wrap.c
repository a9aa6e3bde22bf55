/*
 * test_wrap.c
 *	  RFC 3394, one by one and side by side; DEKs made ahead.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>

#include "core/envl_wrap.h"
#include "inject.h"
#include "unit.h"

static envl_engine engine;
static envl_random pool_of_bytes;
static envl_key deks[ENVL_WRAP_BATCH];
static envl_wrapped wrapped[ENVL_WRAP_BATCH];

/* Casts away what C does not convert by itself. */
static const envl_wrapped *
as_input(envl_wrapped *wraps)
{
	return (const envl_wrapped *) wraps;
}

/* RFC 3394, section 4.6. */
static void
test_known(void)
{
	envl_key	key;
	envl_key	dek;
	envl_key	unwrapped;
	envl_wrapped expected;
	envl_wrapped out;
	envl_kek	kek;
	bool		opened = false;

	from_hex("000102030405060708090A0B0C0D0E0F"
			 "101112131415161718191A1B1C1D1E1F",
			 key.bytes, sizeof(key));
	from_hex("00112233445566778899AABBCCDDEEFF"
			 "000102030405060708090A0B0C0D0E0F",
			 dek.bytes, sizeof(dek));
	from_hex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326"
			 "CBC7F0E71A99F43BFB988B9B7A02DD21",
			 expected, sizeof(expected));
	is_status(envl_kek_init(&kek, &engine, &key), ENVL_OK, "a KEK");
	is_status(envl_kek_wrap(&kek, 1, &dek, &out), ENVL_OK, "wraps");
	is_bytes((envl_view) {out, sizeof(out)},
			 (envl_view) {expected, sizeof(expected)}, "RFC 3394, 4.6");
	is_status(envl_kek_unwrap(&kek, 1, as_input(&out), &unwrapped, &opened),
			  ENVL_OK, "unwraps");
	ok(opened && memcmp(&unwrapped, &dek, sizeof(dek)) == 0, "the DEK");
	envl_kek_clear(&kek);
	ok(all_zero(&kek, sizeof(kek)), "a cleared KEK is empty");
	envl_kek_clear(&kek);
	ok(true, "and may be cleared again");
}

static void
test_batches(const envl_kek *kek)
{
	envl_wrapped one;
	envl_key	unwrapped[ENVL_WRAP_BATCH];
	size_t		wrong = 0;

	for (size_t count = 1; count <= ENVL_WRAP_BATCH; count++)
	{
		memset(wrapped, 0xEE, sizeof(wrapped));
		wrong += envl_kek_wrap(kek, count, deks, wrapped) != ENVL_OK;
		for (size_t i = 0; i < count; i++)
		{
			wrong += envl_kek_wrap(kek, 1, &deks[i], &one) != ENVL_OK ||
				memcmp(one, wrapped[i], sizeof(one)) != 0;
		}
		wrong += count < ENVL_WRAP_BATCH && wrapped[count][0] != 0xEE;
		wrong += envl_kek_unwrap(kek, count, as_input(wrapped), unwrapped,
								 NULL) != ENVL_OK ||
			memcmp(unwrapped, deks, sizeof(envl_key) * count) != 0;
	}
	is((long long) wrong, 0, "wraps of 1 to 64 at once are those of one each");

	is_status(envl_kek_wrap(kek, 0, deks, wrapped), ENVL_LIMIT, "none");
	is_status(envl_kek_wrap(kek, ENVL_WRAP_BATCH + 1, deks, wrapped),
			  ENVL_LIMIT, "65");
	is_status(envl_kek_unwrap(kek, 0, as_input(wrapped), unwrapped, NULL),
			  ENVL_LIMIT, "none to unwrap");
	is_status(envl_kek_unwrap(kek, ENVL_WRAP_BATCH + 1, as_input(wrapped),
							  unwrapped, NULL),
			  ENVL_LIMIT, "65 to unwrap");
}

/* Some wraps of a batch are damaged: those alone do not open. */
static void
test_damaged(const envl_kek *kek)
{
	envl_key	unwrapped[ENVL_WRAP_BATCH];
	bool		opened[ENVL_WRAP_BATCH];
	size_t		wrong = 0;
	envl_wrapped one;

	is_status(envl_kek_wrap(kek, ENVL_WRAP_BATCH, deks, wrapped), ENVL_OK,
			  "a batch");
	for (size_t i = 0; i < ENVL_WRAP_BATCH; i += 3)
		wrapped[i][i % ENVL_WRAP_LEN] ^= 1;
	is_status(envl_kek_unwrap(kek, ENVL_WRAP_BATCH, as_input(wrapped),
							  unwrapped, opened),
			  ENVL_AUTHENTICATION,
			  "a third of it damaged");
	for (size_t i = 0; i < ENVL_WRAP_BATCH; i++)
	{
		wrong += opened[i] != (i % 3 != 0);
		wrong += i % 3 == 0 && !all_zero(&unwrapped[i], sizeof(envl_key));
		wrong += i % 3 != 0 &&
			memcmp(&unwrapped[i], &deks[i], sizeof(envl_key)) != 0;
	}
	is((long long) wrong, 0, "those are wiped, the others are good");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");

	wrong = 0;
	for (size_t i = 0; i < ENVL_WRAP_LEN * 8; i++)
	{
		if (envl_kek_wrap(kek, 1, deks, &one) != ENVL_OK)
			wrong++;
		one[i / 8] ^= (uint8_t) (1 << i % 8);
		memset(unwrapped, 0xEE, sizeof(envl_key));
		wrong += envl_kek_unwrap(kek, 1, as_input(&one), unwrapped,
								 NULL) != ENVL_AUTHENTICATION ||
			!all_zero(unwrapped, sizeof(envl_key));
	}
	is((long long) wrong, 0, "any bit flipped");
}

/* libcrypto's own AES-256-WRAP, as where FIPS is asked for. */
static void
test_approved(const envl_kek *kek, const envl_key *key)
{
	envl_engine approved_engine;
	envl_kek	approved;
	envl_wrapped ours[ENVL_WRAP_BATCH];
	envl_key	unwrapped[ENVL_WRAP_BATCH];
	envl_dek_pool pool;
	envl_key	dek;
	bool		opened[ENVL_WRAP_BATCH];

	inject_fips(true);
	is_status(envl_engine_init(&approved_engine), ENVL_OK,
			  "an engine, where FIPS is asked for");
	inject_fips(false);
	is_status(envl_kek_init(&approved, &approved_engine, key), ENVL_OK,
			  "an approved KEK");
	is_status(envl_kek_wrap(kek, ENVL_WRAP_BATCH, deks, ours), ENVL_OK,
			  "our wraps");
	is_status(envl_kek_wrap(&approved, ENVL_WRAP_BATCH, deks, wrapped),
			  ENVL_OK, "libcrypto's");
	ok(memcmp(ours, wrapped, sizeof(ours)) == 0, "are the same");
	is_status(envl_kek_unwrap(&approved, ENVL_WRAP_BATCH, as_input(ours),
							  unwrapped, opened),
			  ENVL_OK, "it opens ours");
	ok(memcmp(unwrapped, deks, sizeof(deks)) == 0, "to the same DEKs");

	ours[1][39] ^= 1;
	is_status(envl_kek_unwrap(&approved, 3, as_input(ours), unwrapped,
							  opened),
			  ENVL_AUTHENTICATION, "one damaged");
	ok(opened[0] && !opened[1] && opened[2], "is named");
	ok(all_zero(&unwrapped[1], sizeof(envl_key)), "and wiped");
	ok(memcmp(&unwrapped[2], &deks[2], sizeof(envl_key)) == 0,
	   "the one after it is good");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");

	memset(&pool, 0, sizeof(pool));
	is_status(envl_dek_take(&pool, &approved, &approved_engine,
							&pool_of_bytes, &dek, ours[0]),
			  ENVL_OK,
			  "a DEK under FIPS");
	ok(all_zero(&pool, sizeof(pool)), "was not pooled");
	is_status(envl_kek_unwrap(kek, 1, as_input(ours), unwrapped, NULL),
			  ENVL_OK, "its wrap opens");
	ok(memcmp(unwrapped, &dek, sizeof(dek)) == 0, "to it");

	envl_kek_clear(&approved);
	envl_engine_clear(&approved_engine);
}

static void
test_pool(const envl_kek *kek)
{
	static envl_dek_pool pool;
	static envl_key taken[ENVL_WRAP_BATCH * 2];
	envl_wrapped wrap;
	envl_key	unwrapped;
	size_t		wrong = 0;

	for (size_t i = 0; i < ENVL_WRAP_BATCH * 2; i++)
	{
		size_t		used = i % ENVL_WRAP_BATCH + 1;

		wrong += envl_dek_take(&pool, kek, &engine, &pool_of_bytes,
							   &taken[i], wrap) != ENVL_OK;
		wrong += envl_kek_unwrap(kek, 1, as_input(&wrap), &unwrapped,
								 NULL) != ENVL_OK ||
			memcmp(&unwrapped, &taken[i], sizeof(unwrapped)) != 0;
		wrong += pool.left != ENVL_WRAP_BATCH - used ||
			!all_zero(pool.deks, sizeof(envl_key) * used);
		for (size_t j = 0; j < i; j++)
			wrong += memcmp(&taken[i], &taken[j], sizeof(envl_key)) == 0;
	}
	is((long long) wrong, 0,
	   "128 DEKs, all different, each with its wrap, none left behind");

	wrong = envl_dek_take(&pool, kek, &engine, &pool_of_bytes, &taken[0],
						  wrap) != ENVL_OK;
	envl_dek_pool_reset(&pool);
	ok(wrong == 0 && all_zero(&pool, sizeof(pool)), "a reset pool is empty");
}

int
main(void)
{
	envl_key	key;
	envl_key	other_key;
	envl_kek	kek;
	envl_kek	other;

	is_status(envl_engine_init(&engine), ENVL_OK, "an engine");
	test_known();
	is_status(envl_random_take(&pool_of_bytes, &engine, key.bytes,
							   sizeof(key)),
			  ENVL_OK, "a random KEK");
	is_status(envl_random_take(&pool_of_bytes, &engine, deks[0].bytes,
							   sizeof(deks)),
			  ENVL_OK, "random DEKs");
	is_status(envl_kek_init(&kek, &engine, &key), ENVL_OK, "a KEK");
	test_batches(&kek);
	test_damaged(&kek);
	test_approved(&kek, &key);
	test_pool(&kek);

	other_key = key;
	other_key.bytes[0] ^= 1;
	is_status(envl_kek_init(&other, &engine, &other_key), ENVL_OK,
			  "another KEK");
	is_status(envl_kek_wrap(&kek, 1, deks, wrapped), ENVL_OK, "a wrap");
	is_status(envl_kek_unwrap(&other, 1, as_input(wrapped), deks, NULL),
			  ENVL_AUTHENTICATION, "does not open under another KEK");
	envl_kek_clear(&other);
	envl_kek_clear(&kek);
	envl_engine_clear(&engine);
	return done_testing();
}
