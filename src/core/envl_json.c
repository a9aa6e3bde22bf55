/*
 * envl_json.c
 *	  Reading JSON where it lies, strictly.
 *
 * Strings are compared by the bytes that they stand for, whatever escapes
 * they are spelled with: two spellings of one name are one name.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "envl_json.h"

#include "envl_string.h"

/* Bytes of the longest character in UTF-8. */
#define CHARACTER_MAX 4

/* The bytes that a string stands for, one after the other. */
typedef struct string_bytes
{
	envl_reader reader;
	uint8_t		character[CHARACTER_MAX];	/* of an escape */
	size_t		count;
	size_t		next;
} string_bytes;

static bool read_value(envl_reader *reader, int depth,
					   envl_json_value *value) ENVL_MUST_CHECK;

/* ---------------------------------------------------------------- */
/* Strings                                                          */
/* ---------------------------------------------------------------- */

/* Four hexadecimal digits. */
static bool
read_code_unit(envl_reader *reader, uint32_t *unit)
{
	*unit = 0;
	for (int i = 0; i < 4; i++)
	{
		uint8_t		digit;

		if (!envl_read_u8(reader, &digit))
			return false;
		if (digit >= '0' && digit <= '9')
			*unit = *unit << 4 | (uint32_t) (digit - '0');
		else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
			*unit = *unit << 4 | (uint32_t) ((digit | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* What follows \u: a character, or the two halves of one. */
static bool
read_unicode_escape(envl_reader *reader, uint32_t *character)
{
	uint8_t		backslash;
	uint8_t		letter;
	uint32_t	low;

	if (!read_code_unit(reader, character))
		return false;
	if (*character < 0xD800 || *character > 0xDFFF)
		return true;
	if (*character > 0xDBFF ||
		!envl_read_u8(reader, &backslash) || backslash != '\\' ||
		!envl_read_u8(reader, &letter) || letter != 'u' ||
		!read_code_unit(reader, &low) || low < 0xDC00 || low > 0xDFFF)
		return false;
	*character = 0x10000 + ((*character - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* What follows a backslash. */
static bool
read_escape(envl_reader *reader, uint32_t *character)
{
	uint8_t		letter;

	if (!envl_read_u8(reader, &letter))
		return false;
	switch (letter)
	{
		case '"':
		case '\\':
		case '/':
			*character = letter;
			return true;
		case 'b':
			*character = '\b';
			return true;
		case 'f':
			*character = '\f';
			return true;
		case 'n':
			*character = '\n';
			return true;
		case 'r':
			*character = '\r';
			return true;
		case 't':
			*character = '\t';
			return true;
		case 'u':
			return read_unicode_escape(reader, character);
		default:
			return false;
	}
}

/* What follows the opening quote, and the closing one. */
static bool
read_string(envl_reader *reader, envl_view *string)
{
	uint32_t	character;
	uint8_t		byte;

	string->data = reader->next;
	do
	{
		if (!envl_read_u8(reader, &byte) || byte < 0x20)
			return false;
		if (byte == '\\' && !read_escape(reader, &character))
			return false;
	} while (byte != '"');
	string->len = (size_t) (reader->next - string->data) - 1;
	return envl_utf8_valid(*string);
}

static size_t
utf8_encode(uint32_t character, uint8_t *out)
{
	if (character < 0x80)
	{
		out[0] = (uint8_t) character;
		return 1;
	}
	if (character < 0x800)
	{
		out[0] = (uint8_t) (0xC0 | character >> 6);
		out[1] = (uint8_t) (0x80 | (character & 0x3F));
		return 2;
	}
	if (character < 0x10000)
	{
		out[0] = (uint8_t) (0xE0 | character >> 12);
		out[1] = (uint8_t) (0x80 | (character >> 6 & 0x3F));
		out[2] = (uint8_t) (0x80 | (character & 0x3F));
		return 3;
	}
	out[0] = (uint8_t) (0xF0 | character >> 18);
	out[1] = (uint8_t) (0x80 | (character >> 12 & 0x3F));
	out[2] = (uint8_t) (0x80 | (character >> 6 & 0x3F));
	out[3] = (uint8_t) (0x80 | (character & 0x3F));
	return 4;
}

static string_bytes
bytes_of(envl_view string)
{
	return (string_bytes) {.reader = envl_reader_over(string)};
}

static bool
next_byte(string_bytes *bytes, uint8_t *out)
{
	uint32_t	character;

	if (bytes->next < bytes->count)
	{
		*out = bytes->character[bytes->next++];
		return true;
	}
	if (!envl_read_u8(&bytes->reader, out))
		return false;
	if (*out != '\\')
		return true;
	if (!read_escape(&bytes->reader, &character))
		return false;
	bytes->count = utf8_encode(character, bytes->character);
	*out = bytes->character[0];
	bytes->next = 1;
	return true;
}

bool
envl_json_same(envl_view a, envl_view b)
{
	string_bytes a_bytes = bytes_of(a);
	string_bytes b_bytes = bytes_of(b);
	uint8_t		a_byte;
	uint8_t		b_byte;

	while (next_byte(&a_bytes, &a_byte))
	{
		if (!next_byte(&b_bytes, &b_byte) || a_byte != b_byte)
			return false;
	}
	return !next_byte(&b_bytes, &b_byte);
}

bool
envl_json_is(envl_view string, envl_view bytes)
{
	string_bytes all = bytes_of(string);
	uint8_t		byte;

	for (size_t i = 0; i < bytes.len; i++)
	{
		if (!next_byte(&all, &byte) || byte != bytes.data[i])
			return false;
	}
	return !next_byte(&all, &byte);
}

size_t
envl_json_decode(envl_view string, uint8_t *out)
{
	string_bytes bytes = bytes_of(string);
	size_t		len = 0;
	uint8_t		byte;

	while (next_byte(&bytes, &byte))
		out[len++] = byte;
	return len;
}

/* ---------------------------------------------------------------- */
/* Values                                                           */
/* ---------------------------------------------------------------- */

static void
skip_space(envl_reader *reader)
{
	while (reader->next < reader->end &&
		   (*reader->next == ' ' || *reader->next == '\t' ||
			*reader->next == '\n' || *reader->next == '\r'))
		reader->next++;
}

/* Takes a byte if it is the next one. */
static bool
take(envl_reader *reader, uint8_t byte)
{
	if (reader->next == reader->end || *reader->next != byte)
		return false;
	reader->next++;
	return true;
}

static bool
take_digits(envl_reader *reader)
{
	const uint8_t *start = reader->next;

	while (reader->next < reader->end && *reader->next >= '0' &&
		   *reader->next <= '9')
		reader->next++;
	return reader->next > start;
}

static bool
read_number(envl_reader *reader)
{
	(void) take(reader, '-');
	if (!take(reader, '0') && !take_digits(reader))
		return false;
	if (take(reader, '.') && !take_digits(reader))
		return false;
	if (take(reader, 'e') || take(reader, 'E'))
	{
		if (!take(reader, '+'))
			(void) take(reader, '-');
		return take_digits(reader);
	}
	return true;
}

static bool
read_word(envl_reader *reader, envl_view word)
{
	envl_view	found;

	return envl_read_view(reader, word.len, &found) &&
		envl_view_equal(found, word);
}

/* A name and its value, with the white space around them. */
static bool
read_member(envl_reader *reader, int depth, envl_view *name,
			envl_json_value *value)
{
	skip_space(reader);
	if (!take(reader, '"') || !read_string(reader, name))
		return false;
	skip_space(reader);
	return take(reader, ':') && read_value(reader, depth, value);
}

/* What follows the opening bracket, up to the closing one. */
static bool
read_object(envl_reader *reader, int depth)
{
	envl_view	names[ENVL_JSON_MEMBERS_MAX];
	size_t		count = 0;
	envl_json_value value;

	skip_space(reader);
	if (reader->next < reader->end && *reader->next == '}')
		return true;
	do
	{
		if (count == ENVL_JSON_MEMBERS_MAX ||
			!read_member(reader, depth, &names[count], &value))
			return false;
		for (size_t i = 0; i < count; i++)
		{
			if (envl_json_same(names[i], names[count]))
				return false;
		}
		count++;
	} while (take(reader, ','));
	return true;
}

static bool
read_array(envl_reader *reader, int depth)
{
	envl_json_value value;

	skip_space(reader);
	if (reader->next < reader->end && *reader->next == ']')
		return true;
	do
	{
		if (!read_value(reader, depth, &value))
			return false;
	} while (take(reader, ','));
	return true;
}

/* An object or an array, behind its opening bracket. */
static bool
read_nested(envl_reader *reader, int depth, envl_json_value *value)
{
	bool		object = value->type == ENVL_JSON_OBJECT;

	if (depth == ENVL_JSON_DEPTH_MAX)
		return false;
	value->text.data = reader->next;
	if (!(object ? read_object(reader, depth + 1) :
				   read_array(reader, depth + 1)))
		return false;
	value->text.len = (size_t) (reader->next - value->text.data);
	return take(reader, object ? '}' : ']');
}

/* A value that has no parts. */
static bool
read_plain(envl_reader *reader, uint8_t first, envl_json_value *value)
{
	bool		good;

	value->text.data = reader->next;
	switch (first)
	{
		case 't':
			value->type = ENVL_JSON_TRUE;
			good = read_word(reader, ENVL_LITERAL("true"));
			break;
		case 'f':
			value->type = ENVL_JSON_FALSE;
			good = read_word(reader, ENVL_LITERAL("false"));
			break;
		case 'n':
			value->type = ENVL_JSON_NULL;
			good = read_word(reader, ENVL_LITERAL("null"));
			break;
		default:
			value->type = ENVL_JSON_NUMBER;
			good = read_number(reader);
	}
	value->text.len = (size_t) (reader->next - value->text.data);
	return good;
}

/* A value, with the white space around it. */
static bool
read_value(envl_reader *reader, int depth, envl_json_value *value)
{
	bool		good;

	skip_space(reader);
	if (take(reader, '"'))
	{
		value->type = ENVL_JSON_STRING;
		good = read_string(reader, &value->text);
	}
	else if (take(reader, '{'))
	{
		value->type = ENVL_JSON_OBJECT;
		good = read_nested(reader, depth, value);
	}
	else if (take(reader, '['))
	{
		value->type = ENVL_JSON_ARRAY;
		good = read_nested(reader, depth, value);
	}
	else
		good = reader->next < reader->end &&
			read_plain(reader, *reader->next, value);
	skip_space(reader);
	return good;
}

bool
envl_json_read(envl_view text, envl_json_value *value)
{
	envl_reader reader = envl_reader_over(text);

	return read_value(&reader, 0, value) && envl_reader_left(&reader) == 0;
}

bool
envl_json_next_member(envl_reader *object, envl_view *name,
					  envl_json_value *value)
{
	(void) take(object, ',');
	return read_member(object, 0, name, value);
}

bool
envl_json_next_element(envl_reader *array, envl_json_value *value)
{
	(void) take(array, ',');
	return read_value(array, 0, value);
}

bool
envl_json_find(const envl_json_value *object, envl_view name,
			   envl_json_value *value)
{
	envl_reader reader = envl_reader_over(object->text);
	envl_view	found;

	while (envl_json_next_member(&reader, &found, value))
	{
		if (envl_json_is(found, name))
			return true;
	}
	return false;
}
