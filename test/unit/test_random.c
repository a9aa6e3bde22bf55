/*
 * test_random.c
 *	  Bytes leave the pool once, and nothing of them stays there.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_random.h"
#include "inject.h"
#include "unit.h"

static envl_random pool;
static uint8_t large[ENVL_RANDOM_POOL_LEN + 1];

static void
test_pool(const envl_engine *engine)
{
	uint8_t		out[2][32];
	uint8_t		expected[32];

	is_status(envl_random_take(&pool, engine, out[0], 32), ENVL_OK,
			  "an empty pool is filled");
	is((long long) pool.left, ENVL_RANDOM_POOL_LEN - 32, "32 bytes are gone");
	ok(all_zero(pool.pool, 32), "and wiped");
	ok(!all_zero(pool.pool + 32, 32), "those behind them are there");

	memcpy(expected, pool.pool + 32, 32);
	is_status(envl_random_take(&pool, engine, out[1], 32), ENVL_OK,
			  "the next ones");
	ok(memcmp(out[1], expected, 32) == 0, "are the next ones");
	ok(memcmp(out[0], out[1], 32) != 0, "and others");
	ok(all_zero(pool.pool, 64), "wiped as well");

	is_status(envl_random_take(&pool, engine, out[0], 0), ENVL_OK,
			  "nothing can be taken");
	is((long long) pool.left, ENVL_RANDOM_POOL_LEN - 64, "and takes nothing");

	is_status(envl_random_take(&pool, engine, large, pool.left), ENVL_OK,
			  "all that is left");
	is((long long) pool.left, 0, "leaves nothing");
	ok(all_zero(pool.pool, sizeof(pool.pool)), "at all");
	is_status(envl_random_take(&pool, engine, out[0], 0), ENVL_OK,
			  "nothing, of nothing");
	is_status(envl_random_take(&pool, engine, out[0], 1), ENVL_OK,
			  "one byte more fills it again");
	is((long long) pool.left, ENVL_RANDOM_POOL_LEN - 1, "with 4 KiB");

	is_status(envl_random_take(&pool, engine, large, ENVL_RANDOM_POOL_LEN),
			  ENVL_OK, "more than is left, as much as there can be");
	is((long long) pool.left, 0, "takes a pool of its own");

	envl_random_reset(&pool);
	is_status(envl_random_take(&pool, engine, large, 1), ENVL_OK, "filled");
	envl_random_reset(&pool);
	ok(all_zero(&pool, sizeof(pool)), "a reset pool is empty");
}

static void
test_large(const envl_engine *engine)
{
	memset(large, 0, sizeof(large));
	is_status(envl_random_take(&pool, engine, large, sizeof(large)), ENVL_OK,
			  "more than a pool");
	ok(!all_zero(large + sizeof(large) - 16, 16), "to the end");
	ok(all_zero(&pool, sizeof(pool)), "does not go through it");
}

/* Where FIPS is asked for. */
static void
test_unpooled(void)
{
	envl_engine engine;
	uint8_t		out[32] = {0};

	inject_fips(true);
	is_status(envl_engine_init(&engine), ENVL_OK, "an engine");
	is_status(envl_random_take(&pool, &engine, out, sizeof(out)), ENVL_OK,
			  "under FIPS");
	ok(!all_zero(out, sizeof(out)), "there are bytes");
	ok(all_zero(&pool, sizeof(pool)), "but none in the pool");
	envl_engine_clear(&engine);
}

int
main(void)
{
	envl_engine engine;

	is_status(envl_engine_init(&engine), ENVL_OK, "an engine");
	test_pool(&engine);
	test_large(&engine);
	envl_engine_clear(&engine);
	test_unpooled();
	return done_testing();
}
