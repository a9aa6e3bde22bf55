/*
 * pge_kek.h
 *	  The KEKs that this backend works with, and the process's sealer.
 *
 * A KEK is taken out of the shared cache once and lives on here, as
 * libcrypto's key schedules and a pool of DEKs, until the shared generation
 * moves, its hard time limit passes, or the catalog changes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_KEK_H
#define PGE_KEK_H

#include "catalog/pge_catalog.h"
#include "core/envl_value.h"

/* Lives in pge_secret memory: the pool holds DEKs. */
typedef struct PgeKek
{
	PgeKeyVersion *version;		/* whose it is */
	uint64		generation;		/* good while this is the shared one */
	int64		hard_ms;		/* and before this time */
	int64		touched_ms;
	int			slot;
	TimestampTz pool_filled;
	envl_kek	kek;
	envl_dek_pool pool;
} PgeKek;

/* The KEK of a version, unsealed.  NULL fills in problem. */
extern PgeKek *pge_kek_get(PgeKeyVersion *version, PgeProblem *problem);

/* The KEK, its DEK pool and the random pool fit to seal a value now. */
extern void pge_kek_prepare_seal(PgeKek *kek);

/* Called from _PG_init. */
extern void pge_kek_init(void);

/* Wipes everything. */
extern void pge_kek_drop_all(void);

/* What this process seals and opens values with; raises if there is none. */
extern envl_sealer *pge_sealer(void);

#endif							/* PGE_KEK_H */
