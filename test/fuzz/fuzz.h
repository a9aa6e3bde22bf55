/*
 * fuzz.h
 *	  What the fuzz targets share.
 *
 * A target is one file, fuzz_<name>.c, with one function.  It takes any bytes
 * and aborts where a promise of the headers in src/ is broken; the sanitizers
 * abort where memory is.  libFuzzer calls it, or replay.c with files.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/envl_bytes.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise; also where assertions are compiled out. */
#define CHECK(condition) \
	do \
	{ \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, \
					#condition); \
			abort(); \
		} \
	} while (0)

/* Memory of exactly len bytes, so that a byte beyond them is noticed. */
static inline void *
fuzz_alloc(size_t len)
{
	void	   *memory = malloc(len > 0 ? len : 1);

	CHECK(memory != NULL);
	return memory;
}

/* The bytes up to the separator, or all that are left; steps over both. */
static inline envl_view
fuzz_next_field(envl_reader *reader, uint8_t separator)
{
	envl_view	field = {reader->next, 0};

	while (reader->next < reader->end && *reader->next != separator)
		reader->next++;
	field.len = (size_t) (reader->next - field.data);
	if (reader->next < reader->end)
		reader->next++;
	return field;
}

#endif							/* FUZZ_H */
