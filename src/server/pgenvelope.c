/*
 * pgenvelope.c
 *	  The entry point at which PostgreSQL loads the library.
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

#include "admin/pge_admin_settings.h"
#include "audit/pge_act.h"
#include "audit/pge_audit.h"
#include "audit/pge_audit_settings.h"
#include "audit/pge_statistics.h"
#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "catalog/pge_catalog.h"
#include "context/pge_context_settings.h"
#include "keys/pge_keeper.h"
#include "keys/pge_kek.h"
#include "keys/pge_keys_settings.h"
#include "lifecycle/pge_destroy.h"
#include "lifecycle/pge_lifecycle_settings.h"
#include "lifecycle/pge_retire.h"
#include "pge_shmem.h"
#include "redact/pge_mention.h"
#include "redact/pge_redact.h"
#include "rewrap/pge_rewrap_settings.h"
#include "rewrite/pge_rewrite_settings.h"
#include "value/pge_value_settings.h"
#include "workers/pge_launcher.h"
#include "workers/pge_learn.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

/*
 * What each folder does when the library is loaded, in this order: settings
 * before the shared memory whose size they give, the catalog before the
 * folders that it calls back.
 */
static const struct
{
	void (*init)(void);
	bool		only_preloaded;
} folders[] = {
	{pge_line_init, true},
	{pge_context_settings_init, true},
	{pge_keys_settings_init, true},
	{pge_redact_settings_init, true},
	{pge_audit_settings_init, true},
	{pge_value_settings_init, true},
	{pge_admin_settings_init, true},
	{pge_rewrite_settings_init, true},
	{pge_rewrap_settings_init, true},
	{pge_lifecycle_settings_init, true},
	{pge_shmem_init, true},
	{pge_keeper_init, true},
	{pge_launcher_init, true},
	{pge_use_init, true},
	{pge_statistics_init, true},
	{pge_audit_init, true},
	{pge_act_init, true},
	{pge_mention_init, true},
	{pge_catalog_init, false},
	{pge_kek_init, false},
	{pge_destroy_init, false},
	{pge_redact_init, false},
	{pge_learn_init, false},
};

void
_PG_init(void)
{
	/* In pg_upgrade the library must do nothing. */
	if (IsBinaryUpgrade)
		return;
	for (int i = 0; i < (int) lengthof(folders); i++)
	{
		if (process_shared_preload_libraries_in_progress ||
			!folders[i].only_preloaded)
			folders[i].init();
	}
	if (process_shared_preload_libraries_in_progress)
		pge_reserve_prefix("pgenvelope");
}
