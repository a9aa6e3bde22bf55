/*
 * pge_cache.h
 *	  Getting an unsealed KEK, or a new one, from the keeper: the backends'
 *	  side of the slots in pge_key_cache.h.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CACHE_H
#define PGE_CACHE_H

#include "base/pge_report.h"
#include "base/pge_shared.h"
#include "catalog/pge_catalog.h"

/* An unsealed KEK, copied for the caller. */
typedef struct PgeUnsealedKek
{
	envl_key	key;			/* the caller wipes it */
	int64		hard_ms;		/* do not use it from then on */
	int			slot;			/* for pge_cache_touch */
} PgeUnsealedKek;

/*
 * Gets the KEK from the cache, or makes the keeper unseal it.  Waits for at
 * most pgenvelope.key_timeout, interruptibly.  False fills in problem.  If out
 * is NULL, the KEK is in the cache only.
 */
extern bool pge_cache_get(const PgeSealedKek *kek, PgeUnsealedKek *out,
						  PgeProblem *problem);

/* Records that the KEK of a slot is in use; digest names it. */
extern void pge_cache_touch(int slot, int64 now);

/* The result of sealing a new KEK. */
typedef struct PgeNewKek
{
	prov_sealed sealed;
	uint8		kcv[ENVL_KCV_LEN];
} PgeNewKek;

/*
 * Makes the keeper generate a KEK, seal it, unseal it again and compare.  The
 * unsealed KEK stays in the cache under its digest.  Raises on failure.
 */
extern void pge_cache_seal(const char *provider, const char *key_name,
						   uint64 key_id, uint16 version, PgeNewKek *out);

/*
 * Makes the keeper seal an existing KEK by a provider, unseal it again and
 * compare.  The provider may be the one that sealed it before.  The KEK is
 * first unsealed into the cache, and stays there under both digests.
 */
extern bool pge_cache_reseal(const PgeSealedKek *old, const char *provider,
							 PgeNewKek *made, PgeProblem *problem);

/*
 * Makes the provider unseal the KEK now, cached or not, and returns whether
 * the result has its key-check value.  Leaves nothing in the cache.
 */
extern bool pge_cache_prove(const PgeSealedKek *kek, PgeProblem *problem);

/*
 * Removes the KEKs of one key of this database, or of all its keys (key_id 0),
 * and makes every backend drop what it derived from them.  Returns how many.
 */
extern int	pge_cache_evict(uint64 key_id);

/* Add this backend's own counts to the shared ones. */
extern void pge_cache_count_hit(void);
extern void pge_cache_flush_counts(void);

#endif							/* PGE_CACHE_H */
