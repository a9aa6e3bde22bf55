/*
 * pge_shmem.h
 *	  The shared memory of all folders that have some.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SHMEM_H
#define PGE_SHMEM_H

/* Called from _PG_init in the postmaster. */
extern void pge_shmem_init(void);

#endif							/* PGE_SHMEM_H */
