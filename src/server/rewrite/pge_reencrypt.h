/*
 * pge_reencrypt.h
 *	  Sealing payloads again after a KEK was compromised: a rewrap keeps the
 *	  data key, which the old wrap reveals.
 *
 * The context of a value comes from its row, as pgenvelope.set_rewrap_context
 * defines it for the column.  Filing such a job needs the privileges to
 * decrypt and to encrypt; nothing is checked here.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REENCRYPT_H
#define PGE_REENCRYPT_H

#include "rewrite/pge_rewrap.h"
#include "value/pge_member.h"

/*
 * The contexts of a table's columns, by attribute number less one; NULL for a
 * column without one.  A partition inherits the definitions of its partitioned
 * table unless it has its own.  Raises if a definition is wrong.
 */
extern PgeRowContext **pge_reencrypt_contexts(Relation table);

/*
 * Opens a value of a row and seals it with a new data key of the target
 * version.  NULL fills in problem.  Raises errors of the row's other columns.
 */
extern struct varlena *pge_reencrypt(const PgeRewrap *rewrap,
									 PgeRowContext *context, Relation table,
									 HeapTuple row, Datum value,
									 PgeProblem *problem);

#endif							/* PGE_REENCRYPT_H */
