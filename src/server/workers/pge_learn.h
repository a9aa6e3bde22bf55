/*
 * pge_learn.h
 *	  Which functions, views and tables lead to ours, learned ahead of use.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LEARN_H
#define PGE_LEARN_H

/* Learns from the catalogs of this database; in a transaction. */
extern void pge_learn_database(void);

/* Called from _PG_init. */
extern void pge_learn_init(void);

#endif							/* PGE_LEARN_H */
