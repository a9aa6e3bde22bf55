/*
 * pge_admin.h
 *	  Administering a key: what is checked and locked before a change.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ADMIN_H
#define PGE_ADMIN_H

#include "catalog/pge_spi.h"

/*
 * Every function that writes calls this first.  Raises without preload, in a
 * read-only transaction, during recovery and in a worker of logical
 * replication.  Begins an act (pge_acting.h), then calls pge_catalog_begin.
 */
extern void pge_require_writable(const char *function);

/*
 * Makes others that would create or change a key of this name, or drop the
 * tables, wait for the end of this transaction.  It does not lock the whole
 * table, so that a right can be revoked while another session waits for a
 * provider with another key.
 */
extern void pge_lock_key_name(envl_view name);

/* A key by name; raises PE001 if there is none. */
extern PgeKey *pge_key_named(text *name);

/* A key by name, locked against changes by other sessions. */
extern PgeKey *pge_key_locked(text *name);

/*
 * A key by name, locked against changes by other sessions.  Raises unless the
 * caller holds a privilege to administer it.  Superusers may administer any
 * key: otherwise no role could after a restore into other roles.
 */
extern PgeKey *pge_key_to_administer(text *name, PgePrivilege privilege);

/*
 * Keys are read as they are now, but written as this transaction sees them.
 * Under REPEATABLE READ that may be an earlier state: 40001.
 */
pg_noreturn extern void pge_snapshot_is_older(void);

/* Refuses to write to a key that this transaction's snapshot lacks. */
extern void pge_require_visible(uint64 key_id);

#endif							/* PGE_ADMIN_H */
