/*
 * pge_inplace_guard.h
 *	  Whether a table's values may be overwritten where they are.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_INPLACE_GUARD_H
#define PGE_INPLACE_GUARD_H

#include "rewrite/pge_inplace.h"

/*
 * Whether the values of these columns may change without an UPDATE.  False
 * names what stands against it: an index, a stored generated column, a
 * constraint or a partition key that reads one of them, and so on.
 */
extern bool pge_inplace_allowed(Relation relation, const AttrNumber *columns,
								int count, PgeProblem *problem);

#endif							/* PGE_INPLACE_GUARD_H */
