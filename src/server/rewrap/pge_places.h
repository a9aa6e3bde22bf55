/*
 * pge_places.h
 *	  Finds where envelopes can be, from the catalogs and never from a list.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PLACES_H
#define PGE_PLACES_H

#include "rewrap/pge_census.h"

/*
 * Returns every table with a column of type envelope (domains, partitions and
 * inheritance children too), and everything else that may hold one:
 * materialized views, arrays, composites, ranges, foreign tables, other
 * sessions' temporary tables, tables whose UPDATEs are refused, constants in
 * defaults, constraints, rules, indexes, triggers, policies and functions.
 * Ordered by name.
 */
extern List *pge_places(void);

/* Does the same as of a snapshot, which must be the active one. */
extern List *pge_places_then(void);

#endif							/* PGE_PLACES_H */
