/*
 * pge_statistics.h
 *	  How often which role did what with which key, since the server started.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_STATISTICS_H
#define PGE_STATISTICS_H

/*
 * Shared memory: called where the other shared memory is requested and made.
 */
extern void pge_statistics_request(void);
extern void pge_statistics_attach(void);

/* Called from _PG_init where the library is preloaded. */
extern void pge_statistics_init(void);

#endif							/* PGE_STATISTICS_H */
