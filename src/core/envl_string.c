/*
 * envl_string.c
 *	  Text: valid UTF-8, and the strings of canonical JSON.
 *
 * Most text is short ASCII that needs no escape.  So the loops look at eight
 * bytes as one integer, and mark a byte that is anything else by its highest
 * bit.  Only then do they look at single bytes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_string.h"

/* Eight copies of a byte. */
#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGHEST_BITS EIGHT(0x80)

static const char hex_digits[] = "0123456789abcdef";

/* ---------------------------------------------------------------- */
/* Eight bytes at a time                                            */
/* ---------------------------------------------------------------- */

/* Loads the first byte into the lowest bits, on any machine. */
static inline uint64_t
load_eight(const uint8_t *from)
{
	return (uint64_t) from[0] | (uint64_t) from[1] << 8 |
		(uint64_t) from[2] << 16 | (uint64_t) from[3] << 24 |
		(uint64_t) from[4] << 32 | (uint64_t) from[5] << 40 |
		(uint64_t) from[6] << 48 | (uint64_t) from[7] << 56;
}

static inline uint64_t
load_four(const uint8_t *from)
{
	return (uint64_t) from[0] | (uint64_t) from[1] << 8 |
		(uint64_t) from[2] << 16 | (uint64_t) from[3] << 24;
}

/* Loads up to seven bytes, some of them twice; spaces fill the rest. */
static inline uint64_t
load_fewer(envl_view bytes)
{
	if (bytes.len >= 4)
		return load_four(bytes.data) |
			load_four(bytes.data + bytes.len - 4) << 32;
	if (bytes.len == 0)
		return EIGHT(' ');
	return EIGHT(' ') << 24 | (uint64_t) bytes.data[0] |
		(uint64_t) bytes.data[bytes.len / 2] << 8 |
		(uint64_t) bytes.data[bytes.len - 1] << 16;
}

/* Marks the bytes that are not ASCII. */
static inline uint64_t
beyond_ascii(uint64_t eight)
{
	return eight & HIGHEST_BITS;
}

/*
 * Marks the first byte that is less than limit (at most 0x80).  Only the
 * lowest mark is valid: subtraction borrows from the bytes above it.
 */
static inline uint64_t
less_than(uint64_t eight, uint8_t limit)
{
	return (eight - EIGHT(limit)) & ~eight & HIGHEST_BITS;
}

/* Marks the first byte that is not ASCII or needs an escape. */
static inline uint64_t
not_plain(uint64_t eight)
{
	return beyond_ascii(eight) | less_than(eight, 0x20) |
		less_than(eight ^ EIGHT('"'), 1) | less_than(eight ^ EIGHT('\\'), 1);
}

/* Whether the test marks no byte. */
static inline bool
has_none(envl_view bytes, uint64_t (*test)(uint64_t))
{
	uint64_t	found = 0;

	if (bytes.len < 8)
		return test(load_fewer(bytes)) == 0;
	for (size_t i = 0; i + 8 < bytes.len && found == 0; i += 8)
		found = test(load_eight(bytes.data + i));
	return found == 0 &&
		test(load_eight(bytes.data + bytes.len - 8)) == 0;
}

/* ---------------------------------------------------------------- */
/* UTF-8                                                            */
/* ---------------------------------------------------------------- */

/*
 * The length in bytes of the character at next (RFC 3629, section 4), or 0 if
 * there is no valid one.
 */
static size_t
utf8_character_len(const uint8_t *next, size_t left)
{
	uint8_t		lead = next[0];
	uint8_t		second_min = 0x80;
	uint8_t		second_max = 0xBF;
	size_t		len;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		len = 2;
	else if (lead >= 0xE0 && lead <= 0xEF)
		len = 3;
	else if (lead >= 0xF0 && lead <= 0xF4)
		len = 4;
	else
		return 0;

	/* Refuse overlong forms, surrogates, and anything beyond U+10FFFF. */
	if (lead == 0xE0)
		second_min = 0xA0;
	else if (lead == 0xED)
		second_max = 0x9F;
	else if (lead == 0xF0)
		second_min = 0x90;
	else if (lead == 0xF4)
		second_max = 0x8F;
	if (left < len || next[1] < second_min || next[1] > second_max)
		return 0;
	for (size_t i = 2; i < len; i++)
	{
		if (next[i] < 0x80 || next[i] > 0xBF)
			return 0;
	}
	return len;
}

