/*
 * pge_version.h
 *	  Making key versions: a KEK sealed by a provider, and its row.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_VERSION_H
#define PGE_VERSION_H

#include "pge_cache.h"

/*
 * The provider asked for, or the default one if asked is NULL, into provider
 * (PROV_NAME_SIZE bytes); raises if it is not listed for this database.
 */
extern void pge_choose_provider(const char *asked, char *provider);

/*
 * Inserts a version's row, by the writer's rights (pge_write.h), and forces a
 * synchronous commit.
 */
extern void pge_insert_version(uint64 key_id, uint16 version,
							   const char *provider, const PgeNewKek *made);

#endif							/* PGE_VERSION_H */
