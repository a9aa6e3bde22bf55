/*
 * pge_admin.c
 *	  Administering a key: what is checked and locked before a change.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"

#include "admin/pge_admin.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "rights/pge_entitlement.h"

/*
 * A lost commit or a standby must not undo anything that follows.  A worker
 * of logical replication applies what another server has done (to a table with
 * a trigger).  It acts for no role of this server, so it must not write to
 * tables that belong to this server alone: requests, jobs, the audit's log.
 */
void
pge_require_writable(const char *function)
{
	pge_require_preload();
	pge_acting_begin(function);
	if (IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be executed by a logical replication worker",
						function)));
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	pge_catalog_begin();
}

/*
 * Makes others that would create or change a key of this name, or drop the
 * tables, wait for the end of this transaction.  It does not lock the whole
 * table, so that a right can be revoked while another session waits for a
 * provider with another key.
 */
void
pge_lock_key_name(envl_view name)
{
	Oid			table = pge_table("key");

	LockRelationOid(table, RowExclusiveLock);
	LockDatabaseObject(table, hash_bytes(name.data, (int) name.len), 0,
					   ExclusiveLock);
	pge_catalog_begin();
}

PgeKey *
pge_key_named(text *name)
{
	envl_view	wanted = pge_varlena_view(name);
	PgeKey	   *key = pge_key_by_name((const char *) wanted.data, wanted.len);
	PgeProblem	problem;

	if (key != NULL)
		return key;
	pge_problem(&problem, PGE_KEY_NOT_FOUND,
				"The view pgenvelope.keys lists the keys.",
				"key \"%.*s\" does not exist",
				pge_shown_len(wanted, ENVL_KEY_NAME_MAX),
				(const char *) wanted.data);
	pge_raise(&problem);
}

PgeKey *
pge_key_locked(text *name)
{
	PgeKey	   *key;

	pge_lock_key_name(pge_varlena_view(name));
	key = pge_key_named(name);
	pge_acting_key(key->name);
	return key;
}

/*
 * A key by name, locked against changes by other sessions.  The caller must
 * hold a privilege to administer it.  Superusers may administer any key:
 * otherwise no role could after a restore into other roles.
 */
PgeKey *
pge_key_to_administer(text *name, PgePrivilege privilege)
{
	PgeKey	   *key = pge_key_locked(name);
	PgeProblem	problem;

	if (!superuser() && !pge_require_privilege(key, privilege, &problem))
		pge_raise(&problem);
	return key;
}

/*
 * Keys are read as they are now, but written as this transaction sees them.
 * Under REPEATABLE READ that may be an earlier state.
 */
void
pge_snapshot_is_older(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a concurrent change of keys")));
}

/* Refuses to write to a key that this transaction's snapshot lacks. */
void
pge_require_visible(uint64 key_id)
{
	if (pge_run("SELECT FROM pgenvelope.key WHERE key_id = $1",
				pge_bigint((int64) key_id)) == 0)
		pge_snapshot_is_older();
}
