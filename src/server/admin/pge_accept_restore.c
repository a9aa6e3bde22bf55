/*
 * pge_accept_restore.c
 *	  pgenvelope.accept_restore: accepts, for good and in the log, that a
 *	  restore has lost entries of the audit.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "admin/pge_admin.h"
#include "audit/pge_act.h"
#include "audit/pge_audit_log.h"
#include "base/pge_compat.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"

PG_FUNCTION_INFO_V1(pgenvelope_accept_restore);

/* The number of the last entry that the table has. */
static uint64
last_in_table(void)
{
	PgeWriter	writer = pge_write_begin();
	uint64		last;

	pge_write_run("SELECT coalesce(max(seq), 0) FROM pgenvelope.audit_log", 0,
				  NULL, NULL, NULL);
	last = (uint64) pge_row_int(0, 1);
	pge_write_end(&writer);
	return last;
}

Datum
pgenvelope_accept_restore(PG_FUNCTION_ARGS)
{
	PgeAnchor	anchor;
	bool		trusted;
	uint64		last;

	pge_require_writable("pgenvelope.accept_restore()");
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to accept that entries of the audit are lost")));
	LockDatabaseObject(pge_table("audit_log"), 0, 0, ExclusiveLock);
	last = last_in_table();
	if (!pge_audit_anchor(&anchor, &trusted) || last >= anchor.seq)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the audit's log is not behind its anchor"),
				 errhint("pgenvelope.verify_audit tells what is missing.")));
	pge_audit_act(PGE_ACCEPT_RESTORE, 0, NULL, 0,
				  pge_act_details("reason",
								  text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  "missing_from",
								  psprintf(UINT64_FORMAT, last + 1),
								  "missing_to",
								  psprintf(UINT64_FORMAT, anchor.seq)));
	PG_RETURN_INT64((int64) (anchor.seq - last));
}
