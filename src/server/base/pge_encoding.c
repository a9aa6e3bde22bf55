/*
 * pge_encoding.c
 *	  Between the database's encoding and UTF-8.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "base/pge_encoding.h"
#include "core/envl_secret.h"
#include "core/envl_string.h"

/*
 * Converts all of in, or returns false.  On failure it wipes what it has
 * converted so far.
 */
static bool
convert(int from, int to, envl_view in, envl_view *out)
{
	Oid			procedure = FindDefaultConversionProc(from, to);
	Size		size = (Size) in.len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *source = unconstify(unsigned char *, in.data);
	unsigned char *buffer;
	int			converted;

	if (!OidIsValid(procedure))
		return false;
	buffer = MemoryContextAllocHuge(CurrentMemoryContext, size);
	buffer[0] = '\0';
	converted = pg_do_encoding_conversion_buf(procedure, from, to, source,
											  (int) in.len, buffer,
											  (int) Min(size, INT_MAX), true);
	if (converted != (int) in.len)
	{
		envl_wipe(buffer, strlen((char *) buffer));
		pfree(buffer);
		return false;
	}
	*out = (envl_view) {buffer, strlen((char *) buffer)};
	return true;
}

bool
pge_to_utf8(envl_view text, envl_view *utf8, PgeProblem *problem)
{
	int			encoding = GetDatabaseEncoding();

	*utf8 = text;
	if (likely(encoding == PG_UTF8))
		return true;
	if (encoding == PG_SQL_ASCII)
	{
		if (envl_utf8_valid(text))
			return true;
		return pge_problem(problem, PGE_ENCODING,
						   "In a SQL_ASCII database text must be UTF-8; give other bytes as bytea.",
						   "text is not valid UTF-8");
	}
	if (convert(encoding, PG_UTF8, text, utf8))
		return true;
	return pge_problem(problem, PGE_ENCODING, NULL,
					   "text cannot be converted to UTF-8");
}

bool
pge_from_utf8(envl_view utf8, envl_view *text, PgeProblem *problem)
{
	int			encoding = GetDatabaseEncoding();

	*text = utf8;
	if (likely(encoding == PG_UTF8 || encoding == PG_SQL_ASCII))
	{
		/*
		 * The value is authentic, but may have been sealed elsewhere.  Text
		 * in the server must be valid and must not contain a zero byte.
		 */
		if (envl_utf8_valid(utf8) &&
			memchr(utf8.data, '\0', utf8.len) == NULL)
			return true;
		return pge_problem(problem, PGE_ENCODING,
						   "Use env_decrypt_bytea.",
						   "value is not valid UTF-8 text");
	}
	if (memchr(utf8.data, '\0', utf8.len) == NULL &&
		convert(PG_UTF8, encoding, utf8, text))
		return true;
	return pge_problem(problem, PGE_UNTRANSLATABLE,
					   "Use env_decrypt_bytea to get its UTF-8 bytes.",
					   "value has no equivalent in the encoding of the database");
}

int
pge_shown_len(envl_view text, int max)
{
	return pg_mbcliplen((const char *) text.data, (int) text.len, max);
}
