/*
 * prov_memory.c
 *	  Memory that is wiped when it is freed.
 *
 * free is not given a block's size, so the size is kept in front of the block.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "core/envl_secret.h"

/* Keeps the block behind it aligned for any type. */
typedef union block
{
	size_t		size;			/* of the block behind it */
	max_align_t alignment;
} block;

static void *
crypto_alloc(size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return prov_memory_alloc(size);
}

static void *
crypto_resize(void *memory, size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return prov_memory_resize(memory, size);
}

static void
crypto_free(void *memory, const char *file, int line)
{
	(void) file;
	(void) line;
	prov_memory_free(memory);
}

void
prov_memory_install(void)
{
	(void) CRYPTO_set_mem_functions(crypto_alloc, crypto_resize, crypto_free);
}

void *
prov_memory_alloc(size_t size)
{
	block	   *made;

	if (size > SIZE_MAX - sizeof(block))
		return NULL;
	made = malloc(sizeof(block) + size);
	if (made == NULL)
		return NULL;
	made->size = size;
	return made + 1;
}

void *
prov_memory_zeroed(size_t count, size_t size)
{
	void	   *memory;

	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	memory = prov_memory_alloc(count * size);
	if (memory != NULL)
		memset(memory, 0, count * size);
	return memory;
}

void *
prov_memory_resize(void *memory, size_t size)
{
	void	   *larger = prov_memory_alloc(size);

	if (memory != NULL && larger != NULL)
	{
		size_t		kept = ((block *) memory - 1)->size;

		memcpy(larger, memory, kept < size ? kept : size);
		prov_memory_free(memory);
	}
	return larger;
}

char *
prov_memory_copy(const char *text)
{
	size_t		size = strlen(text) + 1;
	char	   *copy = prov_memory_alloc(size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

void
prov_memory_free(void *memory)
{
	block	   *freed;

	if (memory == NULL)
		return;
	freed = (block *) memory - 1;
	envl_wipe(memory, freed->size);
	free(freed);
}
