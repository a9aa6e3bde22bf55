/*
 * pge_json.h
 *	  Reading the JSON of tokens and key sets from untrusted sources: strictly,
 *	  and without quoting it.
 *
 * PostgreSQL's parser finds the values, and its error messages, which would
 * quote the text, are never raised.  The text is UTF-8 in any database
 * encoding.  It is changed: strings are decoded in place and values point into
 * it, so that a secret is in no other place.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_JSON_H
#define PGE_JSON_H

#include "common/jsonapi.h"

#include "core/envl_bytes.h"

#define PGE_JSON_DEPTH_MAX 8
#define PGE_JSON_MEMBERS_MAX 64 /* of an object */

typedef struct PgeJson
{
	JsonTokenType type;
	envl_view	name;			/* of a member; NULL for an element */
	envl_view	text;			/* a string decoded; any other value as
								 * spelled */
	struct PgeJson *first;		/* first member or element */
	struct PgeJson *last;
	struct PgeJson *next;		/* sibling */
	int			count;			/* of members and elements */
} PgeJson;

/*
 * Reads a text that is one value.  NULL if the text is not JSON in UTF-8, is
 * too deep, or repeats a member's name in any spelling.  The value's own type
 * is not known, only its members and elements.  Raises only if memory or stack
 * run out.
 */
extern PgeJson *pge_json_read(uint8 *text, size_t len);

/* Finds a member by name; NULL if there is none. */
extern const PgeJson *pge_json_find(const PgeJson *object, const char *name);

/* Finds a member by name.  False if there is none or it is not a string. */
extern bool pge_json_find_string(const PgeJson *object, const char *name,
								 envl_view *string);

/* Whether bytes equal a word. */
extern bool pge_json_is(envl_view bytes, const char *word);

#endif							/* PGE_JSON_H */
