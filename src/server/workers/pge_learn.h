/*
 * pge_learn.h
 *	  Learns ahead of use which functions, views and tables lead to ours.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LEARN_H
#define PGE_LEARN_H

/* Learns from the catalogs of this database.  Call it in a transaction. */
extern void pge_learn_database(void);

/* Called from _PG_init. */
extern void pge_learn_init(void);

#endif							/* PGE_LEARN_H */
