/*
 * pge_provider_stat.h
 *	  What became of the calls to each provider: how many, how long, how they
 *	  failed.
 *
 * Written by the keeper alone; it is by name, so that a provider that is taken
 * out of the setting and put back goes on with its counts.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PROVIDER_STAT_H
#define PGE_PROVIDER_STAT_H

#include "keys/pge_key_cache.h"

/* Counts a call that is over; failure is NULL if it succeeded. */
extern void pge_provider_stat_count(const char *provider, PgeCallKind kind,
									int64 latency_ms,
									const prov_failure *failure);

/* Copies what is known of a provider.  False: it was never called. */
extern bool pge_provider_stat_find(const char *provider,
								   PgeProviderStat *stat);

#endif							/* PGE_PROVIDER_STAT_H */
