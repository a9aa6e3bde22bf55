/*
 * pge_admin.h
 *	  Who may administer: what is checked, and locked, before a key is changed.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ADMIN_H
#define PGE_ADMIN_H

#include "catalog/pge_spi.h"

/*
 * First in every function that writes: raises without preload, in a read-only
 * transaction, during recovery, in a worker of logical replication; begins an
 * act (pge_acting.h); then pge_catalog_begin.
 */
extern void pge_require_writable(const char *function);

/*
 * Has whoever would create or change a key of this name wait for the end of
 * this transaction, and whoever would drop the tables.  Not the whole table: a
 * right can be revoked while somebody waits for a provider with another key.
 */
extern void pge_lock_key_name(envl_view name);

/* A key by name; raises PE001 if there is none. */
extern PgeKey *pge_key_named(text *name);

/* A key by name, locked against everybody else who would change it. */
extern PgeKey *pge_key_locked(text *name);

/*
 * A key by name, locked against everybody else who would change it, for
 * somebody who holds a privilege to administer it.  Superusers may administer
 * any key, or nobody could after a restore into other roles.  Raises
 * otherwise.
 */
extern PgeKey *pge_key_to_administer(text *name, PgePrivilege privilege);

/*
 * Keys are found as they are now, but written as this transaction sees them,
 * which under REPEATABLE READ may be as they were: 40001.
 */
pg_noreturn extern void pge_snapshot_is_older(void);

/* Refuses to write to a key that this transaction's snapshot does not have. */
extern void pge_require_visible(uint64 key_id);

#endif							/* PGE_ADMIN_H */
