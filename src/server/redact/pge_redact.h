/*
 * pge_redact.h
 *	  What of statements that meet plaintexts the server's log is told.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REDACT_H
#define PGE_REDACT_H

#include "access/xact.h"
/* The setting pgenvelope.redact_statements. */
typedef enum PgeRedact
{
	PGE_REDACT_OFF,
	PGE_REDACT_CALLS,			/* statements that call our functions */
	PGE_REDACT_ALL
} PgeRedact;

/* Called from _PG_init; the second where the library is preloaded. */
extern void pge_redact_init(void);
extern void pge_redact_settings_init(void);

#endif							/* PGE_REDACT_H */
