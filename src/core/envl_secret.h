/*
 * envl_secret.h
 *	  256-bit keys, wiping, and comparison in constant time.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_SECRET_H
#define ENVL_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVL_KEY_LEN 32

/* A root key, KEK or DEK.  The owner wipes it. */
typedef struct envl_key
{
	uint8_t		bytes[ENVL_KEY_LEN];
} envl_key;

/* Overwrites memory; no compiler removes the call. */
extern void envl_wipe(void *memory, size_t len);

/* Compares len bytes in a time that does not depend on their values. */
extern bool envl_secret_equal(const void *a, const void *b, size_t len);

#endif							/* ENVL_SECRET_H */
