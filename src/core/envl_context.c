/*
 * envl_context.c
 *	  The encryption context: canonical bytes, and what a key requires.
 *
 * Writing makes the one canonical form, and reading accepts nothing else, in
 * one pass over the bytes.  So two contexts are equal exactly if their bytes
 * are.  A name or a string has one escaped spelling, so member names can be
 * compared as they are spelled.  Members are ordered by their unescaped names
 * (RFC 8785, section 3.2.3).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_context.h"
#include "envl_string.h"

#define INTEGER_DIGITS 16

/*
 * Orders two names by their first bytes that differ: negative or positive.
 * The order is that of UTF-16 code units.  In UTF-8 that is the order of the
 * bytes, except for the characters beyond U+FFFF (lead byte from 0xF0): their
 * surrogates sort before U+E000 to U+FFFF (lead byte 0xEE or 0xEF).  The first
 * bytes that differ are either both lead bytes or neither is.
 */
static int
compare_bytes(uint8_t x, uint8_t y)
{
	if (x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0))
		return x >= 0xF0 ? -1 : 1;
	return x < y ? -1 : 1;
}

/* Orders names: negative, zero or positive. */
static int
compare_names(envl_view a, envl_view b)
{
	for (size_t i = 0; i < a.len && i < b.len; i++)
	{
		if (a.data[i] != b.data[i])
			return compare_bytes(a.data[i], b.data[i]);
	}
	return (a.len > b.len) - (a.len < b.len);
}

/* Orders names that are still escaped. */
static int
compare_spelled(envl_view a, envl_view b)
{
	envl_reader left = envl_reader_over(a);
	envl_reader right = envl_reader_over(b);

	while (envl_reader_left(&left) > 0 && envl_reader_left(&right) > 0)
	{
		uint8_t		x = envl_string_next_byte(&left);
		uint8_t		y = envl_string_next_byte(&right);

		if (x != y)
			return compare_bytes(x, y);
	}
	return (envl_reader_left(&left) > 0) - (envl_reader_left(&right) > 0);
}

/* Checks one member, and adds the unescaped length of its strings. */
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
 * Insertion sort: a context has few members, and never more than fit into
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
			if (compare_names(members[place - 1].name, moving.name) <= 0)
				break;
			members[place] = members[place - 1];
		}
		members[place] = moving;
	}
}

static void
write_decimal(envl_writer *writer, int64_t integer)
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
			envl_string_write(writer, member->string);
			break;
		case ENVL_MEMBER_INTEGER:
			write_decimal(writer, member->integer);
			break;
		case ENVL_MEMBER_BOOLEAN:
			envl_write_view(writer, member->boolean ? yes : no);
			break;
		case ENVL_MEMBER_ANY:
			envl_write_view(writer, ENVL_LITERAL("null"));
			break;
	}
}

/*
 * The writer's buffer is contiguous, so a view of what was written is valid
 * unless the writer has failed.
 */
static void
write_member(envl_writer *writer, const envl_member *member,
			 envl_spelled *spelled)
{
	const uint8_t *start = writer->next;

	envl_string_write(writer, member->name);
	spelled->name = (envl_view) {start + 1,
								(size_t) (writer->next - start) - 2};
	envl_write_u8(writer, ':');
	start = writer->next;
	write_value(writer, member);
	spelled->value = (envl_view) {start, (size_t) (writer->next - start)};
}

static envl_status
encode_object(envl_member *members, size_t count, uint8_t *out,
			  size_t *out_len, envl_spelled *spelled)
{
	envl_writer writer = envl_writer_into(out, ENVL_CONTEXT_MAX);

	envl_write_u8(&writer, '{');
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0 && envl_view_equal(members[i - 1].name, members[i].name))
			return ENVL_CONTEXT_DUPLICATE;
		if (i > 0)
			envl_write_u8(&writer, ',');
		write_member(&writer, &members[i], &spelled[i]);
	}
	envl_write_u8(&writer, '}');
	if (!envl_writer_ok(&writer))
		return ENVL_CONTEXT_TOO_LONG;
	*out_len = envl_writer_len(&writer);
	return ENVL_OK;
}

/* Checks the members and sorts them. */
static envl_status
prepare_members(envl_member *members, size_t count, bool policy)
{
	size_t		raw_len = 0;

	if (count > ENVL_MEMBERS_MAX)
		return ENVL_CONTEXT_TOO_LONG;
	for (size_t i = 0; i < count; i++)
	{
		envl_status status = check_member(&members[i], policy, &raw_len);

		if (status != ENVL_OK)
			return status;
	}
	sort_members(members, count);
	return ENVL_OK;
}

