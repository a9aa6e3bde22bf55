/*
 * envl_wrap.h
 *	  AES-256 key wrap (RFC 3394) of DEKs under a KEK, and DEKs made ahead.
 *
 * OpenSSL 3.0's own id-aes256-wrap runs table AES: slow, and a cache-timing
 * channel on the KEK.  The same loop over a pre-keyed AES-256-ECB context
 * uses the processor's AES; several wraps side by side keep its pipeline
 * full (docs/performance.md).  Where FIPS is asked for, the provider's own
 * AES-256-WRAP is used instead.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_WRAP_H
#define ENVL_WRAP_H

#include "envl_random.h"

/* The most DEKs that one call wraps or unwraps. */
#define ENVL_WRAP_BATCH 64

typedef uint8_t envl_wrapped[ENVL_WRAP_LEN];

/*
 * A KEK, expanded once.  The key itself is only in libcrypto's contexts.  The
 * engine must outlive the KEK.
 */
typedef struct envl_kek
{
	const envl_engine *engine;	/* NULL: an empty KEK */
	void	   *wrap;			/* contexts of the engine's wrap */
	void	   *unwrap;
} envl_kek;

/* On failure the KEK is left empty; clearing an empty one is harmless. */
extern envl_status envl_kek_init(envl_kek *kek, const envl_engine *engine,
								 const envl_key *key) ENVL_MUST_CHECK;
extern void envl_kek_clear(envl_kek *kek);

/* Wraps count (1..ENVL_WRAP_BATCH) DEKs.  On failure out is wiped. */
extern envl_status envl_kek_wrap(const envl_kek *kek, size_t count,
								 const envl_key *deks,
								 envl_wrapped *out) ENVL_MUST_CHECK;

/*
 * Unwraps count (1..ENVL_WRAP_BATCH) DEKs.  If any wrap does not open under
 * this KEK, the status is ENVL_AUTHENTICATION, its DEK is wiped, and the other
 * DEKs are good.  opened[i], unless opened is NULL, says which opened.  On any
 * other failure all are wiped.
 */
extern envl_status envl_kek_unwrap(const envl_kek *kek, size_t count,
								   const envl_wrapped *in, envl_key *deks,
								   bool *opened) ENVL_MUST_CHECK;

/*
 * DEKs of one KEK, generated and wrapped before they are needed.  A DEK leaves
 * the pool, and is wiped there, before its first use.  The owner resets the
 * pool under the same rules as an envl_random, and when the KEK changes.
 */
typedef struct envl_dek_pool
{
	size_t		left;			/* unused DEKs, at the end of the arrays */
	envl_key	deks[ENVL_WRAP_BATCH];
	envl_wrapped wrapped[ENVL_WRAP_BATCH];
} envl_dek_pool;

extern void envl_dek_pool_reset(envl_dek_pool *pool);

/* Takes one DEK and its wrap; refills an empty pool. */
extern envl_status envl_dek_take(envl_dek_pool *pool, const envl_kek *kek,
								 const envl_engine *engine,
								 envl_random *random, envl_key *dek,
								 uint8_t *wrapped) ENVL_MUST_CHECK;

#endif							/* ENVL_WRAP_H */
