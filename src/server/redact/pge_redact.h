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
#include "datatype/timestamp.h"

/* The setting pgenvelope.redact_statements. */
typedef enum PgeRedact
{
	PGE_REDACT_OFF,
	PGE_REDACT_CALLS,			/* statements that call our functions */
	PGE_REDACT_ALL
} PgeRedact;

/* The start of the statement that last called us; pge_redact.c's own. */
extern TimestampTz pge_called_at;

extern void pge_redact_first_call(void);

/* Notes that the current statement calls a function that meets plaintexts. */
static inline void
pge_redact_note_call(void)
{
	if (unlikely(pge_called_at != GetCurrentStatementStartTimestamp()))
		pge_redact_first_call();
}

/* Called from _PG_init. */
extern void pge_redact_init(void);

#endif							/* PGE_REDACT_H */
