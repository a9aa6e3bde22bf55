/*
 * pge_former.c
 *	  The C functions that earlier versions' SQL functions call.
 *
 * A database whose extension is not updated yet calls them by these names, and
 * must get an error that says so.  pg_upgrade and CREATE EXTENSION ... VERSION
 * make such databases, too; PostgreSQL refuses them if a symbol is missing.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/pge_compat.h"
#include "catalog/pge_table.h"

static Datum
refuse_former(void)
{
	char	   *version;

	if (pge_schema(&version) == PGE_SCHEMA_ABSENT)
		version = "0.1.0";
	pge_schema_refuse(version);
}

#define FORMER(name) \
	PG_FUNCTION_INFO_V1(name); \
	Datum name(PG_FUNCTION_ARGS) \
	{ \
		return refuse_former(); \
	} \
	extern Datum name(PG_FUNCTION_ARGS)

/* Of 0.1.0. */
FORMER(pgenvelope_audit_accept_restore);
FORMER(pgenvelope_audit_verify);
FORMER(pgenvelope_census);
FORMER(pgenvelope_evict);
FORMER(pgenvelope_grant);
FORMER(pgenvelope_honey);
FORMER(pgenvelope_limit);
FORMER(pgenvelope_revoke);
FORMER(pgenvelope_rewrap_cancel);
FORMER(pgenvelope_rewrap_context);
FORMER(pgenvelope_rewrap_method);
FORMER(pgenvelope_rewrap_pause);
FORMER(pgenvelope_rewrap_resume);
FORMER(pgenvelope_rewrap_retry);
FORMER(pgenvelope_rewrap_start);
FORMER(pgenvelope_rewrap_step);
FORMER(pgenvelope_rotate_due);
FORMER(pgenvelope_stat_reset);
FORMER(pgenvelope_unhoney);
