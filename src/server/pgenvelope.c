/*
 * pgenvelope.c
 *	  Where PostgreSQL loads the library.
 *
 * Preloaded, the library brings shared memory and the keeper, and everything
 * works.  Loaded on demand, it brings the type's input and output and what
 * else needs no key, so that a dump can be restored anywhere; the rest raises
 * 55000 (pge_require_preload).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "pge_act.h"
#include "pge_audit.h"
#include "pge_catalog.h"
#include "pge_guc.h"
#include "pge_keeper.h"
#include "pge_launcher.h"
#include "pge_learn.h"
#include "pge_mention.h"
#include "pge_redact.h"
#include "pge_retire.h"
#include "pge_shared.h"
#include "pge_statistics.h"
#include "pge_use.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

void
_PG_init(void)
{
	/* Nothing of ours has any business in pg_upgrade. */
	if (IsBinaryUpgrade)
		return;
	if (process_shared_preload_libraries_in_progress)
	{
		pge_guc_init();
		pge_shared_init();
		pge_keeper_init();
		pge_launcher_init();
		pge_use_init();
		pge_statistics_init();
		pge_audit_init();
		pge_act_init();
		pge_mention_init();
	}
	pge_catalog_init();
	pge_destroy_init();
	pge_redact_init();
	pge_learn_init();
}
