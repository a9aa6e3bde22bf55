/*
 * pge_escrow.h
 *	  A second seal of every KEK, by pgenvelope.escrow_provider.
 *
 * The second seal never opens anything automatically.  Disabling a root key in
 * its key service is meant to make the keys under it unusable, so another root
 * key must not open them.  If a provider is lost, pgenvelope.reseal_keys(...,
 * from_escrow => true) takes the KEKs from their second seals.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ESCROW_H
#define PGE_ESCROW_H

#include "catalog/pge_catalog.h"
#include "keys/pge_cache.h"

/* A second seal to store. */
typedef struct PgeEscrow
{
	char		provider[PROV_NAME_SIZE];	/* "": no escrow provider is set */
	PgeNewKek	seal;
} PgeEscrow;

/*
 * Has the escrow provider, if one is set, seal a KEK from the cache, or from
 * its seal in kek if it is not cached.  False fills in problem.
 */
extern bool pge_escrow_seal(const PgeSealedKek *kek, PgeEscrow *escrow,
							PgeProblem *problem);

/*
 * As pge_escrow_seal, for a KEK that was just sealed.  Raises on failure: no
 * key is made without its second seal.
 */
extern void pge_escrow_seal_new(const PgeSealedKek *kek, const PgeNewKek *made,
								PgeEscrow *escrow);

/*
 * Stores the second seal in place of an older one, with the writer's rights.
 * False fills in problem: the provider's root key is not the one it was.
 */
extern bool pge_escrow_store(uint64 key_id, uint16 version,
							 const PgeEscrow *escrow, PgeProblem *problem);

/* A stored second seal. */
typedef struct PgeEscrowed
{
	char		provider[PROV_NAME_SIZE];
	char		root_key[PROV_ROOT_KEY_MAX];
	PgeSealedKek sealed;
} PgeEscrowed;

/*
 * Reads the second seal of a version, with the writer's rights.  False if it
 * has none.
 */
extern bool pge_escrow_find(const PgeKeyVersion *version,
							PgeEscrowed *escrowed);

#endif							/* PGE_ESCROW_H */
