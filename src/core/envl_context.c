/*
 * envl_context.c
 *	  The encryption context: canonical bytes, and what a key requires.
 *
 * Writing makes the one canonical form; reading accepts nothing else, in one
 * pass over the bytes.  So two contexts are the same exactly if their bytes
 * are, and a name or a string has one escaped spelling, which is why member
 * names can be compared as they are spelled.  Their order is that of the
 * unescaped names (RFC 8785, section 3.2.3).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_context.h"

#define INTEGER_DIGITS 16

/* The least that a member takes, with its comma: "":0, */
#define MEMBER_MIN 5

static const char hex_digits[] = "0123456789abcdef";

/* A member of a canonical object, as it is spelled. */
typedef struct spelled_member
{
	envl_view	name;			/* escaped, without its quotes */
	envl_view	value;			/* a string with its quotes */
} spelled_member;

/* Bytes of the character (RFC 3629, section 4) at next, or 0 if none is. */
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

	/* Not overlong, no surrogate, not beyond U+10FFFF. */
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
	for (size_t i = 0; i < bytes.len;)
	{
		uint64_t	eight;
		size_t		len;

		/* Most text is mostly ASCII. */
		if (bytes.len - i >= sizeof(eight))
		{
			memcpy(&eight, bytes.data + i, sizeof(eight));
			if ((eight & UINT64_C(0x8080808080808080)) == 0)
			{
				i += sizeof(eight);
				continue;
			}
		}
		if (bytes.data[i] < 0x80)
			len = 1;
		else
			len = utf8_character_len(bytes.data + i, bytes.len - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* Whether a byte of a valid string is escaped (RFC 8785, section 3.2.2.2). */
static bool
needs_escape(uint8_t byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

/* How many of the first bytes are ASCII characters that need no escape. */
static size_t
plain_len(const uint8_t *next, size_t left)
{
	size_t		len = 0;

	while (len < left && next[len] < 0x80 && !needs_escape(next[len]))
		len++;
	return len;
}

/* The letter of a two-character escape, or 0. */
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

/* What the letter stands for; only for letters that escape_letter makes. */
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

/*
 * The next byte that a spelled name stands for, which is not at its end.  An
 * escape stands for one ASCII character, thus for one byte.
 */
static uint8_t
next_name_byte(envl_reader *name)
{
	uint8_t		byte = *name->next++;

	if (byte != '\\')
		return byte;
	byte = *name->next++;
	if (byte != 'u')
		return escaped_byte(byte);

	/* u001f: only the last two digits differ from zero, the first of them
	 * is 0 or 1 */
	byte = (uint8_t) ((name->next[2] - '0') << 4);
	byte |= (uint8_t) (strchr(hex_digits, name->next[3]) - hex_digits);
	name->next += 4;
	return byte;
}

/*
 * Orders names by their UTF-16 code units, of which these are the first bytes
 * that differ: negative or positive.  In UTF-8 that is the order of the bytes,
 * but for the characters beyond U+FFFF (lead byte from 0xF0): their surrogates
 * sort before U+E000 to U+FFFF (lead byte 0xEE or 0xEF).  Two bytes that
 * differ after the same bytes are both lead bytes or both are not.
 */
static int
order_of_bytes(uint8_t x, uint8_t y)
{
	if (x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0))
		return x >= 0xF0 ? -1 : 1;
	return x < y ? -1 : 1;
}

/* Orders names: negative, zero or positive. */
static int
name_order(envl_view a, envl_view b)
{
	for (size_t i = 0; i < a.len && i < b.len; i++)
	{
		if (a.data[i] != b.data[i])
			return order_of_bytes(a.data[i], b.data[i]);
	}
	return (a.len > b.len) - (a.len < b.len);
}

/* The same of names as they are spelled. */
static int
spelled_order(envl_view a, envl_view b)
{
	envl_reader left = envl_reader_over(a);
	envl_reader right = envl_reader_over(b);

	while (envl_reader_left(&left) > 0 && envl_reader_left(&right) > 0)
	{
		uint8_t		x = next_name_byte(&left);
		uint8_t		y = next_name_byte(&right);

		if (x != y)
			return order_of_bytes(x, y);
	}
	return (envl_reader_left(&left) > 0) - (envl_reader_left(&right) > 0);
}

/* Checks a member by itself, and adds to the length of what is unescaped. */
static envl_status
check_member(const envl_member *member, bool policy, size_t *raw_len)
{
	bool		is_string = member->type == ENVL_MEMBER_STRING;
	size_t		string_len = is_string ? member->string.len : 0;

	if (member->name.len > ENVL_CONTEXT_MAX || string_len > ENVL_CONTEXT_MAX)
		return ENVL_CONTEXT_TOO_LONG;
	*raw_len += member->name.len + string_len;
	if (*raw_len > ENVL_CONTEXT_MAX)
		return ENVL_CONTEXT_TOO_LONG;
	if (!envl_utf8_valid(member->name) ||
		(is_string && !envl_utf8_valid(member->string)))
		return ENVL_CONTEXT_NOT_UTF8;
	if (member->type == ENVL_MEMBER_INTEGER &&
		(member->integer > ENVL_INTEGER_MAX ||
		 member->integer < -ENVL_INTEGER_MAX))
		return ENVL_CONTEXT_INTEGER;
	if (member->type == ENVL_MEMBER_ANY && !policy)
		return ENVL_MALFORMED;
	return ENVL_OK;
}

/*
 * Insertion sort: there are a few members, and never more than fit into
 * ENVL_CONTEXT_MAX.  The C library's qsort may allocate.
 */
static void
sort_members(envl_member *members, size_t count)
{
	for (size_t i = 1; i < count; i++)
	{
		envl_member moving = members[i];
		size_t		place = i;

		for (; place > 0; place--)
		{
			if (name_order(members[place - 1].name, moving.name) <= 0)
				break;
			members[place] = members[place - 1];
		}
		members[place] = moving;
	}
}

/* Writes a byte of a string that is escaped. */
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

static void
write_string(envl_writer *writer, envl_view string)
{
	envl_view	plain = {string.data, 0};

	envl_write_u8(writer, '"');
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
	envl_write_u8(writer, '"');
}

static void
write_integer(envl_writer *writer, int64_t integer)
{
	uint8_t		digits[INTEGER_DIGITS];
	envl_view	number = {digits + sizeof(digits), 0};
	uint64_t	left = (uint64_t) (integer < 0 ? -integer : integer);

	do
	{
		number.len++;
		number.data--;
		digits[sizeof(digits) - number.len] = (uint8_t) ('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (integer < 0)
		envl_write_u8(writer, '-');
	envl_write_view(writer, number);
}

static void
write_value(envl_writer *writer, const envl_member *member)
{
	const envl_view yes = ENVL_LITERAL("true");
	const envl_view no = ENVL_LITERAL("false");

	switch (member->type)
	{
		case ENVL_MEMBER_STRING:
			write_string(writer, member->string);
			break;
		case ENVL_MEMBER_INTEGER:
			write_integer(writer, member->integer);
			break;
		case ENVL_MEMBER_BOOLEAN:
			envl_write_view(writer, member->boolean ? yes : no);
			break;
		case ENVL_MEMBER_ANY:
			envl_write_view(writer, ENVL_LITERAL("null"));
			break;
	}
}

static envl_status
encode_object(envl_member *members, size_t count, bool policy, uint8_t *out,
			  size_t *out_len)
{
	envl_writer writer = envl_writer_into(out, ENVL_CONTEXT_MAX);
	size_t		raw_len = 0;

	*out_len = 0;
	if (count > ENVL_CONTEXT_MAX / MEMBER_MIN)
		return ENVL_CONTEXT_TOO_LONG;
	for (size_t i = 0; i < count; i++)
	{
		envl_status status = check_member(&members[i], policy, &raw_len);

		if (status != ENVL_OK)
			return status;
	}
	sort_members(members, count);

	envl_write_u8(&writer, '{');
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0 && envl_view_equal(members[i - 1].name, members[i].name))
			return ENVL_CONTEXT_DUPLICATE;
		if (i > 0)
			envl_write_u8(&writer, ',');
		write_string(&writer, members[i].name);
		envl_write_u8(&writer, ':');
		write_value(&writer, &members[i]);
	}
	envl_write_u8(&writer, '}');
	if (!envl_writer_ok(&writer))
		return ENVL_CONTEXT_TOO_LONG;
	*out_len = envl_writer_len(&writer);
	return ENVL_OK;
}

envl_status
envl_context_encode(envl_member *members, size_t count, uint8_t *out,
					size_t *out_len)
{
	return encode_object(members, count, false, out, out_len);
}

envl_status
envl_policy_encode(envl_member *members, size_t count, uint8_t *out,
				   size_t *out_len)
{
	return encode_object(members, count, true, out, out_len);
}

/* Steps over the byte if it is next. */
static bool
skip_byte(envl_reader *reader, uint8_t byte)
{
	if (envl_reader_left(reader) == 0 || *reader->next != byte)
		return false;
	reader->next++;
	return true;
}

/* Steps over the text if it is next. */
static bool
skip_text(envl_reader *reader, envl_view text)
{
	if (envl_reader_left(reader) < text.len ||
		memcmp(reader->next, text.data, text.len) != 0)
		return false;
	reader->next += text.len;
	return true;
}

/* Steps over what follows a backslash. */
static bool
skip_escape(envl_reader *reader)
{
	uint8_t		letter;
	uint8_t		high;
	uint8_t		low;
	const char *digit;

	if (!envl_read_u8(reader, &letter))
		return false;
	if (letter != 'u')
		return letter != 0 && escape_letter(escaped_byte(letter)) == letter;
	if (!skip_text(reader, ENVL_LITERAL("00")) ||
		!envl_read_u8(reader, &high) || !envl_read_u8(reader, &low) ||
		(high != '0' && high != '1') || low == 0)
		return false;

	/* Lower case, and no character that has an escape of its own. */
	digit = strchr(hex_digits, low);
	return digit != NULL &&
		escape_letter((uint8_t) ((high - '0') << 4 |
								 (digit - hex_digits))) == 0;
}

/* Reads a string; content is what is between the quotes. */
static bool
read_string(envl_reader *reader, envl_view *content)
{
	const uint8_t *start;

	if (!skip_byte(reader, '"'))
		return false;
	start = reader->next;
	for (;;)
	{
		size_t		left = envl_reader_left(reader);
		size_t		len = plain_len(reader->next, left);

		reader->next += len;
		left -= len;
		if (left == 0 || *reader->next < 0x20)
			return false;
		if (skip_byte(reader, '"'))
			break;
		if (skip_byte(reader, '\\'))
		{
			if (!skip_escape(reader))
				return false;
			continue;
		}
		len = utf8_character_len(reader->next, left);
		if (len == 0)
			return false;
		reader->next += len;
	}
	content->data = start;
	content->len = (size_t) (reader->next - 1 - start);
	return true;
}

/* Steps over an integer: no leading zero, no -0, within the range. */
static bool
skip_integer(envl_reader *reader)
{
	bool		negative = skip_byte(reader, '-');
	const uint8_t *start = reader->next;
	int64_t		value = 0;
	size_t		digits = 0;

	while (envl_reader_left(reader) > 0 && digits <= INTEGER_DIGITS &&
		   *reader->next >= '0' && *reader->next <= '9')
	{
		value = value * 10 + (*reader->next++ - '0');
		digits++;
	}
	if (digits == 0 || value > ENVL_INTEGER_MAX)
		return false;
	return *start != '0' || (digits == 1 && !negative);
}

static bool
read_member(envl_reader *reader, bool policy, spelled_member *member)
{
	envl_view	string;
	const uint8_t *start;

	if (!read_string(reader, &member->name) || !skip_byte(reader, ':'))
		return false;
	start = reader->next;
	if (!read_string(reader, &string) &&
		(reader->next != start ||
		 (!skip_text(reader, ENVL_LITERAL("true")) &&
		  !skip_text(reader, ENVL_LITERAL("false")) &&
		  !(policy && skip_text(reader, ENVL_LITERAL("null"))) &&
		  !skip_integer(reader))))
		return false;
	member->value.data = start;
	member->value.len = (size_t) (reader->next - start);
	return true;
}

static envl_status
validate_object(envl_view object, bool policy)
{
	envl_reader reader = envl_reader_over(object);
	spelled_member member;
	envl_view	previous = {NULL, 0};

	if (object.len > ENVL_CONTEXT_MAX)
		return ENVL_CONTEXT_TOO_LONG;
	if (!skip_byte(&reader, '{'))
		return ENVL_MALFORMED;
	if (!skip_byte(&reader, '}'))
	{
		do
		{
			if (!read_member(&reader, policy, &member))
				return ENVL_MALFORMED;
			if (previous.data != NULL &&
				spelled_order(previous, member.name) >= 0)
				return ENVL_MALFORMED;
			previous = member.name;
		} while (skip_byte(&reader, ','));
		if (!skip_byte(&reader, '}'))
			return ENVL_MALFORMED;
	}
	return envl_reader_left(&reader) == 0 ? ENVL_OK : ENVL_MALFORMED;
}

envl_status
envl_context_validate(envl_view context)
{
	return validate_object(context, false);
}

/* Behind a string that is known to be canonical; next is at its quote. */
static const uint8_t *
string_end(const uint8_t *next, const uint8_t *end)
{
	next++;
	while (next < end)
	{
		next += plain_len(next, (size_t) (end - next));
		if (next == end || *next == '"')
			break;
		next += *next == '\\' && end - next > 1 ? 2 : 1;
	}
	return next < end ? next + 1 : end;
}

/*
 * Reads the next member of an object that is known to be canonical, from its
 * brace or comma on: what is in its strings was checked when it was made.
 */
static bool
next_member(envl_reader *reader, spelled_member *member)
{
	const uint8_t *end = reader->end;
	const uint8_t *name;
	const uint8_t *value;
	const uint8_t *next;

	if (envl_reader_left(reader) <= MEMBER_MIN)
		return false;
	name = reader->next + 1;
	next = string_end(name, end);
	if (next == end)
		return false;
	value = next + 1;
	member->name = (envl_view) {name + 1, (size_t) (next - name) - 2};
	next = value;
	if (next < end && *next == '"')
		next = string_end(next, end);
	while (next < end && *next != ',' && *next != '}')
		next++;
	member->value = (envl_view) {value, (size_t) (next - value)};
	reader->next = next;
	return true;
}

/* What one member of a policy says of the context's, which has its name. */
static envl_status
check_policy_member(const spelled_member *wanted, const spelled_member *given)
{
	if (envl_view_equal(given->value, ENVL_LITERAL("\"\"")))
		return ENVL_CONTEXT_EMPTY_MEMBER;
	if (!envl_view_equal(wanted->value, ENVL_LITERAL("null")) &&
		!envl_view_equal(wanted->value, given->value))
		return ENVL_CONTEXT_PINNED;
	return ENVL_OK;
}

envl_status
envl_policy_check(envl_view policy, envl_view context, envl_view *member)
{
	*member = (envl_view) {NULL, 0};
	if (validate_object(policy, true) != ENVL_OK ||
		validate_object(context, false) != ENVL_OK)
		return ENVL_MALFORMED;
	return envl_policy_compare(policy, context, member);
}

envl_status
envl_policy_compare(envl_view policy, envl_view context, envl_view *member)
{
	const envl_view empty = ENVL_LITERAL("{}");
	envl_reader wants = envl_reader_over(policy);
	envl_reader has = envl_reader_over(context);
	spelled_member wanted;
	spelled_member given;

	*member = (envl_view) {NULL, 0};
	if (envl_view_equal(context, empty) && !envl_view_equal(policy, empty))
		return ENVL_CONTEXT_EMPTY;

	/* Both are in the same order: one walk over each. */
	while (next_member(&wants, &wanted))
	{
		envl_status status = ENVL_CONTEXT_MISSING;

		while (status == ENVL_CONTEXT_MISSING && next_member(&has, &given))
		{
			if (envl_view_equal(wanted.name, given.name))
				status = check_policy_member(&wanted, &given);
		}
		if (status != ENVL_OK)
		{
			*member = wanted.name;
			return status;
		}
	}
	return ENVL_OK;
}
