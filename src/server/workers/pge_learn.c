/*
 * pge_learn.c
 *	  Learns ahead of use which functions, views and tables lead to ours.
 *
 * When one is created, in any session, its text is read.  For those that are
 * older than the server's start, a worker reads the catalogs of its database.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "catalog/pge_spi.h"
#include "workers/pge_learn.h"
#include "redact/pge_mention.h"

static ProcessUtility_hook_type previous_utility_hook;

static const char *
last_name(List *names)
{
	return strVal(llast(names));
}

/* Whether one statement mentions us; the text may hold several statements. */
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

/* Learns the name of the object to be created, if it leads to us. */
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
pge_learn_database(void)
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
pge_learn_init(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = learn_from_utility;
}
