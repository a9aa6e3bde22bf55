/*
 * pge_honey.h
 *	  Honey values: opening one raises an alert, and may lock the grant.
 *
 * A honey value looks like any other.  What makes it one is a row of
 * pgenvelope.honey with its mark, a MAC under the value's own DEK: a role that
 * cannot open the value cannot find out that the mark belongs to it.  The mark
 * is the same whatever version wraps the value, and in every copy of it.
 *
 * For keys with honey values, opening any value, honey or not, costs another
 * unwrap and a MAC.  For other keys it costs the test of a number.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_HONEY_H
#define PGE_HONEY_H

#include "context/pge_context.h"

/* A row of pgenvelope.honey, in the catalog's memory. */
typedef struct PgeHoney
{
	uint8		mark[ENVL_MARK_LEN];
	bool		locks;
	char	   *note;			/* or NULL */
} PgeHoney;

/* Whether a key may have honey values: cheap, and mostly not. */
static inline bool
pge_honey_applies(const PgeKey *key)
{
	return unlikely(key->honey == NULL || key->honey_count > 0);
}

/* The mark of a value; false fills in problem. */
extern bool pge_honey_mark(PgeKeyVersion *version,
						   const envl_envelope *envelope, uint8 *mark,
						   PgeProblem *problem);

/* Inserts a row, as the tables' owner; returns whether it is new. */
extern bool pge_honey_insert(uint64 key_id, const PgeHoney *honey);

/*
 * Raises the alert, and locks, if a value that was opened is honey.  False
 * fills in problem: the check failed.  Then, and if an error is raised, the
 * caller must discard what it has opened.
 */
extern bool pge_honey_heed(PgeKeyVersion *version, envl_view value,
						   PgeContext *context, PgeProblem *problem);

/*
 * Marks a value that was sealed anew, if the value that it was made from is
 * marked.  For jobs, which do not show the plaintext.  False fills in problem.
 */
extern bool pge_honey_carry(PgeKeyVersion *from, const envl_envelope *opened,
							PgeKeyVersion *to, envl_view sealed,
							PgeProblem *problem);

#endif							/* PGE_HONEY_H */
