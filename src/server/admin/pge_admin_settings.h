/*
 * pge_admin_settings.h
 *	  Settings of requests for a second person.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ADMIN_SETTINGS_H
#define PGE_ADMIN_SETTINGS_H

extern int	pge_approval_timeout;	/* seconds */

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_admin_settings_init(void);

#endif							/* PGE_ADMIN_SETTINGS_H */
