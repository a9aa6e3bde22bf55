/*
 * pge_honey_row.h
 *	  Marks of honey values, and the rows that hold them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_HONEY_ROW_H
#define PGE_HONEY_ROW_H

#include "rights/pge_honey.h"

/* The mark of a value; false fills in problem. */
extern bool pge_honey_mark(PgeKeyVersion *version,
						   const envl_envelope *envelope, uint8 *mark,
						   PgeProblem *problem);

/* Inserts a row, as the tables' owner; returns whether it is new. */
extern bool pge_honey_insert(uint64 key_id, const PgeHoney *honey);

#endif							/* PGE_HONEY_ROW_H */
