/*
 * pge_check.h
 *	  Asking providers whether their root keys are usable.
 *
 * A check is a slot like any other request, found by a digest of the
 * provider's name.  All sessions that ask at the same time share one call, and
 * its result serves others for some seconds.  So repeated checks cannot run up
 * a bill.
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
	prov_category category;		/* PROV_OK: its root key is usable */
	char		reason[160];	/* if not: a sentence */
	char		root_key[PROV_ROOT_KEY_MAX];	/* its newest version; or "" */
	int64		latency_ms;
	int64		expires;		/* its credential, in seconds since 1970; 0:
								 * never, or unknown */
} PgeCheck;

/*
 * Makes the keeper check the providers, all at once.  Waits, interruptibly and
 * for at most pgenvelope.key_timeout, until all have answered.
 */
extern void pge_check_providers(PgeCheck *checks, int count);

/* Makes the keeper check one provider, and does not wait. */
extern void pge_check_start(const char *provider);

#endif							/* PGE_CHECK_H */
