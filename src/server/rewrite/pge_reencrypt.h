/*
 * pge_reencrypt.h
 *	  Sealing payloads anew, after a KEK was compromised: an old wrap opens
 *	  what a rewrap leaves as it is.
 *
 * The context of a value comes from its row, as env_rewrap_context has said
 * for its column.  Whoever files such a job is asked for the rights to decrypt
 * and to encrypt; here nobody is.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REENCRYPT_H
#define PGE_REENCRYPT_H

#include "rewrite/pge_rewrap.h"
#include "value/pge_member.h"

/*
 * The context of each column of a table, by attribute number less one, or
 * NULL where none was said.  What was said of a partitioned table holds for
 * its partitions, unless of these something was said, too.  Raises what is
 * wrong with it.
 */
extern PgeRowContext **pge_reencrypt_contexts(Relation table);

/*
 * Opens a value of a row and seals it with a new data key of the target
 * version.  NULL fills in problem.  Raises what the row's other columns raise.
 */
extern struct varlena *pge_reencrypt(const PgeRewrap *rewrap,
									 PgeRowContext *context, Relation table,
									 HeapTuple row, Datum value,
									 PgeProblem *problem);

#endif							/* PGE_REENCRYPT_H */
