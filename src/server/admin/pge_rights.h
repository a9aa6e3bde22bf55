/*
 * pge_rights.h
 *	  Writing rows of pgenvelope.key_grant.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RIGHTS_H
#define PGE_RIGHTS_H

#include "utils/jsonb.h"

#include "catalog/pge_catalog.h"

typedef struct PgeNewGrant
{
	uint64		key_id;
	PgePrivilege privilege;
	Oid			grantee;
	Jsonb	   *context;		/* pattern, or NULL: every context */
	bool		definer;		/* also through SECURITY DEFINER functions */
	const char *granted_by;
} PgeNewGrant;

/*
 * Inserts a grant with the writer's rights, or sets definer in the existing
 * one.  Returns 0 if nothing changed.
 */
extern uint64 pge_insert_grant(const PgeNewGrant *grant);

#endif							/* PGE_RIGHTS_H */
