/*
 * pge_json.c
 *	  Reading the JSON of tokens and key sets.
 *
 * The parser's lexer gets no buffer for decoded strings.  With one it would
 * convert \u escapes to the database's encoding, raise an error for what it
 * cannot convert, and leave copies of secrets behind.  So we find names and
 * strings by their positions and decode them here.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/pge_compat.h"
#include "context/pge_json.h"
#include "core/envl_string.h"

typedef struct Reading
{
	JsonLexContext *lexer;
	PgeJson    *open[PGE_JSON_DEPTH_MAX + 1];	/* the last value on each
												 * level */
	bool		refused;		/* by us, where the parser would go on */
} Reading;

/* ---------------------------------------------------------------- */
/* Strings                                                          */
/* ---------------------------------------------------------------- */

/* Reads four hexadecimal digits, which the lexer has checked. */
static pg_wchar
read_code_unit(const uint8 *digits)
{
	char		hex[5] = {0};

	memcpy(hex, digits, 4);
	return strtoul(hex, NULL, 16);
}

/* Decodes what follows \u: a character, or a surrogate pair. */
static bool
decode_unicode(const uint8 **in, const uint8 *end, uint8 **out)
{
	pg_wchar	character = read_code_unit(*in);

	*in += 4;
	if (is_utf16_surrogate_first(character))
	{
		pg_wchar	low;

		if (end - *in < 6 || memcmp(*in, "\\u", 2) != 0)
			return false;
		low = read_code_unit(*in + 2);
		if (!is_utf16_surrogate_second(low))
			return false;
		character = surrogate_pair_to_codepoint(character, low);
		*in += 6;
	}
	else if (is_utf16_surrogate_second(character))
		return false;
	unicode_to_utf8(character, *out);
	*out += pg_encoding_mblen(PG_UTF8, (const char *) *out);
	return true;
}

/* Unescapes a string in place; the result is never longer. */
static bool
decode_string(envl_view *string)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const uint8 *in = string->data;
	const uint8 *end = in + string->len;
	uint8	   *out = unconstify(uint8 *, in);

	while (in < end)
	{
		const char *letter;

		if (*in != '\\')
		{
			*out++ = *in++;
			continue;
		}
		in += 2;
		if (in[-1] == 'u')
		{
			if (!decode_unicode(&in, end, &out))
				return false;
			continue;
		}
		/* Not strchr: the lexer lets a backslash with a NUL through. */
		letter = memchr(letters, in[-1], sizeof(letters) - 1);
		if (letter == NULL)
			return false;
		*out++ = (uint8) meanings[letter - letters];
	}
	string->len = (size_t) (out - string->data);
	return true;
}

bool
pge_json_is(envl_view bytes, const char *word)
{
	return bytes.len == strlen(word) &&
		memcmp(bytes.data, word, bytes.len) == 0;
}

/* ---------------------------------------------------------------- */
/* Values                                                           */
/* ---------------------------------------------------------------- */

/* Adds the lexer's current value to its parent. */
static void
add_value(Reading *reading, envl_view name)
{
	const JsonLexContext *lexer = reading->lexer;
	PgeJson    *parent = reading->open[lexer->lex_level - 1];
	PgeJson    *value = palloc0(sizeof(PgeJson));

	value->type = lexer->token_type;
	value->name = name;
	value->text.data = (const uint8 *) lexer->token_start;
	value->text.len = (size_t) (lexer->token_terminator - lexer->token_start);
	if (value->type == JSON_TOKEN_STRING)
	{
		value->text.data++;
		value->text.len -= 2;
		if (!decode_string(&value->text))
			reading->refused = true;
	}
	if (parent->last == NULL)
		parent->first = value;
	else
		parent->last->next = value;
	parent->last = value;
	parent->count++;
	reading->open[lexer->lex_level] = value;
}

/*
 * Finds the name in front of the colon that the lexer has passed.  A quote
 * inside the name has a backslash before it, the opening quote cannot.
 */
static PgeJsonAction
start_member(void *state, char *decoded, bool is_null)
{
	Reading    *reading = state;
	const PgeJson *object = reading->open[reading->lexer->lex_level - 1];
	const char *end = reading->lexer->prev_token_terminator;
	const char *start;
	envl_view	name;

	do
		end--;
	while (*end != '"');
	start = end;
	do
		start--;
	while (*start != '"' || start[-1] == '\\');
	name.data = (const uint8 *) start + 1;
	name.len = (size_t) (end - start) - 1;

	if (!decode_string(&name) || object->count == PGE_JSON_MEMBERS_MAX)
		reading->refused = true;
	for (const PgeJson *other = object->first; other; other = other->next)
	{
		if (envl_view_equal(other->name, name))
			reading->refused = true;
	}
	add_value(reading, name);
	return PGE_JSON_GO_ON;
}

static PgeJsonAction
start_element(void *state, bool is_null)
{
	add_value(state, (envl_view) {NULL, 0});
	return PGE_JSON_GO_ON;
}

/*
 * Limits the depth, since the parser recurses and raises at the end of the
 * stack.
 */
static bool
is_shallow(const uint8 *text, size_t len)
{
	bool		in_string = false;
	int			depth = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (text[i] == '}' || text[i] == ']')
			depth--;
		else if ((text[i] == '{' || text[i] == '[') &&
				 ++depth > PGE_JSON_DEPTH_MAX)
			return false;
	}
	return true;
}

PgeJson *
pge_json_read(uint8 *text, size_t len)
{
	Reading		reading = {0};
	JsonSemAction actions = {.semstate = &reading,
							 .object_field_start = start_member,
							 .array_element_start = start_element};

	if (!envl_utf8_valid((envl_view) {text, len}) || !is_shallow(text, len))
		return NULL;
	reading.lexer = pge_make_json_lexer((char *) text, len);
	reading.open[0] = palloc0(sizeof(PgeJson));
	if (pg_parse_json(reading.lexer, &actions) != JSON_SUCCESS ||
		reading.refused)
		return NULL;
	return reading.open[0];
}

const PgeJson *
pge_json_find(const PgeJson *object, const char *name)
{
	const PgeJson *member = object->first;

	while (member != NULL &&
		   (member->name.data == NULL || !pge_json_is(member->name, name)))
		member = member->next;
	return member;
}

bool
pge_json_find_string(const PgeJson *object, const char *name,
					 envl_view *string)
{
	const PgeJson *member = pge_json_find(object, name);

	if (member == NULL || member->type != JSON_TOKEN_STRING)
		return false;
	*string = member->text;
	return true;
}
