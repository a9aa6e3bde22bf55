/*
 * pge_places.h
 *	  Where envelopes can be, as the catalogs say: never from a list.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PLACES_H
#define PGE_PLACES_H

#include "rewrap/pge_census.h"

/*
 * Every table with a column of type envelope (domains, partitions and
 * inheritance children too), and every other thing that may hold one:
 * materialized views, arrays, composites, ranges, foreign tables, other
 * sessions' temporary tables, tables whose UPDATEs are refused, constants in
 * defaults, constraints, rules, indexes, triggers, policies and functions.
 * Ordered by name.
 */
extern List *pge_places(void);

/* The same as of a snapshot, which must be the active one. */
extern List *pge_places_then(void);

#endif							/* PGE_PLACES_H */
