/*
 * pge_health.h
 *	  pgenvelope.health: what works, and what does not.
 *
 * pge_health.c covers memory and the providers, pge_health_catalog.c the
 * tables and the audit's anchor.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_HEALTH_H
#define PGE_HEALTH_H

#include "fmgr.h"
#include "nodes/pg_list.h"

/* The statuses.  Degraded: requests succeed, or will succeed soon. */
#define OK "ok"
#define DEGRADED "degraded"
#define UNAVAILABLE "unavailable"

/* Adds a row with only these columns. */
extern void pge_health_report(FunctionCallInfo fcinfo, const char *component,
							  const char *name, const char *status,
							  const char *message);

#endif							/* PGE_HEALTH_H */
