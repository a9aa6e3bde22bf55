/*
 * pge_lifecycle_settings.h
 *	  Settings of the life of keys.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LIFECYCLE_SETTINGS_H
#define PGE_LIFECYCLE_SETTINGS_H

extern char *pge_required_context;
extern int	pge_proof_max_age;	/* seconds */
extern int	pge_destroy_after;	/* seconds */

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_lifecycle_settings_init(void);

#endif							/* PGE_LIFECYCLE_SETTINGS_H */
