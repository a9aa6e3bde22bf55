/*
 * pge_provider.h
 *	  The providers that pgenvelope.providers lists, and which of them a
 *	  database uses.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PROVIDER_H
#define PGE_PROVIDER_H

#include "utils/guc.h"

#include "providers/prov.h"

/*
 * Finds a provider by name in pgenvelope.providers, for one database.  False:
 * there is no such provider, or it is not for this database.
 */
extern bool pge_find_provider(const char *name, const char *database,
							  prov_root *root);

/*
 * The name of the provider that seals a database's new keys: the setting
 * key_provider, otherwise the first usable entry.  False if there is none.
 * name must have room for PROV_NAME_SIZE bytes.
 */
extern bool pge_default_provider(const char *database, char *name);

/* The check hook of pgenvelope.providers. */
extern bool pge_check_provider_list(char **newval, void **extra,
									GucSource source);

#endif							/* PGE_PROVIDER_H */
