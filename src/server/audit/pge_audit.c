/*
 * pge_audit.c
 *	  The audit: which role used which key, in the server's log.
 *
 * There is one line per statement, even for a scan of a million values.  It is
 * written where nothing can be looked up any more, so everything in it is
 * known before.  It is pure ASCII except for names of roles and databases, and
 * all control characters are escaped, so that an application_name cannot forge
 * a second line.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/json.h"

#include "audit/pge_audit.h"
#include "audit/pge_audit_settings.h"
#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_use.h"

#define SQLSTATE_USE MAKE_SQLSTATE('P', 'E', 'A', '0', '1')

/* Whether pgenvelope.audit wants the entry logged. */
static bool
is_audited(const PgeUseEntry *entry)
{
	if (pge_audit == PGE_AUDIT_ALL)
		return true;
	if (entry->outcome != PGE_OK)
		return pge_audit >= PGE_AUDIT_FAILURES;
	return pge_audit >= PGE_AUDIT_DECRYPTS &&
		pge_operation_opens(entry->operation);
}

static void
append_use(StringInfo line, const PgeUseEntry *entry)
{
	appendStringInfoChar(line, '{');
	pge_line_text(line, "operation", pge_operation_name(entry->operation));
	pge_line_text(line, "outcome", pge_outcome_name(entry->outcome));
	pge_line_text(line, "role", entry->role_name);
	pge_line_text(line, "key",
				  entry->key_name[0] != '\0' ? entry->key_name : NULL);
	if (entry->key_id != 0)
		appendStringInfo(line, ",\"key_id\":\"%012llx\"",
						 (unsigned long long) entry->key_id);
	if (entry->version != 0)
		appendStringInfo(line, ",\"version\":%u", entry->version);
	appendStringInfo(line, ",\"count\":%llu",
					 (unsigned long long) entry->count);
	if (entry->subject_len > 0)
	{
		appendStringInfoString(line, ",\"context\":{");
		pge_line_utf8(line, entry->subject, entry->subject_len);
		appendStringInfoChar(line, '}');
	}
	appendStringInfoChar(line, '}');
}

/* Receives what statements did, and logs it. */
static void
log_uses(const PgeUses *uses)
{
	StringInfoData line;
	int			count = 0;

	if (pge_audit < PGE_AUDIT_FAILURES)
		return;
	for (int i = 0; i < uses->count; i++)
	{
		if (!is_audited(&uses->entries[i]))
			continue;
		if (count++ == 0)
		{
			pge_line_begin(&line, "use");
			pge_line_time(&line, "statement_start",
						  uses->statement_start);
			if (uses->more)
				appendStringInfoString(&line, ",\"more\":true");
			appendStringInfoString(&line, ",\"uses\":[");
		}
		else
			appendStringInfoChar(&line, ',');
		append_use(&line, &uses->entries[i]);
	}
	if (count == 0)
		return;
	appendStringInfoChar(&line, ']');
	pge_line_end(&line, SQLSTATE_USE);
}

void
pge_audit_init(void)
{
	pge_use_consumer(log_uses);
}
