/*
 * envl_random.c
 *	  Random bytes from a pool.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#include <openssl/err.h>
#include <openssl/rand.h>

#include "envl_random.h"

#define ENTROPY_LEN 32			/* additional input, bytes */
#define STRENGTH 256			/* bits; the keys made here have as many */

void
envl_random_reset(envl_random *random)
{
	envl_wipe(random, sizeof(*random));
}

/*
 * Takes fresh bytes from the private DRBG.  It reseeds itself after a fork,
 * but not when a machine is cloned.  The kernel learns of that, so every
 * request mixes in 32 bytes of the kernel's.
 */
static envl_status
draw_bytes(uint8_t *out, size_t len)
{
	uint8_t		entropy[ENTROPY_LEN];
	EVP_RAND_CTX *drbg = RAND_get0_private(NULL);
	bool		generated;

	generated = drbg != NULL &&
		getentropy(entropy, sizeof(entropy)) == 0 &&
		EVP_RAND_generate(drbg, out, len, STRENGTH, 0, entropy,
						  sizeof(entropy)) == 1;
	envl_wipe(entropy, sizeof(entropy));
	if (generated)
		return ENVL_OK;
	envl_wipe(out, len);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

envl_status
envl_random_take(envl_random *random, const envl_engine *engine,
				 uint8_t *out, size_t len)
{
	uint8_t    *bytes;

	if (engine->approved_only || len > ENVL_RANDOM_POOL_LEN)
		return draw_bytes(out, len);
	if (len > random->left)
	{
		envl_status status = draw_bytes(random->pool, sizeof(random->pool));

		if (status != ENVL_OK)
		{
			random->left = 0;
			envl_wipe(out, len);
			return status;
		}
		random->left = sizeof(random->pool);
	}
	if (len == 0)
		return ENVL_OK;
	bytes = random->pool + sizeof(random->pool) - random->left;
	random->left -= len;
	memcpy(out, bytes, len);
	envl_wipe(bytes, len);
	return ENVL_OK;
}
