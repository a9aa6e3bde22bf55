/*
 * pge_check.h
 *	  Asking providers whether their root keys can be used.
 *
 * A check is a slot like any other request, found by a digest of the
 * provider's name: all who ask at a time make one call, and for some seconds
 * what it found is what others find.  So nobody can run up a bill by asking.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CHECK_H
#define PGE_CHECK_H

#include "keys/pge_key_cache.h"

typedef struct PgeCheck
{
	const char *provider;		/* in */
	bool		is_over;		/* out, as is the rest */
	prov_category category;		/* PROV_OK: its root key can be used */
	char		reason[160];	/* if not: a sentence */
	char		root_key[PROV_ROOT_KEY_MAX];	/* its newest version; or "" */
	int64		latency_ms;
	int64		expires;		/* its credential, in seconds since 1970; 0:
								 * never, or unknown */
} PgeCheck;

/*
 * Has the keeper check providers, all at once, and waits, interruptibly and
 * at most pgenvelope.key_timeout, until all have answered.
 */
extern void pge_check_providers(PgeCheck *checks, int count);

/* Has the keeper check one, and waits for nothing. */
extern void pge_check_start(const char *provider);

#endif							/* PGE_CHECK_H */
