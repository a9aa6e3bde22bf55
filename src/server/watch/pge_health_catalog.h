/*
 * pge_health_catalog.h
 *	  pgenvelope.health: jobs, rotations, second seals and the audit.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_HEALTH_CATALOG_H
#define PGE_HEALTH_CATALOG_H

#include "watch/pge_health.h"

/* The rows of jobs, rotations and second seals. */
extern void pge_health_catalog(FunctionCallInfo fcinfo);

/* The row of the audit.  Not on a standby, which has no anchor. */
extern void pge_health_audit(FunctionCallInfo fcinfo);

/*
 * The names, as String nodes, of the providers that have sealed keys of this
 * database; NIL if that cannot be had now.
 */
extern List *pge_health_used_providers(void);

#endif							/* PGE_HEALTH_CATALOG_H */
