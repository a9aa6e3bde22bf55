/*
 * pge_report.c
 *	  Errors as values, and their one translation into ereport.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "base/pge_acting.h"
#include "base/pge_report.h"
#include "base/pge_use.h"

TimestampTz pge_hidden_since = DT_NOBEGIN;
void (*pge_hidden_hook)(void);

/* Indexed by PgeOutcome. */
static const struct
{
	const char *name;
	int			sqlstate;
} outcomes[] = {
	[PGE_OK] = {"ok", 0},
	[PGE_KEY_NOT_FOUND] = {"key_not_found",
						   MAKE_SQLSTATE('P', 'E', '0', '0', '1')},
	[PGE_KEY_UNAVAILABLE] = {"key_unavailable",
							 MAKE_SQLSTATE('P', 'E', '0', '0', '2')},
	[PGE_KEY_NOT_ALLOWED] = {"key_not_allowed",
							 MAKE_SQLSTATE('P', 'E', '0', '0', '3')},
	[PGE_AUTHENTICATION] = {"authentication_failed",
							MAKE_SQLSTATE('P', 'E', '0', '0', '4')},
	[PGE_CONTEXT] = {"context_refused",
					 MAKE_SQLSTATE('P', 'E', '0', '0', '5')},
	[PGE_PROVIDER] = {"provider_refused",
					  MAKE_SQLSTATE('P', 'E', '0', '0', '6')},
	[PGE_OVER_BUDGET] = {"over_budget",
						 MAKE_SQLSTATE('P', 'E', '0', '0', '7')},
	[PGE_NOT_ENTITLED] = {"not_entitled", ERRCODE_INSUFFICIENT_PRIVILEGE},
	[PGE_DAMAGED] = {"malformed", ERRCODE_DATA_CORRUPTED},
	[PGE_MALFORMED_TEXT] = {"malformed", ERRCODE_INVALID_TEXT_REPRESENTATION},
	[PGE_MALFORMED_BINARY] = {"malformed",
							  ERRCODE_INVALID_BINARY_REPRESENTATION},
	[PGE_WRONG_PAYLOAD] = {"wrong_payload", ERRCODE_DATATYPE_MISMATCH},
	[PGE_ENCODING] = {"encoding", ERRCODE_CHARACTER_NOT_IN_REPERTOIRE},
	[PGE_UNTRANSLATABLE] = {"encoding", ERRCODE_UNTRANSLATABLE_CHARACTER},
	[PGE_BAD_ARGUMENT] = {"bad_argument", ERRCODE_INVALID_PARAMETER_VALUE},
	[PGE_DUPLICATE] = {"duplicate", ERRCODE_DUPLICATE_OBJECT},
	[PGE_NOT_SUPPORTED] = {"not_supported", ERRCODE_FEATURE_NOT_SUPPORTED},
	[PGE_LIMIT] = {"limit", ERRCODE_PROGRAM_LIMIT_EXCEEDED},
	[PGE_TOKEN] = {"token_refused",
				   ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	[PGE_NOT_READY] = {"not_ready", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE},
	[PGE_ROW_REFUSED] = {"row_refused",
						 ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION},
	[PGE_INTERRUPTED] = {"interrupted", ERRCODE_QUERY_CANCELED},
	[PGE_INTERNAL] = {"internal", ERRCODE_INTERNAL_ERROR},
};

static void format(char *out, size_t size, const char *text, va_list args)
			pg_attribute_printf(3, 0);

/* Formats a sentence; one that is too long ends with a whole character. */
static void
format(char *out, size_t size, const char *text, va_list args)
{
	int			len = vsnprintf(out, size, text, args);

	if (len >= (int) size)
		out[pg_mbcliplen(out, (int) size - 1, (int) size - 1)] = '\0';
}

bool
pge_problem(PgeProblem *problem, PgeOutcome outcome, const char *hint,
			const char *message, ...)
{
	va_list		args;

	problem->outcome = outcome;
	problem->hint = hint;
	problem->detail[0] = '\0';
	va_start(args, message);
	format(problem->message, sizeof(problem->message), message, args);
	va_end(args);
	return false;
}

void
pge_problem_detail(PgeProblem *problem, const char *detail, ...)
{
	va_list		args;

	va_start(args, detail);
	format(problem->detail, sizeof(problem->detail), detail, args);
	va_end(args);
}

void
pge_refuse_null(bool isnull, const char *what)
{
	PgeProblem	problem;

	if (!isnull)
		return;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL, "%s must not be null", what);
	pge_raise(&problem);
}

