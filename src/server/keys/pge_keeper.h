/*
 * pge_keeper.h
 *	  The keeper: the one process that talks to key providers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_KEEPER_H
#define PGE_KEEPER_H

/* Registers the worker; called from _PG_init in the postmaster. */
extern void pge_keeper_init(void);

/* The worker's entry point. */
extern PGDLLEXPORT void pgenvelope_keeper_main(Datum arg);

#endif							/* PGE_KEEPER_H */