envl_status
envl_context_encode(envl_member *members, size_t count, uint8_t *out,
					size_t *out_len, envl_spelled *spelled)
{
	envl_status status = prepare_members(members, count, false);

	*out_len = 0;
	return status != ENVL_OK ?
		status :
		encode_object(members, count, out, out_len, spelled);
}

envl_status
envl_policy_encode(envl_member *members, size_t count, uint8_t *out,
				   size_t *out_len, envl_spelled *spelled)
{
	envl_status status = prepare_members(members, count, true);

	*out_len = 0;
	return status != ENVL_OK ?
		status :
		encode_object(members, count, out, out_len, spelled);
}

/* Skips the byte if it comes next. */
static bool
skip_byte(envl_reader *reader, uint8_t byte)
{
	if (envl_reader_left(reader) == 0 || *reader->next != byte)
		return false;
	reader->next++;
	return true;
}

/* Skips the text if it comes next. */
static bool
skip_text(envl_reader *reader, envl_view text)
{
	if (envl_reader_left(reader) < text.len ||
		memcmp(reader->next, text.data, text.len) != 0)
		return false;
	reader->next += text.len;
	return true;
}

/* Skips an integer: no leading zero, no -0, within the range. */
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
read_member(envl_reader *reader, bool policy, envl_spelled *member)
{
	envl_view	string;
	const uint8_t *start;

	if (!envl_string_read(reader, &member->name) || !skip_byte(reader, ':'))
		return false;
	start = reader->next;
	if (!envl_string_read(reader, &string) &&
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

/*
 * Strictly ascending order also rules out duplicates.  Each member takes at
 * least five bytes, so there is room for all.
 */
static envl_status
read_object(envl_view object, bool policy, envl_spelled *spelled,
			size_t *count)
{
	envl_reader reader = envl_reader_over(object);

	*count = 0;
	if (object.len > ENVL_CONTEXT_MAX)
		return ENVL_CONTEXT_TOO_LONG;
	if (!skip_byte(&reader, '{'))
		return ENVL_MALFORMED;
	if (!skip_byte(&reader, '}'))
	{
		do
		{
			envl_spelled *member = &spelled[*count];

			if (!read_member(&reader, policy, member) ||
				(*count > 0 &&
				 compare_spelled(member[-1].name, member->name) >= 0))
				return ENVL_MALFORMED;
			(*count)++;
		} while (skip_byte(&reader, ','));
		if (!skip_byte(&reader, '}'))
			return ENVL_MALFORMED;
	}
	return envl_reader_left(&reader) == 0 ? ENVL_OK : ENVL_MALFORMED;
}

envl_status
envl_context_read(envl_view context, envl_spelled *spelled, size_t *count)
{
	return read_object(context, false, spelled, count);
}

envl_status
envl_policy_read(envl_view policy, envl_spelled *spelled, size_t *count)
{
	return read_object(policy, true, spelled, count);
}

envl_status
envl_context_validate(envl_view context)
{
	envl_spelled spelled[ENVL_MEMBERS_MAX];
	size_t		count;

	return read_object(context, false, spelled, &count);
}

/* Checks a context's member against the policy's member of the same name. */
static envl_status
check_member_policy(const envl_spelled *wanted, const envl_spelled *given)
{
	if (envl_view_equal(given->value, ENVL_LITERAL("\"\"")))
		return ENVL_CONTEXT_EMPTY_MEMBER;
	if (!envl_view_equal(wanted->value, ENVL_LITERAL("null")) &&
		!envl_view_equal(wanted->value, given->value))
		return ENVL_CONTEXT_PINNED;
	return ENVL_OK;
}

envl_status
envl_policy_check(const envl_spelled *policy, size_t policy_count,
				  const envl_spelled *context, size_t context_count,
				  envl_view *member)
{
	size_t		at = 0;

	*member = (envl_view) {NULL, 0};
	if (context_count == 0 && policy_count > 0)
		return ENVL_CONTEXT_EMPTY;

	/* Both are sorted alike: walk over each once. */
	for (size_t i = 0; i < policy_count; i++)
	{
		envl_status status = ENVL_CONTEXT_MISSING;

		for (; status == ENVL_CONTEXT_MISSING && at < context_count; at++)
		{
			if (envl_view_equal(policy[i].name, context[at].name))
				status = check_member_policy(&policy[i], &context[at]);
		}
		if (status != ENVL_OK)
		{
			*member = policy[i].name;
			return status;
		}
	}
	return ENVL_OK;
}
