/*
 * pge_report.h
 *	  Errors as values, and their one translation into ereport.
 *
 * Code that opens and seals values reports a PgeProblem and returns, so that
 * env_verify can name the category instead of raising it.  A problem never
 * contains any part of a plaintext, a key, a context value or a provider's
 * reply.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REPORT_H
#define PGE_REPORT_H

#include "datatype/timestamp.h"
#include "fmgr.h"

#include "base/pge_compat.h"
#include "core/envl_status.h"

typedef enum PgeOutcome
{
	PGE_OK = 0,
	PGE_KEY_NOT_FOUND,			/* PE001 */
	PGE_KEY_UNAVAILABLE,		/* PE002: trying again may help */
	PGE_KEY_NOT_ALLOWED,		/* PE003: key or version */
	PGE_AUTHENTICATION,			/* PE004: altered, or another context */
	PGE_CONTEXT,				/* PE005 */
	PGE_PROVIDER,				/* PE006: not known, refused, misconfigured */
	PGE_OVER_BUDGET,			/* PE007: the decrypt budget is spent */
	PGE_NOT_ENTITLED,			/* 42501 */
	PGE_DAMAGED,				/* XX001: a stored value that does not parse */
	PGE_MALFORMED_TEXT,			/* 22P02 */
	PGE_MALFORMED_BINARY,		/* 22P03 */
	PGE_WRONG_PAYLOAD,			/* 42804: bytes where text is wanted */
	PGE_ENCODING,				/* 22021: not valid in the encoding */
	PGE_UNTRANSLATABLE,			/* 22P05: not in the database's encoding */
	PGE_BAD_ARGUMENT,			/* 22023 */
	PGE_DUPLICATE,				/* 42710 */
	PGE_NOT_SUPPORTED,			/* 0A000 */
	PGE_LIMIT,					/* 54000 */
	PGE_TOKEN,					/* 28000: a session's token is refused */
	PGE_NOT_READY,				/* 55000: the library is not preloaded */
	PGE_ROW_REFUSED,			/* 23000: a table would not take a row */
	PGE_INTERRUPTED,			/* 57014: an error of PostgreSQL's own, such as
								 * a cancel, ended it */
	PGE_INTERNAL				/* XX000: libcrypto failed */
} PgeOutcome;

typedef struct PgeProblem
{
	PgeOutcome	outcome;
	char		message[256];
	char		detail[256];	/* "" for none */
	const char *hint;			/* NULL for none */
} PgeProblem;

/* Fills in a problem; always returns false, to be returned by the caller. */
extern bool pge_problem(PgeProblem *problem, PgeOutcome outcome,
						const char *hint, const char *message, ...)
			pg_attribute_printf(4, 5);

/* Adds a detail sentence. */
extern void pge_problem_detail(PgeProblem *problem, const char *detail, ...)
			pg_attribute_printf(2, 3);

/* Raises 22023 if isnull: what (say "key and role") must not be null. */
extern void pge_refuse_null(bool isnull, const char *what);

/* The problem that a core status stands for, where a value was concerned. */
extern bool pge_problem_core(PgeProblem *problem, envl_status status);

/* The outcome as env_verify spells it: "ok", "authentication_failed". */
extern const char *pge_outcome_name(PgeOutcome outcome);

/* The outcome that an SQLSTATE stands for; PGE_ROW_REFUSED for any other. */
extern PgeOutcome pge_outcome_of(int sqlstate);

/* Raises the problem, without the statement's text in the server's log. */
pg_noreturn extern void pge_raise(const PgeProblem *problem);

/* Its SQLSTATE, encoded as errcode wants it. */
extern int	pge_problem_sqlstate(const PgeProblem *problem);

/*
 * The start of the statement that last called a function through
 * pge_call_hidden; and a function that a statement's first such call calls,
 * or NULL.
 */
extern TimestampTz pge_hidden_since;
extern		void (*pge_hidden_hook)(void);

/*
 * Calls an SQL function that handles plaintexts.  Any error in it, including
 * PostgreSQL's own (a cancelled wait, out of memory), leaves the statement and
 * the context's queries out of the server's log.
 */
extern Datum pge_call_hidden(PGFunction function, FunctionCallInfo fcinfo);

#endif							/* PGE_REPORT_H */
