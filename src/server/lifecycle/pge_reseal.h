/*
 * pge_reseal.h
 *	  Sealing existing keys again: with another provider, or with its next root
 *	  key.
 *
 * The former seal of a version is kept in pgenvelope.key_seal until the
 * provider of the new seal has opened that, in a later transaction.  So one
 * seal that is known to open exists at any time.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RESEAL_H
#define PGE_RESEAL_H

/*
 * Reads new seals back, erases the former seals of those that open, and
 * returns how many.  For the worker, in a transaction of its own.  It may wait
 * for each provider for at most pgenvelope.key_timeout.  Does nothing if
 * nothing can be written.
 */
extern int	pge_reseal_finish(void);

#endif							/* PGE_RESEAL_H */
