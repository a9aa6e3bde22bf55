/*
 * pge_context_settings.h
 *	  Settings of sessions: who they may speak for.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CONTEXT_SETTINGS_H
#define PGE_CONTEXT_SETTINGS_H

extern char *pge_session_key_file;
extern int	pge_session_token_lifetime; /* seconds */
extern int	pge_session_used_tokens;	/* remembered; 0 remembers none */

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_context_settings_init(void);

#endif							/* PGE_CONTEXT_SETTINGS_H */
