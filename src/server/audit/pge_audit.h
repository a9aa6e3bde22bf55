/*
 * pge_audit.h
 *	  The audit: which role used which key, in the server's log.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_AUDIT_H
#define PGE_AUDIT_H

/* The levels of pgenvelope.audit; each includes the previous ones. */
typedef enum PgeAuditLevel
{
	PGE_AUDIT_OFF,
	PGE_AUDIT_ADMIN,			/* changes of keys and rights */
	PGE_AUDIT_FAILURES,			/* uses that failed */
	PGE_AUDIT_DECRYPTS,			/* uses that opened values */
	PGE_AUDIT_ALL
} PgeAuditLevel;

/* Called from _PG_init where the library is preloaded. */
extern void pge_audit_init(void);

#endif							/* PGE_AUDIT_H */
