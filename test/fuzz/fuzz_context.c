/*
 * fuzz_context.c
 *	  Any bytes as a canonical context, as members to encode, and as a policy
 *	  with a context.
 *
 * The three readings are independent of one another.  What validates is read
 * here by a parser of its own, as simple as it can be for bytes that are known
 * to be canonical, and has to encode to itself.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_context.h"
#include "core/envl_string.h"
#include "fuzz.h"

/* More than any context holds, so that the encoder's limit is reached. */
#define MEMBERS_MAX 1024

/* What the encoder spells; nobody reads it but the test of what it is. */
static envl_spelled spelled[MEMBERS_MAX];

/* Members and the unescaped bytes of their names and strings. */
typedef struct member_list
{
	size_t		count;
	envl_member members[MEMBERS_MAX];
	size_t		used;
	uint8_t		bytes[ENVL_CONTEXT_MAX];
} member_list;

/* The character an escape stands for, all of them below U+0080. */
static uint8_t
unescape(envl_reader *reader)
{
	static const char letters[] = "btnfr";
	static const char values[] = "\b\t\n\f\r";
	uint8_t		letter = *reader->next++;
	const char *found = strchr(letters, letter);
	char		digits[5] = {0};

	if (found != NULL)
		return (uint8_t) values[found - letters];
	if (letter != 'u')
		return letter;
	memcpy(digits, reader->next, 4);
	reader->next += 4;
	return (uint8_t) strtoul(digits, NULL, 16);
}

/* Reads a string of a canonical object into the list's bytes. */
static envl_view
take_string(envl_reader *reader, member_list *list)
{
	envl_view	string = {list->bytes + list->used, 0};

	for (reader->next++; *reader->next != '"';)
	{
		uint8_t		byte = *reader->next++;

		if (byte == '\\')
			byte = unescape(reader);
		CHECK(list->used < sizeof(list->bytes));
		list->bytes[list->used++] = byte;
		string.len++;
	}
	reader->next++;
	return string;
}

static void
take_value(envl_reader *reader, member_list *list, envl_member *member)
{
	char		digits[24] = {0};
	size_t		len = 0;

	switch (*reader->next)
	{
		case '"':
			member->type = ENVL_MEMBER_STRING;
			member->string = take_string(reader, list);
			break;
		case 't':
		case 'f':
			member->type = ENVL_MEMBER_BOOLEAN;
			member->boolean = *reader->next == 't';
			reader->next += member->boolean ? 4 : 5;
			break;
		default:
			member->type = ENVL_MEMBER_INTEGER;
			while (*reader->next != ',' && *reader->next != '}')
			{
				CHECK(len < sizeof(digits) - 1);
				digits[len++] = (char) *reader->next++;
			}
			member->integer = strtoll(digits, NULL, 10);
	}
}

/* The members of a canonical context. */
static void
take_members(envl_view context, member_list *list)
{
	envl_reader reader = envl_reader_over(context);

	list->count = list->used = 0;
	for (reader.next++; *reader.next != '}';)
	{
		envl_member *member = &list->members[list->count++];

		CHECK(list->count <= MEMBERS_MAX);
		memset(member, 0, sizeof(*member));
		member->name = take_string(&reader, list);
		CHECK(*reader.next == ':');
		reader.next++;
		take_value(&reader, list, member);
		if (*reader.next == ',')
			reader.next++;
	}
	CHECK(envl_reader_left(&reader) == 1);
}

/* Whether a required member that is an empty string is among them. */
static bool
has_empty_string(const member_list *list)
{
	for (size_t i = 0; i < list->count; i++)
	{
		if (list->members[i].type == ENVL_MEMBER_STRING &&
			list->members[i].string.len == 0)
			return true;
	}
	return false;
}

/* Reads a policy and a context, and checks the one against the other. */
static envl_status
read_and_check(envl_view policy, envl_view context, envl_view *member)
{
	static envl_spelled wanted[ENVL_MEMBERS_MAX];
	static envl_spelled given[ENVL_MEMBERS_MAX];
	size_t		wanted_count;
	size_t		given_count;

	*member = (envl_view) {NULL, 0};
	if (envl_policy_read(policy, wanted, &wanted_count) != ENVL_OK ||
		envl_context_read(context, given, &given_count) != ENVL_OK)
		return ENVL_MALFORMED;
	return envl_policy_check(wanted, wanted_count, given, given_count, member);
}

