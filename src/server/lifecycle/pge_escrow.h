/*
 * pge_escrow.h
 *	  A second seal of every KEK, by pgenvelope.escrow_provider.
 *
 * It opens nothing by itself: who disables a root key in its key service wants
 * the keys under it to be gone, not to be opened by another.  If a provider is
 * lost, env_reseal_keys(..., from_escrow => true) takes the KEKs from here.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ESCROW_H
#define PGE_ESCROW_H

#include "catalog/pge_catalog.h"
#include "keys/pge_cache.h"

/* A second seal that is to be stored. */
typedef struct PgeEscrow
{
	char		provider[PROV_NAME_SIZE];	/* "": none is wanted */
	PgeNewKek	seal;
} PgeEscrow;

/*
 * Has the escrow provider, if there is to be one, seal a KEK that is in the
 * cache or can be unsealed into it.  False fills in problem.
 */
extern bool pge_escrow_seal(const PgeSealedKek *kek, PgeEscrow *escrow,
							PgeProblem *problem);

/* The same for one that was just sealed; raises: no key is made without. */
extern void pge_escrow_seal_new(const PgeSealedKek *kek, const PgeNewKek *made,
								PgeEscrow *escrow);

/*
 * Stores it, or has it replace an older one; by the writer's rights.  False
 * fills in problem: the provider's root key is not the one that it was.
 */
extern bool pge_escrow_store(uint64 key_id, uint16 version,
							 const PgeEscrow *escrow, PgeProblem *problem);

/* A second seal as it is stored. */
typedef struct PgeEscrowed
{
	char		provider[PROV_NAME_SIZE];
	char		root_key[PROV_ROOT_KEY_MAX];
	PgeSealedKek sealed;
} PgeEscrowed;

/* Reads that of a version; false if it has none.  By the writer's rights. */
extern bool pge_escrow_find(const PgeKeyVersion *version,
							PgeEscrowed *escrowed);

#endif							/* PGE_ESCROW_H */
