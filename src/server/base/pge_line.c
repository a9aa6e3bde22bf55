/*
 * pge_line.c
 *	  Lines of the audit in the server's log: one JSON object each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/ip.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_line.h"

char	   *pge_trace_id;

/* Readers of the log find the lines by this. */
#define AUDIT_TAG "pgenvelope audit: "
#define ALERT_TAG "pgenvelope alert: "

static MemoryContext line_context;
static char database_name[NAMEDATALEN];
static char session_user[NAMEDATALEN];

void
pge_line_learn(void)
{
	char	   *name = GetUserNameFromId(GetSessionUserId(), true);

	strlcpy(session_user, name != NULL ? name : "", sizeof(session_user));

	/* The name is stable: a database with connections cannot be renamed. */
	if (database_name[0] == '\0' && OidIsValid(MyDatabaseId))
	{
		name = get_database_name(MyDatabaseId);
		strlcpy(database_name, name != NULL ? name : "",
				sizeof(database_name));
	}
	if (line_context == NULL)
		line_context = AllocSetContextCreate(TopMemoryContext,
											 "pgenvelope audit",
											 ALLOCSET_DEFAULT_SIZES);
}

const char *
pge_client_address(void)
{
	static char address[NI_MAXHOST];
	const SockAddr *client;

	if (MyBEEntry == NULL || MyBEEntry->st_backendType != B_BACKEND)
		return NULL;
	client = (const SockAddr *) &MyBEEntry->st_clientaddr;
	if (client->addr.ss_family == AF_UNIX || client->addr.ss_family == 0)
		return "[local]";
	if (pg_getnameinfo_all(&client->addr, client->salen, address,
						   sizeof(address), NULL, 0, NI_NUMERICHOST) != 0)
		return NULL;
	return address;
}

/* The process whose parallel worker this is, or 0. */
static int
leader_pid(void)
{
	PGPROC	   *leader = MyProc != NULL ? MyProc->lockGroupLeader : NULL;

	return leader != NULL && leader != MyProc ? leader->pid : 0;
}

static void
append_name(StringInfo line, const char *name)
{
	appendStringInfo(line, "%s\"%s\":",
					 line->data[line->len - 1] == '{' ? "" : ",", name);
}

void
pge_line_text(StringInfo line, const char *name, const char *value)
{
	append_name(line, name);
	if (value != NULL)
		escape_json(line, value);
	else
		appendStringInfoString(line, "null");
}

void
pge_line_int(StringInfo line, const char *name, int64 value)
{
	append_name(line, name);
	appendStringInfo(line, INT64_FORMAT, value);
}

void
pge_line_time(StringInfo line, const char *name, TimestampTz time)
{
	pg_time_t	seconds = timestamptz_to_time_t(time);
	int			micros = (int) (time % USECS_PER_SEC);
	char		text[64];

	pg_strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", pg_gmtime(&seconds));
	append_name(line, name);
	appendStringInfo(line, "\"%s.%06dZ\"", text, micros);
}

void
pge_line_utf8(StringInfo line, const char *json, size_t len)
{
	const unsigned char *next = (const unsigned char *) json;
	const unsigned char *end = next + len;

	while (next < end)
	{
		pg_wchar	c;

		if (*next < 0x80)
		{
			appendStringInfoChar(line, (char) *next++);
			continue;
		}
		c = utf8_to_unicode(next);
		next += pg_utf_mblen(next);
		if (c < 0x10000)
			appendStringInfo(line, "\\u%04x", c);
		else
			appendStringInfo(line, "\\u%04x\\u%04x",
							 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
	}
}

void
pge_line_begin(StringInfo line, const char *event)
{
	MemoryContext old_context;

	/* Only one line is being made at a time; an act's line is copied. */
	MemoryContextReset(line_context);
	old_context = MemoryContextSwitchTo(line_context);
	initStringInfo(line);
	MemoryContextSwitchTo(old_context);
	appendStringInfoChar(line, '{');
	pge_line_text(line, "event", event);
	pge_line_text(line, "database", database_name);
	pge_line_int(line, "pid", MyProcPid);
	if (leader_pid() != 0)
		pge_line_int(line, "leader_pid", leader_pid());
	pge_line_text(line, "session_user", session_user);
	pge_line_text(line, "application",
				  application_name != NULL ? application_name : "");
	pge_line_text(line, "client", pge_client_address());
	pge_line_text(line, "trace_id", pge_trace_id);
}

static void
write_tagged(const char *tag, const char *line, int sqlstate)
{
	ereport(LOG_SERVER_ONLY,
			(errcode(sqlstate), errmsg_internal("%s%s", tag, line),
			 errhidestmt(true), errhidecontext(true)));
}

void
pge_line_write(const char *line, int sqlstate)
{
	write_tagged(AUDIT_TAG, line, sqlstate);
}

void
pge_line_end(StringInfo line, int sqlstate)
{
	appendStringInfoChar(line, '}');
	pge_line_write(line->data, sqlstate);
	MemoryContextReset(line_context);
}

char *
pge_line_end_alert(StringInfo line, int sqlstate)
{
	char	   *copy;

	appendStringInfoChar(line, '}');
	write_tagged(ALERT_TAG, line->data, sqlstate);
	copy = pstrdup(line->data);
	MemoryContextReset(line_context);
	return copy;
}

/* The value goes into every line of the audit, and to what reads them. */
static bool
check_trace_id(char **newval, void **extra, GucSource source)
{
	size_t		len = strlen(*newval);

	for (size_t i = 0; i < len; i++)
	{
		if ((*newval)[i] < 0x20 || (*newval)[i] > 0x7e)
			len = PGE_TRACE_ID_MAX + 1;
	}
	if (len <= PGE_TRACE_ID_MAX)
		return true;
	GUC_check_errdetail("It is printable ASCII of at most %d bytes.",
						PGE_TRACE_ID_MAX);
	return false;
}

void
pge_line_init(void)
{
	DefineCustomStringVariable("pgenvelope.trace_id",
							   "Names what the session is working on, for the audit.",
							   "It is printable ASCII of at most 128 bytes.",
							   &pge_trace_id, "", PGC_USERSET, 0,
							   check_trace_id, NULL, NULL);
}
