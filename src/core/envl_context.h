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

/* The largest integer, 2^53 - 1: what JSON of any kind keeps exactly. */
#define ENVL_INTEGER_MAX INT64_C(9007199254740991)

typedef enum envl_member_type
{
	ENVL_MEMBER_STRING,
	ENVL_MEMBER_INTEGER,
	ENVL_MEMBER_BOOLEAN,
	ENVL_MEMBER_ANY				/* null: in a policy only */
} envl_member_type;

/* One member as the caller knows it: nothing escaped yet. */
typedef struct envl_member
{
	envl_view	name;			/* UTF-8, checked here */
	envl_member_type type;
	envl_view	string;			/* ENVL_MEMBER_STRING: UTF-8, checked here */
	int64_t		integer;		/* ENVL_MEMBER_INTEGER */
	bool		boolean;		/* ENVL_MEMBER_BOOLEAN */
} envl_member;

/*
 * Writes the canonical bytes of count members into out, which holds
 * ENVL_CONTEXT_MAX bytes.  Sorts the caller's array.  On failure *out_len is
 * 0 and out unspecified.
 */
extern envl_status envl_context_encode(envl_member *members, size_t count,
									   uint8_t *out,
									   size_t *out_len) ENVL_MUST_CHECK;

/* The same for a policy: ENVL_MEMBER_ANY is allowed. */
extern envl_status envl_policy_encode(envl_member *members, size_t count,
									  uint8_t *out,
									  size_t *out_len) ENVL_MUST_CHECK;

/*
 * Whether bytes are the canonical form of a context: ENVL_OK,
 * ENVL_CONTEXT_TOO_LONG, or ENVL_MALFORMED.  Any other spelling of the same
 * object is ENVL_MALFORMED.
 */
extern envl_status envl_context_validate(envl_view context) ENVL_MUST_CHECK;

/*
 * Whether a canonical context satisfies a canonical policy: ENVL_OK,
 * ENVL_CONTEXT_EMPTY ({} while the policy names members),
 * ENVL_CONTEXT_MISSING, ENVL_CONTEXT_PINNED, ENVL_CONTEXT_EMPTY_MEMBER, or
 * ENVL_MALFORMED if either is not canonical.  A context of {} satisfies only
 * a policy of {}.  On MISSING, PINNED and EMPTY_MEMBER *member is the
 * member's name in its escaped form, a view into policy, for the message:
 * names are not secret, values are.
 */
extern envl_status envl_policy_check(envl_view policy, envl_view context,
									 envl_view *member) ENVL_MUST_CHECK;

/*
 * The same for a policy and a context that are known to be canonical, because
 * they were made by envl_policy_encode and envl_context_encode: half the cost
 * for whoever checks one context per value.  Of other bytes it reads nothing
 * outside the views, but its answer means nothing.
 */
extern envl_status envl_policy_compare(envl_view policy, envl_view context,
									   envl_view *member) ENVL_MUST_CHECK;

/* Whether bytes are valid UTF-8 (RFC 3629: no surrogates, no overlongs). */
extern bool envl_utf8_valid(envl_view bytes);

#endif							/* ENVL_CONTEXT_H */
