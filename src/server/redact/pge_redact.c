/*
 * pge_redact.c
 *	  What of statements that meet plaintexts the server's log is told.
 *
 * The log hook sees every message before it is written.  If the message comes
 * of a statement that leads to our functions, or quotes one, what may hold
 * plaintext is left out: the statement and its parameters, DETAIL, CONTEXT and
 * QUERY, and of the message itself what was filled into its pattern.
 *
 * The client is told everything, as ever.  It is sent the same ErrorData after
 * the log was written, so the hook has an altered one written by itself
 * (EmitErrorReport, which comes here once more and goes through), puts
 * everything back, and has the caller not write it again.  Nothing is
 * allocated for that: what stands in for a text is a constant, or in one
 * static buffer.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <ctype.h>

#include "tcop/tcopprot.h"
#include "utils/backend_status.h"

#include "base/pge_compat.h"
#include "base/pge_report.h"
#include "redact/pge_mention.h"
#include "redact/pge_redact.h"

static int	redact_statements = PGE_REDACT_CALLS;

static const struct config_enum_entry redact_options[] = {
	{"off", PGE_REDACT_OFF, false},
	{"calls", PGE_REDACT_CALLS, false},
	{"all", PGE_REDACT_ALL, false},
	{NULL, 0, false}};

#define HIDDEN "<hidden by pgenvelope.redact_statements>"

/* How much of a message before a statement's text is kept at most. */
#define PREFIX_MAX 400

/* Fields of pgaudit before a statement's text. */
#define AUDIT_FIELDS 7


static emit_log_hook_type previous_log_hook;

/* The altered message that the hook is having written. */
static const ErrorData *writing = NULL;

/* ---------------------------------------------------------------- */
/* Which messages                                                   */
/* ---------------------------------------------------------------- */

/*
 * Whether the postmaster says what a process was doing when it ended.  That
 * text is from shared memory, where long ones are cut: it need not have come
 * to our functions' names.
 */
static bool
is_crash_report(const ErrorData *error)
{
	return debug_query_string == NULL && error->message_id != NULL &&
		strncmp(error->message_id, "%s (PID %d)", 11) == 0;
}

static bool
is_cut(const char *text)
{
	return text != NULL &&
		strlen(text) >= (size_t) pgstat_track_activity_query_size - 1;
}

static bool
is_concerned(const ErrorData *error)
{
	if (redact_statements == PGE_REDACT_ALL)
		return debug_query_string != NULL || is_crash_report(error);
	return pge_hidden_since == GetCurrentStatementStartTimestamp() ||
		pge_mentions(debug_query_string) || pge_mentions(error->message) ||
		pge_mentions(error->detail) || pge_mentions(error->detail_log) ||
		pge_mentions(error->context) || pge_mentions(error->internalquery) ||
		(is_crash_report(error) && is_cut(error->detail));
}

/* ---------------------------------------------------------------- */
/* What of them                                                     */
/* ---------------------------------------------------------------- */

/* The beginning of a message, and that the rest is hidden. */
static const char *
keep_prefix(const char *message, size_t len)
{
	static char buffer[PREFIX_MAX + sizeof(HIDDEN)];

	if (len > PREFIX_MAX)
		return HIDDEN;
	memcpy(buffer, message, len);
	strlcpy(buffer + len, HIDDEN, sizeof(buffer) - len);
	return buffer;
}

/* Whether a pattern has no word of its own: "%s", "%s %s%s%s: %s". */
static bool
says_nothing(const char *pattern)
{
	for (; *pattern != '\0'; pattern++)
	{
		if (isalpha((unsigned char) *pattern))
			return false;
		if (*pattern != '%')
			continue;
		pattern += strspn(pattern + 1, "0123456789.*-lzh") + 1;
		if (*pattern == '\0')
			break;
	}
	return true;
}

/*
 * The pattern that a message was made from, as the source has it: it says what
 * happened, and holds no data.  Where it says nothing, all is data (RAISE).
 */
static const char *
pattern_of(const ErrorData *error)
{
	const char *pattern = error->message_id;

	if (pattern == NULL || says_nothing(pattern))
		return HIDDEN;
	return pattern;
}

/* "AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.t,", without the statement. */
static const char *
redact_audit(const char *message)
{
	int			fields = 0;
	bool		is_quoted = false;

	for (size_t i = 0; message[i] != '\0'; i++)
	{
		if (message[i] == '"')
			is_quoted = !is_quoted;
		if (message[i] == ',' && !is_quoted && ++fields == AUDIT_FIELDS)
			return keep_prefix(message, i + 1);
	}
	return HIDDEN;
}

static bool
begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/*
 * What PostgreSQL logs of a session whatever its statement is, with names and
 * numbers: waits for locks, temporary files, connections.
 */
