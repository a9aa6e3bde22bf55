/*
 * pge_audit_settings.h
 *	  Settings of the audit.
 *
 * docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_SETTINGS_H
#define PGE_AUDIT_SETTINGS_H

extern int	pge_audit;			/* PgeAuditLevel, pge_audit.h */
extern char *pge_audit_context;
extern char *pge_audit_anchor_directory;

/* Defines them; called from _PG_init where the library is preloaded. */
extern void pge_audit_settings_init(void);

#endif							/* PGE_AUDIT_SETTINGS_H */
