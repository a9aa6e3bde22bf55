/*
 * pge_keys_settings.c
 *	  Settings of the keys: providers, the cache, time limits.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/guc.h"

#include "keys/pge_keys_settings.h"
#include "keys/pge_provider.h"

char	   *pge_providers;
char	   *pge_key_provider;
char	   *pge_escrow_provider;
int			pge_key_cache_size;
int			pge_key_cache_ttl;
int			pge_key_cache_grace;
int			pge_provider_timeout;
int			pge_key_timeout;

void
pge_keys_settings_init(void)
{
	DefineCustomStringVariable("pgenvelope.providers",
							   "Lists the root keys that may seal keys, as name=URI or name@database=URI, separated by commas.",
							   NULL, &pge_providers, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   pge_check_provider_list, NULL, NULL);
	DefineCustomStringVariable("pgenvelope.key_provider",
							   "Names the provider that seals new keys.",
							   "Empty means the first of pgenvelope.providers.",
							   &pge_key_provider, "", PGC_SIGHUP, 0, NULL,
							   NULL, NULL);
	DefineCustomStringVariable("pgenvelope.escrow_provider",
							   "Names a provider that seals every new key once more.",
							   "Empty means that there is no second seal.",
							   &pge_escrow_provider, "", PGC_SIGHUP, 0, NULL,
							   NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_size",
							"Sets how many unsealed keys the server keeps in memory.",
							NULL, &pge_key_cache_size, 256, 16, 65536,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_ttl",
							"Sets the time after which a cached key is unsealed again ahead of use.",
							NULL, &pge_key_cache_ttl, 300, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_grace",
							"Sets how long after pgenvelope.key_cache_ttl a key may be used while its provider is unavailable.",
							NULL, &pge_key_cache_grace, 3600, 0, 604800,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.provider_timeout",
							"Sets how long one call to a provider may take.",
							NULL, &pge_provider_timeout, 5000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_timeout",
							"Sets how long a statement waits for a key to be unsealed.",
							NULL, &pge_key_timeout, 10000, 100, 600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
}
