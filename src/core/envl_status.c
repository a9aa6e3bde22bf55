/*
 * envl_status.c
 *	  Outcomes of the core's functions, as stable words.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "envl_status.h"

const char *
envl_status_name(envl_status status)
{
	/* No default label, so that the compiler warns of a missing value. */
	switch (status)
	{
		case ENVL_OK:
			return "ok";
		case ENVL_MALFORMED:
			return "malformed";
		case ENVL_UNSUPPORTED:
			return "unsupported";
		case ENVL_LIMIT:
			return "limit";
		case ENVL_AUTHENTICATION:
			return "authentication";
		case ENVL_CRYPTO_FAILED:
			return "crypto_failed";
		case ENVL_CONTEXT_NOT_UTF8:
			return "context_not_utf8";
		case ENVL_CONTEXT_INTEGER:
			return "context_integer";
		case ENVL_CONTEXT_DUPLICATE:
			return "context_duplicate";
		case ENVL_CONTEXT_TOO_LONG:
			return "context_too_long";
		case ENVL_CONTEXT_EMPTY:
			return "context_empty";
		case ENVL_CONTEXT_MISSING:
			return "context_missing";
		case ENVL_CONTEXT_PINNED:
			return "context_pinned";
		case ENVL_CONTEXT_EMPTY_MEMBER:
			return "context_empty_member";
	}
	return "unrecognized";
}
