/*
 * pge_provider_stat.h
 *	  The outcome of the calls to each provider: how many, how long, which
 *	  failures.
 *
 * Only the keeper writes here.  Counts are kept by name, so that a provider
 * that is removed from the setting and put back continues with its counts.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PROVIDER_STAT_H
#define PGE_PROVIDER_STAT_H

#include "keys/pge_key_cache.h"

/* Counts a finished call; failure is NULL if it succeeded. */
extern void pge_provider_stat_count(const char *provider, PgeCallKind kind,
									int64 latency_ms,
									const prov_failure *failure);

/* Copies what is known about a provider.  False: it was never called. */
extern bool pge_provider_stat_find(const char *provider,
								   PgeProviderStat *stat);

#endif							/* PGE_PROVIDER_STAT_H */
