/*
 * envl_wrap.c
 *	  AES-256 key wrap (RFC 3394) of DEKs under a KEK, and DEKs made ahead.
 *
 * RFC 3394, section 2.2.1, index based, with n = 4: 24 steps, each one block
 * cipher call on A | R[i].  The steps of one wrap depend on each other, those
 * of different wraps do not.  So the blocks of a batch lie side by side, and
 * each step is one call over all of them.  R[] is kept in the caller's array.
 *
 * Each block is written as a whole.  A processor that gets two halves and then
 * reads sixteen bytes waits for both to reach the cache, which made a single
 * wrap a quarter slower.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>

#include "envl_wrap.h"

#define BLOCK_LEN 16
#define HALF_LEN 8				/* RFC 3394's 64-bit unit */
#define HALVES (ENVL_KEY_LEN / HALF_LEN)	/* n */
#define STEPS ((int) (6 * HALVES))
#define INITIAL_VALUE 0xA6		/* section 2.2.3.1, eight times */

/* The block cipher's input: A and one R[i]. */
typedef struct block
{
	uint64_t	a;
	uint64_t	r;
} block;

_Static_assert(sizeof(block) == BLOCK_LEN, "a block has no holes");

envl_status
envl_kek_init(envl_kek *kek, const envl_engine *engine, const envl_key *key)
{
	const envl_cipher *cipher = &engine->wrap;

	kek->engine = engine;
	kek->wrap = envl_cipher_context(cipher);
	kek->unwrap = envl_cipher_context(cipher);
	if (kek->wrap != NULL && kek->unwrap != NULL &&
		cipher->encrypt_init(kek->wrap, key->bytes, ENVL_KEY_LEN, NULL, 0,
							 NULL) == 1 &&
		cipher->decrypt_init(kek->unwrap, key->bytes, ENVL_KEY_LEN, NULL, 0,
							 NULL) == 1)
		return ENVL_OK;
	envl_kek_clear(kek);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

void
envl_kek_clear(envl_kek *kek)
{
	if (kek->engine != NULL)
	{
		envl_cipher_free(&kek->engine->wrap, kek->wrap);
		envl_cipher_free(&kek->engine->wrap, kek->unwrap);
	}
	memset(kek, 0, sizeof(*kek));
}

static bool
wrap_approved(const envl_kek *kek, size_t count, const envl_key *deks,
			  envl_wrapped *out)
{
	size_t		written;

	for (size_t i = 0; i < count; i++)
	{
		if (kek->engine->wrap.update(kek->wrap, out[i], &written,
									 sizeof(out[i]), deks[i].bytes,
									 ENVL_KEY_LEN) != 1 ||
			written != ENVL_WRAP_LEN)
			return false;
	}
	return true;
}

/* The step number in big-endian, as it is added to A. */
static uint64_t
step_mask(int step)
{
	uint8_t		bytes[HALF_LEN] = {0};
	uint64_t	mask;

	bytes[HALF_LEN - 1] = (uint8_t) step;
	memcpy(&mask, bytes, sizeof(mask));
	return mask;
}

/* A block of A, with the step number added, and R[i]. */
static block
make_block(uint64_t a, uint64_t mask, const uint8_t *r)
{
	block		made;

	memcpy(&made.r, r, HALF_LEN);
	made.a = a ^ mask;
	return made;
}

static bool
cipher_blocks(const envl_cipher *cipher, void *context, block *blocks,
			  size_t count)
{
	size_t		len = count * BLOCK_LEN;
	size_t		written;

	return cipher->whole_blocks(context, (uint8_t *) blocks, &written, len,
								(const uint8_t *) blocks, len) == 1 &&
		written == len;
}

static bool
wrap_side_by_side(const envl_kek *kek, size_t count, const envl_key *deks,
				  envl_wrapped *out)
{
	const envl_cipher *cipher = &kek->engine->wrap;
	block		blocks[ENVL_WRAP_BATCH];
	bool		good = true;

	for (size_t i = 0; i < count; i++)
	{
		memset(&blocks[i].a, INITIAL_VALUE, HALF_LEN);
		memcpy(out[i] + HALF_LEN, deks[i].bytes, ENVL_KEY_LEN);
	}
	for (int step = 1; good && step <= STEPS; step++)
	{
		size_t		half = HALF_LEN * (1 + (size_t) (step - 1) % HALVES);
		uint64_t	mask = step_mask(step - 1); /* of the step before */

		for (size_t i = 0; i < count; i++)
			blocks[i] = make_block(blocks[i].a, mask, out[i] + half);
		good = cipher_blocks(cipher, kek->wrap, blocks, count);
		for (size_t i = 0; i < count; i++)
			memcpy(out[i] + half, &blocks[i].r, HALF_LEN);
	}
	for (size_t i = 0; i < count; i++)
	{
		blocks[i].a ^= step_mask(STEPS);
		memcpy(out[i], &blocks[i].a, HALF_LEN);
	}
	envl_wipe(blocks, sizeof(block) * count);
	return good;
}

envl_status
envl_kek_wrap(const envl_kek *kek, size_t count, const envl_key *deks,
			  envl_wrapped *out)
{
	bool		wrapped;

	if (count < 1 || count > ENVL_WRAP_BATCH)
		return ENVL_LIMIT;
	if (kek->engine->approved_only)
		wrapped = wrap_approved(kek, count, deks, out);
	else
		wrapped = wrap_side_by_side(kek, count, deks, out);
	if (wrapped)
		return ENVL_OK;
	envl_wipe(out, sizeof(envl_wrapped) * count);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

/*
 * Here libcrypto does not tell a wrong key from its own trouble.  Any failure
 * counts as a wrong key, which is far more likely.
 */
static void
unwrap_approved(const envl_kek *kek, size_t count, const envl_wrapped *in,
				envl_key *deks, bool *opened)
{
	uint8_t		out[ENVL_WRAP_LEN];
	size_t		written;

	for (size_t i = 0; i < count; i++)
	{
		opened[i] = kek->engine->wrap.update(kek->unwrap, out, &written,
											 sizeof(out), in[i],
											 ENVL_WRAP_LEN) == 1 &&
			written == ENVL_KEY_LEN;
		memcpy(deks[i].bytes, out, ENVL_KEY_LEN);
	}
	envl_wipe(out, sizeof(out));
}

static bool
unwrap_side_by_side(const envl_kek *kek, size_t count,
					const envl_wrapped *in, envl_key *deks, bool *opened)
{
	const envl_cipher *cipher = &kek->engine->wrap;
	block		blocks[ENVL_WRAP_BATCH];
	bool		good = true;
	uint64_t	initial;

	for (size_t i = 0; i < count; i++)
	{
		memcpy(&blocks[i].a, in[i], HALF_LEN);
		memcpy(deks[i].bytes, in[i] + HALF_LEN, ENVL_KEY_LEN);
	}
	for (int step = STEPS; good && step >= 1; step--)
	{
		size_t		half = HALF_LEN * ((size_t) (step - 1) % HALVES);
		uint64_t	mask = step_mask(step);

		for (size_t i = 0; i < count; i++)
			blocks[i] = make_block(blocks[i].a, mask, deks[i].bytes + half);
		good = cipher_blocks(cipher, kek->unwrap, blocks, count);
		for (size_t i = 0; i < count; i++)
			memcpy(deks[i].bytes + half, &blocks[i].r, HALF_LEN);
	}

	/* Compare all eight bytes at once, in constant time. */
	memset(&initial, INITIAL_VALUE, sizeof(initial));
	for (size_t i = 0; i < count; i++)
		opened[i] = (blocks[i].a ^ initial) == 0;
	envl_wipe(blocks, sizeof(block) * count);
	return good;
}

envl_status
envl_kek_unwrap(const envl_kek *kek, size_t count, const envl_wrapped *in,
				envl_key *deks, bool *opened)
{
	envl_status status = ENVL_OK;
	bool		open[ENVL_WRAP_BATCH] = {false};

	if (count < 1 || count > ENVL_WRAP_BATCH)
		return ENVL_LIMIT;
	if (kek->engine->approved_only)
		unwrap_approved(kek, count, in, deks, open);
	else if (!unwrap_side_by_side(kek, count, in, deks, open))
	{
		memset(open, 0, sizeof(open));
		status = ENVL_CRYPTO_FAILED;
	}
	for (size_t i = 0; i < count; i++)
	{
		if (!open[i])
		{
			envl_wipe(&deks[i], sizeof(deks[i]));
			if (status == ENVL_OK)
				status = ENVL_AUTHENTICATION;
		}
	}
	if (opened != NULL)
		memcpy(opened, open, sizeof(open[0]) * count);
	if (status != ENVL_OK)
		ERR_clear_error();
	return status;
}

void
envl_dek_pool_reset(envl_dek_pool *pool)
{
	envl_wipe(pool, sizeof(*pool));
}

static envl_status
dek_pool_fill(envl_dek_pool *pool, const envl_kek *kek,
			  const envl_engine *engine, envl_random *random)
{
	envl_status status;

	status = envl_random_take(random, engine, pool->deks[0].bytes,
							  sizeof(pool->deks));
	if (status == ENVL_OK)
		status = envl_kek_wrap(kek, ENVL_WRAP_BATCH, pool->deks,
							   pool->wrapped);
	if (status == ENVL_OK)
		pool->left = ENVL_WRAP_BATCH;
	else
		envl_dek_pool_reset(pool);
	return status;
}

/* Makes one DEK when it is needed, where FIPS is asked for. */
static envl_status
dek_make(const envl_kek *kek, const envl_engine *engine, envl_random *random,
		 envl_key *dek, uint8_t *wrapped)
{
	envl_status status;
	envl_wrapped one;

	status = envl_random_take(random, engine, dek->bytes, ENVL_KEY_LEN);
	if (status == ENVL_OK)
		status = envl_kek_wrap(kek, 1, dek, &one);
	if (status == ENVL_OK)
		memcpy(wrapped, one, sizeof(one));
	else
		envl_wipe(dek, sizeof(*dek));
	return status;
}

envl_status
envl_dek_take(envl_dek_pool *pool, const envl_kek *kek,
			  const envl_engine *engine, envl_random *random, envl_key *dek,
			  uint8_t *wrapped)
{
	size_t		i;

	if (kek->engine->approved_only)
		return dek_make(kek, engine, random, dek, wrapped);
	if (pool->left == 0)
	{
		envl_status status = dek_pool_fill(pool, kek, engine, random);

		if (status != ENVL_OK)
		{
			envl_wipe(dek, sizeof(*dek));
			return status;
		}
	}
	i = ENVL_WRAP_BATCH - pool->left--;
	*dek = pool->deks[i];
	memcpy(wrapped, pool->wrapped[i], ENVL_WRAP_LEN);
	envl_wipe(&pool->deks[i], sizeof(pool->deks[i]));
	return ENVL_OK;
}
