/*
 * pge_reseal.h
 *	  Sealing existing keys anew: by another provider, or under its next root
 *	  key.
 *
 * The former seal of a key version is kept in pgenvelope.key_seal until the
 * provider of the new one has opened that, in a later transaction.  Until then
 * there is always one seal that is known to open.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RESEAL_H
#define PGE_RESEAL_H

/*
 * Reads new seals back and erases the former ones of those that open; returns
 * how many.  For the worker, in a transaction of its own; it may wait for each
 * provider, at most pgenvelope.key_timeout.  Does nothing where nothing can be
 * written.
 */
extern int	pge_reseal_finish(void);

#endif							/* PGE_RESEAL_H */
