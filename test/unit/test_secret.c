/*
 * test_secret.c
 *	  Wiping, and comparison of secrets.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_secret.h"
#include "unit.h"

int
main(void)
{
	uint8_t		a[33];
	uint8_t		b[33];

	memset(a, 0x5A, sizeof(a));
	envl_wipe(a, 32);
	ok(all_zero(a, 32), "a wipe overwrites");
	is(a[32], 0x5A, "and stops where it was told");
	envl_wipe(NULL, 0);
	ok(true, "nothing can be wiped");

	memset(a, 0x5A, sizeof(a));
	memcpy(b, a, sizeof(b));
	ok(envl_secret_equal(a, b, sizeof(a)), "equal");
	for (size_t i = 0; i < sizeof(a); i += 16)
	{
		b[i] ^= 0x80;
		ok(!envl_secret_equal(a, b, sizeof(a)), "byte %zu differs", i);
		ok(envl_secret_equal(a, b, i), "the %zu before it do not", i);
		b[i] ^= 0x80;
	}
	ok(envl_secret_equal(NULL, NULL, 0), "nothing equals nothing");
	return done_testing();
}