/* Contexts and policies that are this context, but for one thing. */
static void
check_policies(envl_view context, member_list *list)
{
	static uint8_t policy_bytes[ENVL_CONTEXT_MAX];
	envl_view	policy = {policy_bytes, 0};
	envl_view	member;
	bool		empty_string = has_empty_string(list);
	envl_status own = empty_string ? ENVL_CONTEXT_EMPTY_MEMBER : ENVL_OK;

	CHECK(read_and_check(context, context, &member) == own);
	CHECK(read_and_check(ENVL_LITERAL("{}"), context,
						 &member) == ENVL_OK);
	if (list->count == 0)
		return;
	CHECK(read_and_check(context, ENVL_LITERAL("{}"),
						 &member) == ENVL_CONTEXT_EMPTY);

	/* null is longer than some values, so it may not fit. */
	for (size_t i = 0; i < list->count; i++)
		list->members[i].type = ENVL_MEMBER_ANY;
	if (envl_policy_encode(list->members, list->count, policy_bytes,
						   &policy.len, spelled) == ENVL_OK)
	{
		CHECK(read_and_check(policy, context, &member) == own);
		CHECK(envl_context_validate(policy) == ENVL_MALFORMED);
	}
	if (list->count > 1 &&
		envl_policy_encode(list->members, list->count - 1, policy_bytes,
						   &policy.len, spelled) == ENVL_OK)
	{
		envl_status status = read_and_check(policy, context, &member);

		CHECK(status == ENVL_OK || status == own);
		list->members[0].type = ENVL_MEMBER_BOOLEAN;
		CHECK(envl_context_encode(list->members, 1, policy_bytes,
								  &policy.len, spelled) == ENVL_OK);
		status = read_and_check(context, policy, &member);
		CHECK(status == ENVL_CONTEXT_MISSING ||
			  status == ENVL_CONTEXT_PINNED);
	}
}

static void
try_canonical(envl_view context)
{
	static member_list list;
	static uint8_t again[ENVL_CONTEXT_MAX];
	static envl_spelled found[ENVL_MEMBERS_MAX];
	size_t		again_len;
	size_t		found_count;
	envl_status status = envl_context_validate(context);

	CHECK((status == ENVL_CONTEXT_TOO_LONG) ==
		  (context.len > ENVL_CONTEXT_MAX));
	CHECK(status == ENVL_OK || status == ENVL_MALFORMED ||
		  status == ENVL_CONTEXT_TOO_LONG);
	if (status != ENVL_OK)
		return;
	CHECK(envl_utf8_valid(context));
	take_members(context, &list);

	/* In the opposite order, because encoding has to sort. */
	for (size_t i = 0; i < list.count / 2; i++)
	{
		envl_member moving = list.members[i];

		list.members[i] = list.members[list.count - 1 - i];
		list.members[list.count - 1 - i] = moving;
	}
	CHECK(envl_context_encode(list.members, list.count, again,
							  &again_len, spelled) == ENVL_OK);
	CHECK(envl_view_equal((envl_view) {again, again_len}, context));
	CHECK(envl_context_read(context, found, &found_count) == ENVL_OK);
	CHECK(found_count == list.count);
	for (size_t i = 0; i < found_count; i++)
		CHECK(envl_view_equal(found[i].name, spelled[i].name) &&
			  envl_view_equal(found[i].value, spelled[i].value));
	check_policies(context, &list);
}

/* A byte for the type, two lengths of a byte, an integer where it is one. */
static bool
read_member(envl_reader *reader, envl_member *member)
{
	uint8_t		type;
	uint8_t		name_len;
	uint8_t		value_len;
	envl_view	value;

	memset(member, 0, sizeof(*member));
	if (!envl_read_u8(reader, &type) || !envl_read_u8(reader, &name_len) ||
		!envl_read_u8(reader, &value_len) ||
		!envl_read_view(reader, name_len, &member->name) ||
		!envl_read_view(reader, value_len, &value))
		return false;
	member->type = type % 4;
	member->string = value;
	member->boolean = (type & 0x80) != 0;
	for (size_t i = 0; i < value.len && i < sizeof(member->integer); i++)
		member->integer = (int64_t) ((uint64_t) member->integer << 8 |
									 value.data[i]);
	return true;
}

static void
try_members(envl_view input)
{
	static envl_member members[MEMBERS_MAX];
	envl_reader reader = envl_reader_over(input);
	uint8_t    *out = fuzz_alloc(ENVL_CONTEXT_MAX);
	envl_view	encoded = {out, 0};
	envl_view	member;
	size_t		count = 0;
	envl_status status;

	while (count < MEMBERS_MAX && read_member(&reader, &members[count]))
		count++;
	status = envl_context_encode(members, count, out, &encoded.len, spelled);
	if (status == ENVL_OK)
		CHECK(envl_context_validate(encoded) == ENVL_OK);
	else
		CHECK(encoded.len == 0);

	status = envl_policy_encode(members, count, out, &encoded.len, spelled);
	if (status == ENVL_OK)
	{
		status = read_and_check(encoded, ENVL_LITERAL("{\"x\":1}"),
								&member);
		CHECK(status != ENVL_MALFORMED);
	}
	free(out);
}

static void
try_policy(envl_view input)
{
	envl_reader reader = envl_reader_over(input);
	envl_view	policy = fuzz_next_field(&reader, '\n');
	envl_view	context = fuzz_next_field(&reader, '\n');
	envl_view	member;
	envl_status status = read_and_check(policy, context, &member);
	bool		named = status == ENVL_CONTEXT_MISSING ||
		status == ENVL_CONTEXT_PINNED || status == ENVL_CONTEXT_EMPTY_MEMBER;

	CHECK(named == (member.data != NULL));
	if (named)
		CHECK(member.data > policy.data &&
			  member.data + member.len < policy.data + policy.len);
	if (status != ENVL_MALFORMED)
		CHECK(envl_context_validate(context) == ENVL_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};

	try_canonical(input);
	try_members(input);
	try_policy(input);
	return 0;
}
