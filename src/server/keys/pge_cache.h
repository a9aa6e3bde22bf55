/*
 * pge_cache.h
 *	  Getting an unsealed KEK, or a new one, from the keeper: the backends'
 *	  side of the slots in pge_shared.h.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CACHE_H
#define PGE_CACHE_H

#include "base/pge_report.h"
#include "base/pge_shared.h"
#include "catalog/pge_catalog.h"

/* An unsealed KEK, handed over. */
typedef struct PgeUnsealedKek
{
	envl_key	key;			/* the receiver wipes it */
	int64		hard_ms;		/* not to be used from then on */
	int			slot;			/* for pge_cache_touch */
} PgeUnsealedKek;

/*
 * Gets the KEK from the cache, or has the keeper unseal it and waits, at most
 * pgenvelope.key_timeout, interruptibly.  False fills in problem.  out may be
 * NULL: then the KEK is in the cache, and nowhere else.
 */
extern bool pge_cache_get(const PgeSealedKek *kek, PgeUnsealedKek *out,
						  PgeProblem *problem);

/* Notes that the KEK of a slot is in use; digest names it. */
extern void pge_cache_touch(int slot, int64 now);

/* What comes of sealing a new KEK. */
typedef struct PgeNewKek
{
	prov_sealed sealed;
	uint8		kcv[ENVL_KCV_LEN];
} PgeNewKek;

/*
 * Has the keeper generate a KEK, seal it, unseal it again and compare.  The
 * KEK stays in the cache under its digest, unsealed.  Raises on failure.
 */
extern void pge_cache_seal(const char *provider, const char *key_name,
						   uint64 key_id, uint16 version, PgeNewKek *out);

/*
 * Has the keeper seal an existing KEK by a provider, which may be the one that
 * sealed it before, unseal it again and compare.  The KEK is unsealed into the
 * cache first, and stays there under either digest.
 */
extern bool pge_cache_reseal(const PgeSealedKek *old, const char *provider,
							 PgeNewKek *made, PgeProblem *problem);

/*
 * Has the provider unseal the KEK now, cached or not, and tells whether that
 * has its key-check value.  Nothing is left in the cache.
 */
extern bool pge_cache_prove(const PgeSealedKek *kek, PgeProblem *problem);

/*
 * Forgets the KEKs of one key of this database, or of all (key_id 0), and
 * makes every backend drop what it derived from them.  Returns how many.
 */
extern int	pge_cache_evict(uint64 key_id);

/* Adds this backend's own counts to the shared ones. */
extern void pge_cache_count_hit(void);
extern void pge_cache_flush_counts(void);

#endif							/* PGE_CACHE_H */
