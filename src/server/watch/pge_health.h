/*
 * pge_health.h
 *	  pgenvelope.health: what works, and what does not.
 *
 * pge_health.c has what is looked up in memory and the providers,
 * pge_health_catalog.c what is in tables and the audit's anchor.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_HEALTH_H
#define PGE_HEALTH_H

#include "fmgr.h"
#include "nodes/pg_list.h"

/* The statuses.  Degraded: what was asked for is done, or will be. */
#define OK "ok"
#define DEGRADED "degraded"
#define UNAVAILABLE "unavailable"

/* Adds a row that has no more to say than this. */
extern void pge_health_report(FunctionCallInfo fcinfo, const char *component,
							  const char *name, const char *status,
							  const char *message);

#endif							/* PGE_HEALTH_H */
