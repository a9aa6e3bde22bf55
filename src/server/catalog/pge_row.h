/*
 * pge_row.h
 *	  Reading rows of the key tables, as they are now: for pge_catalog.c,
 *	  which keeps them.
 *
 * What a row refers to is allocated in the given context.  Each function
 * raises 55000 if the extension's tables do not exist, and XX001 for a damaged
 * row.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ROW_H
#define PGE_ROW_H

#include "nodes/pg_list.h"

#include "catalog/pge_catalog.h"

/* Whether a relation is one of the tables that are read here. */
extern bool pge_row_source(Oid relation);

/* Makes the next call look up the tables anew. */
extern void pge_row_forget_tables(void);

/* Looks up the tables, unless that has been done. */
extern void pge_row_find_tables(void);

/* The key of that name, or of that id if name is NULL.  False: none. */
extern bool pge_row_key(uint64 key_id, const char *name,
						MemoryContext context, PgeKey *key);

/* The id of the key that chains the audit; 0: there is none. */
extern uint64 pge_row_audit_key(void);

/*
 * A version of a key, by number, or the one that is active or pre_active.
 * False: none.  The views in it point into it.
 */
extern bool pge_row_version(PgeKey *key, uint16 number, MemoryContext context,
							PgeKeyVersion *version);
extern bool pge_row_version_in_state(PgeKey *key, PgeState state,
									 MemoryContext context,
									 PgeKeyVersion *version);

/* The names of all keys, char *, and the numbers of a key's versions. */
extern List *pge_row_key_names(void);
extern List *pge_row_version_numbers(const PgeKey *key);

/* A state's name, as in the table, and back; raises XX001. */
extern const char *pge_state_name(PgeState state);
extern PgeState pge_state_parse(const char *name);

#endif							/* PGE_ROW_H */
