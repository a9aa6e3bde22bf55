/*
 * pge_keys_settings.h
 *	  Settings of the keys: providers, the cache, time limits.
 *
 * docs/reference.md describes each of them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_KEYS_SETTINGS_H
#define PGE_KEYS_SETTINGS_H

extern char *pge_providers;
extern char *pge_key_provider;
extern char *pge_escrow_provider;
extern int	pge_key_cache_size; /* entries */
extern int	pge_key_cache_ttl;	/* seconds */
extern int	pge_key_cache_grace;	/* seconds */
extern int	pge_provider_timeout;	/* milliseconds */
extern int	pge_key_timeout;	/* milliseconds */

/* Defines them.  Called from _PG_init if the library is preloaded. */
extern void pge_keys_settings_init(void);

#endif							/* PGE_KEYS_SETTINGS_H */
