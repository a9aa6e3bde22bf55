/*
 * envl_random.h
 *	  Random bytes from a pool, because one byte from the DRBG costs as much
 *	  as encrypting a value.
 *
 * A pool is filled by libcrypto's private DRBG, which is given 32 fresh bytes
 * of the kernel's as additional input each time (so that a cloned machine
 * parts from its twin at the next refill).  Bytes are wiped as they are
 * taken.  The owner resets the pool when the process is not the one that
 * filled it, and when it has been lying around (docs/performance.md); the
 * core has neither a clock nor a process id.
 *
 * Where FIPS is asked for nothing is pooled.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_RANDOM_H
#define ENVL_RANDOM_H

#include "envl_suite.h"

#define ENVL_RANDOM_POOL_LEN 4096

typedef struct envl_random
{
	size_t		left;			/* unused bytes, at the end of the pool */
	uint8_t		pool[ENVL_RANDOM_POOL_LEN];
} envl_random;

/* Forgets what is in the pool; a zeroed envl_random is a valid empty one. */
extern void envl_random_reset(envl_random *random);

/* On failure out is wiped and nothing was taken. */
extern envl_status envl_random_take(envl_random *random,
									const envl_engine *engine, uint8_t *out,
									size_t len) ENVL_MUST_CHECK;

#endif							/* ENVL_RANDOM_H */
