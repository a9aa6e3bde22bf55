/*
 * pge_rewrite_settings.c
 *	  Settings of batches.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/guc.h"

#include "rewrite/pge_rewrite_settings.h"

int			pge_rewrap_lock_timeout;

void
pge_rewrite_settings_init(void)
{
	DefineCustomIntVariable("pgenvelope.rewrap_lock_timeout",
							"Sets how long a job waits for the lock on a table before it does something else.",
							NULL, &pge_rewrap_lock_timeout, 100, 0, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
}
