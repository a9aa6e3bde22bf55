/*
 * pge_audit_settings.c
 *	  Settings of the audit.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/guc.h"

#include "audit/pge_audit.h"
#include "audit/pge_audit_settings.h"
#include "context/pge_subject.h"

int			pge_audit;
char	   *pge_audit_context;
char	   *pge_audit_anchor_directory;

static const struct config_enum_entry audit_levels[] = {
	{"off", PGE_AUDIT_OFF, false},
	{"admin", PGE_AUDIT_ADMIN, false},
	{"failures", PGE_AUDIT_FAILURES, false},
	{"decrypts", PGE_AUDIT_DECRYPTS, false},
	{"all", PGE_AUDIT_ALL, false},
	{NULL, 0, false}};

static void
assign_audit(int newval, void *extra)
{
	pge_subject_show(newval >= PGE_AUDIT_FAILURES);
}

void
pge_audit_settings_init(void)
{
	DefineCustomEnumVariable("pgenvelope.audit",
							 "Sets what is audited: off, admin, failures, decrypts or all.",
							 "Each includes those before it.", &pge_audit,
							 PGE_AUDIT_ADMIN, audit_levels, PGC_SUSET, 0,
							 NULL, assign_audit, NULL);
	DefineCustomStringVariable("pgenvelope.audit_context",
							   "Lists the members of encryption contexts that the audit shows, separated by commas.",
							   NULL, &pge_audit_context, "tenant", PGC_SUSET,
							   0, pge_check_audit_context,
							   pge_assign_audit_context, NULL);
	DefineCustomStringVariable("pgenvelope.audit_anchor_directory",
							   "Names the directory where the head of the audit's chain is kept.",
							   "A relative path is relative to the data directory.",
							   &pge_audit_anchor_directory,
							   "pgenvelope_audit", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}
