/*
 * prov_memory.h
 *	  Memory that is wiped when it is freed, for libraries that see secrets.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_MEMORY_H
#define PROV_MEMORY_H

#include <stddef.h>

/* As malloc, calloc, realloc, strdup and free; not to be mixed with those. */
extern void *prov_memory_alloc(size_t size);
extern void *prov_memory_zeroed(size_t count, size_t size);
extern void *prov_memory_resize(void *memory, size_t size);
extern char *prov_memory_copy(const char *text);
extern void prov_memory_free(void *memory);

/*
 * Has libcrypto use them too: its buffers hold what TLS has decrypted.  First
 * thing in a program, before libcrypto allocates anything.
 */
extern void prov_memory_install(void);

#endif							/* PROV_MEMORY_H */
