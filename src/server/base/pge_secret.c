/*
 * pge_secret.c
 *	  Memory for keys: not in core dumps or children, if possible not in swap.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <sys/mman.h>

#include "base/pge_secret.h"
#include "core/envl_secret.h"

static void *
map_pages(Size size, int sharing, bool *locked)
{
	void	   *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
							 sharing | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map memory for keys: %m")));
	*locked = mlock(pages, size) == 0;
#ifdef MADV_DONTDUMP
	(void) madvise(pages, size, MADV_DONTDUMP);
#endif
	return pages;
}

void *
pge_secret_map_shared(Size size, bool *locked)
{
	void	   *pages = map_pages(size, MAP_SHARED, locked);

	if (!*locked)
		ereport(LOG,
				(errmsg("pgenvelope could not lock its key cache into memory: %m"),
				 errhint("Raise the limit on locked memory, or encrypt swap.")));
	return pages;
}

void *
pge_secret_new(Size size)
{
	bool		locked;
	void	   *pages = map_pages(size, MAP_PRIVATE, &locked);

#ifdef MADV_WIPEONFORK
	(void) madvise(pages, size, MADV_WIPEONFORK);
#endif
	return pages;
}

void
pge_secret_delete(void *secret, Size size)
{
	envl_wipe(secret, size);
	munmap(secret, size);
}
