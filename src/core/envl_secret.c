/*
 * envl_secret.c
 *	  Wiping, and comparison in constant time.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <openssl/crypto.h>

#include "envl_secret.h"

void
envl_wipe(void *memory, size_t len)
{
	if (len > 0)
		OPENSSL_cleanse(memory, len);
}

bool
envl_secret_equal(const void *a, const void *b, size_t len)
{
	return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}
