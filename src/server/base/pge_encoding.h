/*
 * pge_encoding.h
 *	  Between the database's encoding and UTF-8, without PostgreSQL's error
 *	  messages, which print the bytes they stumble over.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ENCODING_H
#define PGE_ENCODING_H

#include "base/pge_report.h"
#include "core/envl_bytes.h"

/*
 * Text of the database in UTF-8, palloc'd unless it is that already.  In a
 * SQL_ASCII database it must be UTF-8.  False fills in problem.
 */
extern bool pge_to_utf8(envl_view text, envl_view *utf8,
						PgeProblem *problem);

/*
 * UTF-8 in the database's encoding, palloc'd unless it is that already.
 * False fills in problem.
 */
extern bool pge_from_utf8(envl_view utf8, envl_view *text,
						  PgeProblem *problem);

/*
 * How many bytes of a text of the database a message shows: at most max, and
 * only whole characters, since a client could not read a part of one.
 */
extern int	pge_shown_len(envl_view text, int max);

/* The bytes of a detoasted datum. */
static inline envl_view
pge_varlena_view(const struct varlena *value)
{
	return (envl_view) {
		(const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

/* The bytes of a C string, without its NUL. */
static inline envl_view
pge_cstring_view(const char *string)
{
	return (envl_view) {(const uint8 *) string, strlen(string)};
}

#endif							/* PGE_ENCODING_H */
