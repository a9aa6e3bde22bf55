/*
 * vector.h
 *	  Reads the files of test/vectors (see the README there).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef VECTOR_H
#define VECTOR_H

#include "core/envl_bytes.h"

typedef struct vector
{
	char		name[256];		/* directory/file */
	char	   *text;			/* the file; header lines end with a NUL */
	size_t		header_len;
	envl_view	body;			/* empty if there is none */
} vector;

/* Calls check for each vector of a directory; how many there are. */
extern size_t vectors_each(const char *directory,
						   void (*check)(const vector *v));

/* The value of a key, or NULL. */
extern const char *vector_field(const vector *v, const char *key);

/* The value of the next line with that key, behind that of previous. */
extern const char *vector_field_after(const vector *v, const char *key,
									  const char *previous);

/* The value of a key, which must be there; empty if it is not. */
extern envl_view vector_view(const vector *v, const char *key);

/* Whether the value of a key is "yes". */
extern bool vector_is(const vector *v, const char *key);

/* Decodes a hexadecimal value; exits if there is none or it is too long. */
extern envl_view vector_bytes(const vector *v, const char *key, uint8_t *out,
							  size_t size);

/* A number, decimal or (a key id) hexadecimal. */
extern uint64_t vector_number(const vector *v, const char *key, int base);

#endif							/* VECTOR_H */
