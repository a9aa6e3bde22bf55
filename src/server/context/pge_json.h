/*
 * pge_json.h
 *	  Reading the JSON of tokens and key sets, which come from anywhere:
 *	  strictly, and without a word about what is in it.
 *
 * PostgreSQL's parser finds the values; nothing here raises what it says,
 * which would quote the text.  The text is UTF-8 whatever the database's
 * encoding.  It is changed: strings are decoded where they lie, and values
 * point into it, so that a secret is in no other place.
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
	envl_view	text;			/* a string's bytes, or as it is spelled */
	struct PgeJson *first;		/* member or element */
	struct PgeJson *last;
	struct PgeJson *next;		/* sibling */
	int			count;			/* of members and elements */
} PgeJson;

/*
 * Reads a text that is one value; returns it, or NULL: the text is not JSON in
 * UTF-8, too deep, or names a member twice, in whatever spelling.  Of the
 * value itself only members and elements are known, not its type.  Raises only
 * if there is no memory or stack.
 */
extern PgeJson *pge_json_read(uint8 *text, size_t len);

/* The member with this name; NULL if there is none. */
extern const PgeJson *pge_json_find(const PgeJson *object, const char *name);

/* The same, if it is a string. */
extern bool pge_json_find_string(const PgeJson *object, const char *name,
								 envl_view *string);

/* Whether bytes are those of a word. */
extern bool pge_json_is(envl_view bytes, const char *word);

#endif							/* PGE_JSON_H */
