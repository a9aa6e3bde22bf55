/*
 * envl_random.h
 *	  Random bytes from a pool: one byte from the DRBG costs as much as
 *	  encrypting a value.
 *
 * libcrypto's private DRBG fills the pool.  Each time it gets 32 fresh bytes
 * of the kernel's as additional input, so that a cloned machine and its twin
 * differ from the next refill on.  Bytes are wiped as they are taken.  The
 * core has neither a clock nor a process id, so the owner resets the pool in a
 * new process and when the pool is old (docs/performance.md).
 *
 * Where FIPS is asked for, nothing is pooled.
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

/* Wipes and empties the pool; a zeroed envl_random is a valid empty one. */
extern void envl_random_reset(envl_random *random);

/* On failure out is wiped and the pool keeps its bytes. */
extern envl_status envl_random_take(envl_random *random,
									const envl_engine *engine, uint8_t *out,
									size_t len) ENVL_MUST_CHECK;

#endif							/* ENVL_RANDOM_H */
