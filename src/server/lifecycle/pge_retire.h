/*
 * pge_retire.h
 *	  What speaks against doing without a version of a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RETIRE_H
#define PGE_RETIRE_H

#include "lifecycle/pge_version.h"

/*
 * Sentences, one a line, that say why a version may still be needed: no fresh
 * proof, places that no proof covers, jobs, standbys and slots behind the
 * proof.  NULL: nothing does.
 */
extern char *pge_still_needed(const PgeChange *change, int version);

/* Tells the server's log: "version N of key K <what> by role R". */
extern void pge_log_change(const PgeChange *change, int version,
						   const char *what);

#endif							/* PGE_RETIRE_H */