bool
pge_problem_core(PgeProblem *problem, envl_status status)
{
	switch (status)
	{
		case ENVL_OK:
			problem->outcome = PGE_OK;
			return true;
		case ENVL_AUTHENTICATION:

			/*
			 * One message for a wrong context, a wrong key and a changed
			 * byte: different messages would answer an attacker's question.
			 */
			return pge_problem(problem, PGE_AUTHENTICATION,
							   "Give the context that the value was encrypted with; if that is what you gave, the value was altered.",
							   "value does not open in this context");
		case ENVL_MALFORMED:
			return pge_problem(problem, PGE_DAMAGED, NULL,
							   "stored envelope is damaged");
		case ENVL_UNSUPPORTED:
			return pge_problem(problem, PGE_NOT_SUPPORTED,
							   "Upgrade pgenvelope on this server.",
							   "envelope has a format, suite or flag of a later version");
		case ENVL_LIMIT:
			return pge_problem(problem, PGE_LIMIT, NULL,
							   "value is longer than 512 MiB");
		case ENVL_CONTEXT_NOT_UTF8:
			return pge_problem(problem, PGE_CONTEXT, NULL,
							   "encryption context is not valid UTF-8");
		case ENVL_CONTEXT_INTEGER:
			return pge_problem(problem, PGE_CONTEXT,
							   "Give larger numbers as strings.",
							   "number in the encryption context is outside +-(2^53 - 1)");
		case ENVL_CONTEXT_DUPLICATE:
			return pge_problem(problem, PGE_CONTEXT, NULL,
							   "encryption context names a member twice");
		case ENVL_CONTEXT_TOO_LONG:
			return pge_problem(problem, PGE_CONTEXT,
							   "Bind identifiers, not data.",
							   "encryption context is longer than 4096 bytes");
		case ENVL_CONTEXT_EMPTY:
		case ENVL_CONTEXT_MISSING:
		case ENVL_CONTEXT_PINNED:
		case ENVL_CONTEXT_EMPTY_MEMBER:
			return pge_problem(problem, PGE_CONTEXT, NULL,
							   "encryption context does not satisfy the key");
		case ENVL_CRYPTO_FAILED:
			break;
	}
	return pge_problem(problem, PGE_INTERNAL,
					   "See the server's OpenSSL configuration.",
					   "cryptographic library failed");
}

PgeOutcome
pge_outcome_of(int sqlstate)
{
	for (int i = PGE_KEY_NOT_FOUND; i < (int) lengthof(outcomes); i++)
	{
		if (outcomes[i].sqlstate == sqlstate)
			return (PgeOutcome) i;
	}
	return PGE_ROW_REFUSED;
}

const char *
pge_outcome_name(PgeOutcome outcome)
{
	return outcomes[outcome].name;
}

int
pge_problem_sqlstate(const PgeProblem *problem)
{
	return outcomes[problem->outcome].sqlstate;
}

void
pge_raise(const PgeProblem *problem)
{
	pge_use_end(problem->outcome);
	pge_acting_outcome(problem->outcome);

	/* The statement, or the context's queries, may hold a plaintext. */
	ereport(ERROR,
			(errcode(outcomes[problem->outcome].sqlstate),
			 errmsg_internal("%s", problem->message),
			 problem->detail[0] != '\0' ?
				 errdetail_internal("%s", problem->detail) :
				 0,
			 problem->hint != NULL ? errhint("%s", problem->hint) : 0,
			 errhidestmt(true),
			 errhidecontext(true)));
	pg_unreachable();
}

/* Notes that the current statement meets plaintexts. */
static inline void
note_call(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (likely(pge_hidden_since == statement))
		return;
	pge_hidden_since = statement;
	if (pge_hidden_hook != NULL)
		pge_hidden_hook();
}

static void
hide_statement(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);
}

Datum
pge_call_hidden(PGFunction function, FunctionCallInfo fcinfo)
{
	ErrorContextCallback hiding = {error_context_stack, hide_statement, NULL};
	Datum		result;

	note_call();
	error_context_stack = &hiding;
	result = function(fcinfo);
	error_context_stack = hiding.previous;
	return result;
}
