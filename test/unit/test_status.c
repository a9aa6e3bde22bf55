/*
 * test_status.c
 *	  Every status has a word of its own.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "unit.h"

int
main(void)
{
	is_text(envl_status_name(ENVL_OK), "ok", "ok");
	is_text(envl_status_name(ENVL_CONTEXT_EMPTY_MEMBER),
			"context_empty_member", "the last one");
	for (int i = ENVL_OK; i <= ENVL_CONTEXT_EMPTY_MEMBER; i++)
	{
		const char *name = envl_status_name((envl_status) i);
		bool		unique = strcmp(name, "unrecognized") != 0;

		for (int j = ENVL_OK; j < i; j++)
			unique &= strcmp(name, envl_status_name((envl_status) j)) != 0;
		ok(unique, "%s is a word of its own", name);
	}
	is_text(envl_status_name((envl_status) 99), "unrecognized",
			"a number that is no status");
	return done_testing();
}
