/*
 * envl_context.h
 *	  The encryption context: canonical bytes, and what a key requires.
 *
 * A context is a flat JSON object of strings, integers within +-(2^53 - 1)
 * and booleans.  Its canonical bytes are RFC 8785 (JCS) restricted to that
 * subset, at most ENVL_CONTEXT_MAX: members ordered by the UTF-16 code units
 * of their names, shortest escapes, no white space.  They are what is bound
 * into a value (docs/format.md, section 5).
 *
 * A policy is what a key requires of a context: an object of the same form in
 * which null stands for "any value".  {"tenant":"acme","id":null} wants the
 * member tenant to be "acme" and the member id to be there.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_CONTEXT_H
#define ENVL_CONTEXT_H

#include "envl_bytes.h"

#define ENVL_CONTEXT_MAX 4096

/* The largest integer, 2^53 - 1, that every JSON parser keeps exactly. */
#define ENVL_INTEGER_MAX INT64_C(9007199254740991)

typedef enum envl_member_type
{
	ENVL_MEMBER_STRING,
	ENVL_MEMBER_INTEGER,
	ENVL_MEMBER_BOOLEAN,
	ENVL_MEMBER_ANY				/* null: in a policy only */
} envl_member_type;

/* One member as the caller has it, nothing escaped yet. */
typedef struct envl_member
{
	envl_view	name;			/* UTF-8, checked here */
	envl_member_type type;
	envl_view	string;			/* ENVL_MEMBER_STRING: UTF-8, checked here */
	int64_t		integer;		/* ENVL_MEMBER_INTEGER */
	bool		boolean;		/* ENVL_MEMBER_BOOLEAN */
} envl_member;

/*
 * A member as the canonical bytes spell it: views into them.  There is only
 * one spelling, so members are equal exactly if their bytes are.
 */
typedef struct envl_spelled
{
	envl_view	name;			/* escaped, without its quotes */
	envl_view	value;			/* a string with its quotes */
} envl_spelled;

/*
 * The most members of a canonical object: the shortest takes five bytes, "":0,
 */
#define ENVL_MEMBERS_MAX (ENVL_CONTEXT_MAX / 5)

/*
 * Writes the canonical bytes of count members into out, which holds
 * ENVL_CONTEXT_MAX bytes, and views of the members into spelled, which holds
 * count.  Sorts the caller's array.  On failure *out_len is 0, and out and
 * spelled are unspecified.
 */
extern envl_status envl_context_encode(envl_member *members, size_t count,
									   uint8_t *out, size_t *out_len,
									   envl_spelled *spelled) ENVL_MUST_CHECK;

/* As envl_context_encode, for a policy: ENVL_MEMBER_ANY is allowed. */
extern envl_status envl_policy_encode(envl_member *members, size_t count,
									  uint8_t *out, size_t *out_len,
									  envl_spelled *spelled) ENVL_MUST_CHECK;

/*
 * Reads canonical bytes.  Any other spelling of the same object is
 * ENVL_MALFORMED; the only other failure is ENVL_CONTEXT_TOO_LONG.  spelled
 * holds ENVL_MEMBERS_MAX; on failure spelled and *count are unspecified.
 */
extern envl_status envl_context_read(envl_view context, envl_spelled *spelled,
									 size_t *count) ENVL_MUST_CHECK;
extern envl_status envl_policy_read(envl_view policy, envl_spelled *spelled,
									size_t *count) ENVL_MUST_CHECK;

/*
 * Checks that bytes are the canonical form of a context; fails as
 * envl_context_read does.
 */
extern envl_status envl_context_validate(envl_view context) ENVL_MUST_CHECK;

/*
 * Checks the members of a context against those of a policy.  Fails with
 * ENVL_CONTEXT_EMPTY (the context is empty, the policy is not),
 * ENVL_CONTEXT_MISSING, ENVL_CONTEXT_PINNED or ENVL_CONTEXT_EMPTY_MEMBER.  For
 * the last three *member is the name in the policy, for the message: names are
 * not secret, values are.
 */
extern envl_status envl_policy_check(const envl_spelled *policy,
									 size_t policy_count,
									 const envl_spelled *context,
									 size_t context_count,
									 envl_view *member) ENVL_MUST_CHECK;

#endif							/* ENVL_CONTEXT_H */
