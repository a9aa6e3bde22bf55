/*
 * pge_act.h
 *	  Admin acts: what a role did to keys and rights.
 *
 * An admin function starts with pge_require_writable, which begins an act.  It
 * ends with pge_audit_act, as the caller's role again (after pge_write_end),
 * or with pge_act_none if there was nothing to do.  If it raises in between,
 * the act is logged as refused.
 *
 * Each act gives a line in the server's log when its transaction commits or
 * aborts.  If the database has an audit key, it also gives an entry of
 * pgenvelope.audit_log in the same transaction (pge_audit_log.h).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ACT_H
#define PGE_ACT_H

#include "base/pge_report.h"

/* What the audit records of an act. */
typedef struct PgeAct
{
	const char *act;			/* the function: "grant_key" */
	uint64		key_id;			/* 0: no key in particular */
	const char *key_name;		/* NULL: no key in particular */
	int			version;		/* 0: none */
	const char *details;		/* a JSON object; NULL: none */
} PgeAct;

/* Called from _PG_init where the library is preloaded. */
extern void pge_act_init(void);

/*
 * Records an act that succeeded.  It reads the catalog again, which
 * invalidates pointers into it (pge_catalog.h).  Raises if the act cannot be
 * chained.
 */
extern void pge_audit_act(const char *act, uint64 key_id,
						  const char *key_name, int version,
						  const char *details);

/*
 * As pge_audit_act, for an act that no table shows: it is logged but not
 * chained.
 */
extern void pge_log_act(const char *act, uint64 key_id, const char *key_name,
						const char *details);

/* The number of this transaction's last entry in the chain; 0: none. */
extern uint64 pge_act_last(void);

/*
 * A JSON object of text members, given as pairs of name and value.  A member
 * with a NULL value is left out.
 */
#define pge_act_details(...) \
	pge_act_details_list(__VA_ARGS__, (const char *) NULL)
extern char *pge_act_details_list(const char *name, ...);

#endif							/* PGE_ACT_H */