static bool
is_about_session(const char *pattern)
{
	return strcmp(pattern, "duration: %s ms") == 0 ||
		begins_with(pattern, "process %d ") ||
		begins_with(pattern, "temporary file: ") ||
		begins_with(pattern, "connection ") ||
		begins_with(pattern, "disconnection: ") ||
		begins_with(pattern, "could not receive data from client") ||
		begins_with(pattern, "could not send data to client");
}

/* Lines of the kind LOG: up to the statement, in whatever language. */
static const char *
redact_log_line(const ErrorData *error)
{
	const char *message = error->message;
	const char *pattern = error->message_id;
	size_t		len = strlen(message);
	size_t		statement_len;

	if (pattern == NULL)
		return pattern_of(error);
	if (is_about_session(pattern))
		return message;
	if (begins_with(pattern, "duration: %.3f ms  plan:\n"))
		return keep_prefix(message, strcspn(message, "\n") + 1);
	if (begins_with(pattern, "statement: %s") ||
		begins_with(pattern, "duration: %s ms  ") ||
		strcmp(pattern, "%s %s%s%s: %s") == 0)
	{
		if (debug_query_string == NULL)
			return pattern_of(error);
		statement_len = strlen(debug_query_string);
		if (statement_len > 0 && statement_len <= len &&
			strcmp(message + len - statement_len, debug_query_string) == 0)
			return keep_prefix(message, len - statement_len);
	}
	return pattern_of(error);
}

/* SQLSTATEs of which PostgreSQL's messages hold names and numbers only. */
static bool
has_no_data(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE;
	}
}

static const char *
redact_message(const ErrorData *error)
{
	const char *pattern = error->message_id;

	if (error->message == NULL || is_crash_report(error) ||
		(pattern != NULL && strchr(pattern, '%') == NULL))
		return error->message;
	if (pattern != NULL && begins_with(pattern, "AUDIT: "))
		return redact_audit(error->message);
	if (error->elevel == LOG || error->elevel == LOG_SERVER_ONLY)
		return redact_log_line(error);
	if (pattern != NULL && !says_nothing(pattern) &&
		has_no_data(error->sqlerrcode))
		return error->message;
	return pattern_of(error);
}

/*
 * Leaves out of a message what may hold plaintext.  The deadlock detector has
 * a DETAIL for clients, of numbers, and one with the statements for the log;
 * a wait for a lock has one of numbers.
 */
static void
redact(ErrorData *error)
{
	const char *message = redact_message(error);
	bool		is_whole = message == error->message;

	if (is_whole && error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		error->detail_log = NULL;
	else if (error->message_id != NULL &&
			 begins_with(error->message_id, "process %d "))
		/* it stays */;
	else if (error->detail != NULL || error->detail_log != NULL)
	{
		error->detail = unconstify(char *, (const char *) HIDDEN);
		error->detail_log = NULL;
	}
	if (!is_whole)
		error->hint = NULL;
	error->message = unconstify(char *, message);
	error->internalquery = NULL;
	error->hide_stmt = true;
	error->hide_ctx = true;
}

static void
write_redacted(ErrorData *error)
{
	ErrorData	whole = *error;

	redact(error);
	error->output_to_client = false;
	writing = error;
	PG_TRY();
	{
		EmitErrorReport();
	}
	PG_FINALLY();
	{
		writing = NULL;
	}
	PG_END_TRY();
	*error = whole;
	error->output_to_server = false;
}

/*
 * What a parallel worker raised is raised again in the leader, as it came over
 * the wire: errhidestmt is lost there, but the source file is not.
 */
static bool
is_own(const ErrorData *error)
{
	return error->filename != NULL &&
		strncmp(error->filename, "pge_", 4) == 0;
}

static void
redact_log(ErrorData *error)
{
	if (writing == error)
		/* it is as it is to be */;
	else if (is_own(error))
	{
		/* Nothing that we say holds plaintext. */
		error->hide_stmt = true;
		error->hide_ctx = true;
	}
	else if (redact_statements != PGE_REDACT_OFF &&
			 is_concerned(error))
	{
		write_redacted(error);
		return;
	}
	if (previous_log_hook)
		previous_log_hook(error);
}

/* ---------------------------------------------------------------- */
/* For others                                                       */
/* ---------------------------------------------------------------- */

static void
learn_statement(void)
{
	pge_mention_learn_statement(debug_query_string);
}

void
pge_redact_init(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = redact_log;
	pge_hidden_hook = learn_statement;
}

void
pge_redact_settings_init(void)
{
	DefineCustomEnumVariable("pgenvelope.redact_statements",
							 "Sets which statements the server's log leaves out: those that call pgenvelope, all, or none.",
							 NULL, &redact_statements, PGE_REDACT_CALLS,
							 redact_options, PGC_SUSET, 0, NULL, NULL, NULL);
}
