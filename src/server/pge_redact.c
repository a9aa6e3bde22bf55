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

#include "commands/extension.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"

#include "pge_compat.h"
#include "pge_guc.h"
#include "pge_mention.h"
#include "pge_redact.h"
#include "pge_write.h"

#define HIDDEN "<hidden by pgenvelope.redact_statements>"

/* How much of a message before a statement's text is kept at most. */
#define PREFIX_MAX 400

/* Fields of pgaudit before a statement's text. */
#define AUDIT_FIELDS 7

TimestampTz pge_called_at = DT_NOBEGIN;

static emit_log_hook_type previous_log_hook;
static ProcessUtility_hook_type previous_utility_hook;

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
	if (pge_redact_statements == PGE_REDACT_ALL)
		return debug_query_string != NULL || is_crash_report(error);
	return pge_called_at == GetCurrentStatementStartTimestamp() ||
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

/* Lines about statements: up to the statement, in whatever language. */
static const char *
redact_log_line(const ErrorData *error)
{
	const char *message = error->message;
	size_t		len = strlen(message);
	size_t		statement_len;

	if (debug_query_string != NULL)
	{
		statement_len = strlen(debug_query_string);
		if (statement_len > 0 && statement_len <= len &&
			strcmp(message + len - statement_len, debug_query_string) == 0)
			return keep_prefix(message, len - statement_len);
	}
	if (error->message_id != NULL &&
		strcmp(error->message_id, "duration: %.3f ms  plan:\n%s") == 0)
		return keep_prefix(message, strcspn(message, "\n") + 1);
	if (error->message_id == NULL ||
		strncmp(error->message_id, "duration: %s ms  ", 17) == 0 ||
		strncmp(error->message_id, "statement: ", 11) == 0 ||
		says_nothing(error->message_id))
		return pattern_of(error);
	return message;
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
	if (pattern != NULL && strncmp(pattern, "AUDIT: ", 7) == 0)
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
 * a DETAIL for clients, of numbers, and one with the statements for the log.
 */
static void
redact(ErrorData *error)
{
	const char *message = redact_message(error);
	bool		is_whole = message == error->message;

	if (is_whole && error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		error->detail_log = NULL;
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
	else if (pge_redact_statements != PGE_REDACT_OFF &&
			 is_concerned(error))
	{
		write_redacted(error);
		return;
	}
	if (previous_log_hook)
		previous_log_hook(error);
}

/* ---------------------------------------------------------------- */
/* What leads to us                                                 */
/* ---------------------------------------------------------------- */

void
pge_redact_first_call(void)
{
	pge_called_at = GetCurrentStatementStartTimestamp();
	pge_mention_learn_statement(debug_query_string);
}

static const char *
last_name(List *names)
{
	return strVal(llast(names));
}

/* Whether the text of one statement, of perhaps several, mentions us. */
static bool
statement_mentions(const PlannedStmt *statement, const char *text)
{
	char	   *copy;
	bool		result;

	if (statement->stmt_location >= 0)
		text += statement->stmt_location;
	if (statement->stmt_len <= 0)
		return pge_mentions(text);
	copy = pnstrdup(text, statement->stmt_len);
	result = pge_mentions(copy);
	pfree(copy);
	return result;
}

/* Learns the name of what is about to be made, if that leads to us. */
static void
learn_from(const PlannedStmt *statement, const char *text)
{
	Node	   *node = statement->utilityStmt;

	if (IsA(node, CreateTrigStmt))
	{
		CreateTrigStmt *trigger = (CreateTrigStmt *) node;

		if (strcmp(last_name(trigger->funcname), "env_encrypt_column") == 0)
			pge_mention_learn_table(trigger->relation->relname);
	}
	else if (IsA(node, CreateFunctionStmt))
	{
		if (!creating_extension && statement_mentions(statement, text))
			pge_mention_learn(
				last_name(((CreateFunctionStmt *) node)->funcname));
	}
	else if (IsA(node, ViewStmt))
	{
		if (!creating_extension && statement_mentions(statement, text))
			pge_mention_learn(((ViewStmt *) node)->view->relname);
	}
}

static void
learn_from_utility(PlannedStmt *statement, const char *text,
				   bool is_read_only_tree, ProcessUtilityContext context,
				   ParamListInfo params, QueryEnvironment *environment,
				   DestReceiver *receiver, QueryCompletion *completion)
{
	learn_from(statement, text);
	if (previous_utility_hook)
		previous_utility_hook(statement, text, is_read_only_tree, context,
							  params, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, is_read_only_tree, context,
								params, environment, receiver, completion);
}

static const char leading_to_us[] =
	"WITH ours AS (SELECT p.oid, p.prosrc FROM pg_catalog.pg_depend d"
	" JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"
	" AND e.extname = 'pgenvelope'"
	" JOIN pg_catalog.pg_proc p ON p.oid = d.objid"
	" WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'"
	" AND d.refclassid = 'pg_extension'::regclass"
	" AND p.proname ~ '^" PGE_MENTIONED "$'),"
	" sealed AS (SELECT tgrelid FROM pg_trigger"
	" WHERE tgfoid IN (SELECT oid FROM ours)),"
	" written AS (SELECT oid, relname FROM pg_class"
	" WHERE oid IN (SELECT tgrelid FROM sealed)"
	" UNION SELECT c.oid, c.relname FROM pg_depend d"
	" JOIN pg_rewrite r ON r.oid = d.objid"
	" JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'"
	" WHERE d.classid = 'pg_rewrite'::regclass"
	" AND d.refclassid = 'pg_class'::regclass"
	" AND d.refobjid IN (SELECT tgrelid FROM sealed))"
	" SELECT relname::text, 1::bigint FROM written"
	" UNION SELECT p.proname::text, 0 FROM pg_proc p, written w"
	" WHERE p.oid >= 16384 AND p.prosrc ~* '\\m(insert|update|merge|copy)\\M'"
	" AND position(lower(w.relname) IN lower(p.prosrc)) > 0"
	" UNION SELECT p.proname::text, 0 FROM pg_proc p"
	" WHERE p.prosrc ~* '\\m" PGE_MENTIONED "\\M'"
	" AND p.oid NOT IN (SELECT oid FROM ours)"
	" UNION SELECT p.proname::text, 0 FROM pg_depend d"
	" JOIN pg_proc p ON p.oid = d.objid"
	" WHERE d.classid = 'pg_proc'::regclass"
	" AND d.refclassid = 'pg_proc'::regclass"
	" AND d.refobjid IN (SELECT oid FROM ours)"
	" UNION SELECT c.relname::text, 0 FROM pg_depend d"
	" JOIN pg_rewrite r ON r.oid = d.objid"
	" JOIN pg_class c ON c.oid = r.ev_class"
	" WHERE d.classid = 'pg_rewrite'::regclass"
	" AND d.refclassid = 'pg_proc'::regclass"
	" AND d.refobjid IN (SELECT oid FROM ours)";

void
pge_redact_learn_database(void)
{
	PgeWriter	writer = pge_write_begin();
	uint64		count = pge_write_run(leading_to_us, 0, NULL, NULL, NULL);

	for (uint64 i = 0; i < count; i++)
	{
		const char *name = pge_row_text((int) i, 1);

		if (pge_row_int((int) i, 2) == 1)
			pge_mention_learn_table(name);
		else
			pge_mention_learn(name);
	}
	pge_write_end(&writer);
}

void
pge_redact_init(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = redact_log;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = learn_from_utility;
}