bool
envl_utf8_valid(envl_view bytes)
{
	if (has_none(bytes, beyond_ascii))
		return true;
	for (size_t i = 0; i < bytes.len;)
	{
		size_t		left = bytes.len - i;
		size_t		len;

		if (left >= 8 && beyond_ascii(load_eight(bytes.data + i)) == 0)
			len = 8;
		else
			len = utf8_character_len(bytes.data + i, left);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* ---------------------------------------------------------------- */
/* Escapes                                                          */
/* ---------------------------------------------------------------- */

/* Whether a byte of a valid string must be escaped. */
static bool
needs_escape(uint8_t byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

/* The letter of a byte's two-character escape, or 0 if it has none. */
static uint8_t
escape_letter(uint8_t byte)
{
	switch (byte)
	{
		case '"':
		case '\\':
			return byte;
		case '\b':
			return 'b';
		case '\t':
			return 't';
		case '\n':
			return 'n';
		case '\f':
			return 'f';
		case '\r':
			return 'r';
		default:
			return 0;
	}
}

/* The reverse of escape_letter, for the letters that it returns. */
static uint8_t
escaped_byte(uint8_t letter)
{
	switch (letter)
	{
		case 'b':
			return '\b';
		case 't':
			return '\t';
		case 'n':
			return '\n';
		case 'f':
			return '\f';
		case 'r':
			return '\r';
		default:
			return letter;
	}
}

/* ---------------------------------------------------------------- */
/* Writing                                                          */
/* ---------------------------------------------------------------- */

static void
write_escape(envl_writer *writer, uint8_t byte)
{
	uint8_t		letter = escape_letter(byte);

	if (letter != 0)
	{
		envl_write_u8(writer, '\\');
		envl_write_u8(writer, letter);
		return;
	}
	envl_write_view(writer, ENVL_LITERAL("\\u00"));
	envl_write_u8(writer, (uint8_t) hex_digits[byte >> 4]);
	envl_write_u8(writer, (uint8_t) hex_digits[byte & 0x0F]);
}

/* Writes what is between the quotes. */
static void
write_content(envl_writer *writer, envl_view string)
{
	envl_view	plain = {string.data, 0};

	for (size_t i = 0; i < string.len; i++)
	{
		if (!needs_escape(string.data[i]))
		{
			plain.len++;
			continue;
		}
		envl_write_view(writer, plain);
		write_escape(writer, string.data[i]);
		plain = (envl_view) {string.data + i + 1, 0};
	}
	envl_write_view(writer, plain);
}

void
envl_string_write(envl_writer *writer, envl_view string)
{
	envl_write_u8(writer, '"');
	if (has_none(string, not_plain))
		envl_write_view(writer, string);
	else
		write_content(writer, string);
	envl_write_u8(writer, '"');
}

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

/* Returns the end of the ASCII characters that need no escape. */
static const uint8_t *
plain_end(const uint8_t *next, const uint8_t *end)
{
	while (end - next >= 8)
	{
		uint64_t	found = not_plain(load_eight(next));

		if (found != 0)
			return next + __builtin_ctzll(found) / 8;
		next += 8;
	}
	while (next < end && *next < 0x80 && !needs_escape(*next))
		next++;
	return next;
}

/* Skips what follows a backslash. */
static bool
skip_escape(envl_reader *reader)
{
	uint8_t		letter;
	envl_view	zeros;
	uint8_t		high;
	uint8_t		low;
	const char *digit;

	if (!envl_read_u8(reader, &letter))
		return false;
	if (letter != 'u')
		return letter != 0 && escape_letter(escaped_byte(letter)) == letter;
	if (!envl_read_view(reader, 2, &zeros) ||
		!envl_view_equal(zeros, ENVL_LITERAL("00")) ||
		!envl_read_u8(reader, &high) || !envl_read_u8(reader, &low) ||
		(high != '0' && high != '1') || low == 0)
		return false;

	/* The digits are lower case, and the character has no short escape. */
	digit = strchr(hex_digits, low);
	return digit != NULL &&
		escape_letter((uint8_t) ((high - '0') << 4 |
								 (digit - hex_digits))) == 0;
}

bool
envl_string_read(envl_reader *reader, envl_view *content)
{
	const uint8_t *start;

	if (envl_reader_left(reader) == 0 || *reader->next != '"')
		return false;
	start = ++reader->next;
	for (;;)
	{
		size_t		len;

		reader->next = plain_end(reader->next, reader->end);
		if (envl_reader_left(reader) == 0 || *reader->next < 0x20)
			return false;
		if (*reader->next == '"')
			break;
		if (*reader->next == '\\')
		{
			reader->next++;
			if (!skip_escape(reader))
				return false;
			continue;
		}
		len = utf8_character_len(reader->next, envl_reader_left(reader));
		if (len == 0)
			return false;
		reader->next += len;
	}
	*content = (envl_view) {start, (size_t) (reader->next - start)};
	reader->next++;
	return true;
}

uint8_t
envl_string_next_byte(envl_reader *content)
{
	uint8_t		byte = *content->next++;

	if (byte != '\\')
		return byte;
	byte = *content->next++;
	if (byte != 'u')
		return escaped_byte(byte);

	/* In \u001f only the last two digits differ from zero, and the first of
	 * these is 0 or 1. */
	byte = (uint8_t) ((content->next[2] - '0') << 4);
	byte |= (uint8_t) (strchr(hex_digits, content->next[3]) - hex_digits);
	content->next += 4;
	return byte;
}
