/*
 * pge_admin_settings.c
 *	  Settings of requests for a second person.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "admin/pge_admin_settings.h"

int			pge_approval_timeout;

void
pge_admin_settings_init(void)
{
	DefineCustomIntVariable("pgenvelope.approval_timeout",
							"Sets how long a request for a second person's approval can be approved.",
							NULL, &pge_approval_timeout, 86400, 1, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
}
