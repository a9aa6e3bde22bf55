/*
 * pge_retire.h
 *	  The reasons against retiring or destroying a version of a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RETIRE_H
#define PGE_RETIRE_H

#include "lifecycle/pge_version.h"

/*
 * Sentences, one per line, that say why a version may still be needed: no
 * fresh proof, places that no proof covers, jobs, or standbys and slots behind
 * the proof.  NULL if there is no reason.
 */
extern char *pge_still_needed(const PgeChange *change, int version);

/* Writes to the server's log: "version N of key K <what> by role R". */
extern void pge_log_change(const PgeChange *change, int version,
						   const char *what);

#endif							/* PGE_RETIRE_H */
