/*
 * pge_line.h
 *	  Lines of the audit in the server's log: one JSON object each.
 *
 * Lines are written in aborted transactions and dying sessions, where nothing
 * can be looked up.  So what they say of the session is looked up earlier.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_LINE_H
#define PGE_LINE_H

/* The longest pgenvelope.trace_id. */
#define PGE_TRACE_ID_MAX 128

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* Looks up what lines say of the session; in a transaction. */
extern void pge_line_learn(void);

/*
 * Begins a line of an event with what is known of the session.  Its memory
 * lives until pge_line_end.
 */
extern void pge_line_begin(StringInfo line, const char *event);

/* Append a member to the object; a value that is NULL is null. */
extern void pge_line_text(StringInfo line, const char *name,
						  const char *value);
extern void pge_line_int(StringInfo line, const char *name, int64 value);
extern void pge_line_time(StringInfo line, const char *name,
						  TimestampTz time);

/* Appends JSON in UTF-8 to a line in any encoding: beyond ASCII, escaped. */
extern void pge_line_utf8(StringInfo line, const char *json, size_t len);

/* Ends the object, and writes the line to the server's log, nowhere else. */
extern void pge_line_end(StringInfo line, int sqlstate);

/* Writes a line that was made before. */
extern void pge_line_write(const char *line, int sqlstate);

/*
 * Ends the object, and writes it to the log as an alert; returns a palloc'd
 * copy of it.
 */
extern char *pge_line_end_alert(StringInfo line, int sqlstate);

/*
 * The client's address, never the name of a host; "[local]" for a socket of
 * this machine's, NULL if there is no client.
 */
extern const char *pge_client_address(void);

extern char *pge_trace_id;

/* Defines the setting; called from _PG_init. */
extern void pge_line_init(void);

#endif							/* PGE_LINE_H */
