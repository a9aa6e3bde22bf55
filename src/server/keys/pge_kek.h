/*
 * pge_kek.h
 *	  The KEKs that this backend uses, and the process's sealer.
 *
 * A backend gets a KEK from the shared cache once.  It keeps the KEK as
 * libcrypto's key schedules and a pool of DEKs, until the shared generation
 * moves, the hard time limit passes, or the catalog changes.
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
	PgeKeyVersion *version;		/* the version that it belongs to */
	uint64		generation;		/* valid while this is the shared one */
	int64		hard_ms;		/* and before this time */
	int64		touched_ms;
	int			slot;
	TimestampTz pool_filled;
	envl_kek	kek;
	envl_dek_pool pool;
} PgeKek;

/* Gets the unsealed KEK of a version.  NULL fills in problem. */
extern PgeKek *pge_kek_get(PgeKeyVersion *version, PgeProblem *problem);

/*
 * Makes the KEK, its DEK pool and the random pool ready to seal a value now.
 */
extern void pge_kek_prepare_seal(PgeKek *kek);

/* Called from _PG_init. */
extern void pge_kek_init(void);

/* Wipes everything. */
extern void pge_kek_drop_all(void);

/* The sealer for this process's values; raises if there is none. */
extern envl_sealer *pge_sealer(void);

#endif							/* PGE_KEK_H */
