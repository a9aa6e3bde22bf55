/*
 * pge_update_write.h
 *	  Writing the rows that the update method has gathered.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_UPDATE_WRITE_H
#define PGE_UPDATE_WRITE_H

#include "rewrite/pge_update.h"

/*
 * Writes all rows that are gathered, and counts in the batch what came of
 * them.  Each is written at most three times, however many fail.
 */
extern void pge_update_write(PgeUpdate *update);

/* Notes a value that failed, in the caller's memory. */
extern void pge_update_failed(PgeUpdate *update, AttrNumber attribute,
							  ItemPointer tid, PgeOutcome outcome);

#endif							/* PGE_UPDATE_WRITE_H */
