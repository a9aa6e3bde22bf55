/*
 * envl_status.h
 *	  Outcomes of the core's functions.
 *
 * Every fallible function of the core returns one of these and is marked
 * ENVL_MUST_CHECK.  The core never formats text for people: the server turns
 * a status into a message and an SQLSTATE in exactly one place.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_STATUS_H
#define ENVL_STATUS_H

#define ENVL_MUST_CHECK __attribute__((warn_unused_result))

typedef enum envl_status
{
	ENVL_OK = 0,

	/* Structure: the bytes are not what they claim. */
	ENVL_MALFORMED,				/* no well-formed value, context or JWE */
	ENVL_UNSUPPORTED,			/* another version's format, suite or flag */
	ENVL_LIMIT,					/* longer than the format allows */

	/* Cryptography. */
	ENVL_AUTHENTICATION,		/* altered, another context, or another key */
	ENVL_CRYPTO_FAILED,			/* libcrypto refused to work */

	/* Encryption context, docs/format.md section 5. */
	ENVL_CONTEXT_NOT_UTF8,		/* a name or string is not valid UTF-8 */
	ENVL_CONTEXT_INTEGER,		/* an integer is outside +-(2^53 - 1) */
	ENVL_CONTEXT_DUPLICATE,		/* a member occurs twice */
	ENVL_CONTEXT_TOO_LONG,		/* more than ENVL_CONTEXT_MAX bytes */
	ENVL_CONTEXT_EMPTY,			/* {} where the key requires members */
	ENVL_CONTEXT_MISSING,		/* a required member is absent */
	ENVL_CONTEXT_PINNED,		/* a pinned member has another value */
	ENVL_CONTEXT_EMPTY_MEMBER	/* a required member is an empty string */
} envl_status;

/* The status as a short stable word for tests and vectors: "malformed". */
extern const char *envl_status_name(envl_status status);

#endif							/* ENVL_STATUS_H */
