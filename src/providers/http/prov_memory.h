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

/*
 * Like malloc, calloc, realloc, strdup and free.  Do not mix them with those.
 */
extern void *prov_memory_alloc(size_t size);
extern void *prov_memory_zeroed(size_t count, size_t size);
extern void *prov_memory_resize(void *memory, size_t size);
extern char *prov_memory_copy(const char *text);
extern void prov_memory_free(void *memory);

/*
 * Makes libcrypto use them too, since its buffers hold what TLS has decrypted.
 * Call it before libcrypto allocates anything.
 */
extern void prov_memory_install(void);

#endif							/* PROV_MEMORY_H */
