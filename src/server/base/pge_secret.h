/*
 * pge_secret.h
 *	  Memory for keys: not in core dumps or children, if possible not in swap.
 *
 * The server side keeps secrets only here, in an envl_key on the stack for the
 * length of a call, or in libcrypto's own contexts.  Locking pages is best
 * effort: a container's limit may be 64 kB, and a server that does not start
 * protects nothing.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SECRET_H
#define PGE_SECRET_H

/* Zeroed memory shared with every process forked later, for ever. */
extern void *pge_secret_map_shared(Size size, bool *locked);

/*
 * Zeroed memory of this process alone; a forked child sees zeroes.  Raises
 * 53200 if there is none.
 */
extern void *pge_secret_new(Size size);

/* Wipes and frees memory from pge_secret_new(size). */
extern void pge_secret_delete(void *secret, Size size);

#endif							/* PGE_SECRET_H */
