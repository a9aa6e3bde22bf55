/*
 * pge_rewrite_settings.h
 *	  Settings of batches.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REWRITE_SETTINGS_H
#define PGE_REWRITE_SETTINGS_H

extern int	pge_rewrap_lock_timeout;	/* milliseconds */

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_rewrite_settings_init(void);

#endif							/* PGE_REWRITE_SETTINGS_H */
