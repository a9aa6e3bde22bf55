/*
 * pge_value_settings.h
 *	  Settings of values: how they are sealed and opened.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_VALUE_SETTINGS_H
#define PGE_VALUE_SETTINGS_H

extern char *pge_default_key;
extern bool pge_store_context;
extern int	pge_padding;		/* bytes, 0 for none */
extern bool pge_allow_maintenance_decrypt;

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_value_settings_init(void);

#endif							/* PGE_VALUE_SETTINGS_H */
