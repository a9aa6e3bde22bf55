/*
 * pge_alert.h
 *	  Alerts: what somebody should look at now.
 *
 * An alert is a line of the server's log, written at once, and a notification
 * on the channel pgenvelope_alert.  PostgreSQL sends notifications when their
 * transaction commits, and whoever opens what he should not will roll his
 * back: so a worker of ours sends it, in a transaction of its own.  It waits
 * in shared memory until then; where that is full, or on a standby, the line
 * is all there is.
 *
 * Neither holds a plaintext, an envelope or an encryption context.
 *
 * Locking protocol.  PgeAlerts.lock covers everything in it: exclusive to
 * change, shared to read, held for a few instructions.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ALERT_H
#define PGE_ALERT_H

#include "storage/lwlock.h"

#include "base/pge_shared.h"
#include "catalog/pge_catalog.h"

#define PGE_ALERT_CHANNEL "pgenvelope_alert"

typedef enum PgeAlertKind
{
	PGE_ALERT_HONEY,			/* PE011: a honey value was opened */
	PGE_ALERT_BUDGET,			/* PE012: a budget was exceeded */
	PGE_ALERT_LOCKED,			/* PE013: a locked grant was asked for */
	PGE_ALERT_KINDS
} PgeAlertKind;

/* No more than so many a minute: of a grant and, of honey, who opens it. */
#define PGE_ALERTS_A_MINUTE \
	{ \
		10, 1, 1 \
	}

typedef struct PgeAlert
{
	PgeAlertKind kind;
	const PgeKey *key;
	uint16		version;		/* of the value; 0: not said */
	int64		grant_id;		/* whose alerts are counted */
	bool		is_singular;	/* it cannot be raised often: never left out */
	const char *action;			/* what came of it: "none", "lock", "deny",
								 * "report" */
	const char *note;			/* HONEY: what was noted, or NULL */
	const char *limit;			/* BUDGET: "minute", "transaction" */
	int			allowed;		/* BUDGET: so many values */
} PgeAlert;

/* Raises an alert, unless this grant has raised enough of them. */
extern void pge_alert(const PgeAlert *alert);

/*
 * How many alerts of each kind were raised since the server started, and how
 * many of them found no place on their way to the listeners.
 */
extern void pge_alert_counts(uint64 *raised, uint64 *lost);

/* ---------------------------------------------------------------- */
/* On their way to the listeners                                    */
/* ---------------------------------------------------------------- */

/* Notifications that wait, in the whole cluster. */
#define PGE_ALERTS_MAX 128

/* Longest payload; PostgreSQL itself allows less than 8000 bytes. */
#define PGE_ALERT_SIZE 4096

typedef struct PgeAlertItem
{
	uint64		serial;			/* 0: free */
	Oid			database;
	char		payload[PGE_ALERT_SIZE];
} PgeAlertItem;

/* Databases in which a worker delivers at a time. */
#define PGE_ALERT_WORKERS 4

typedef struct PgeAlerts
{
	LWLock	   *lock;
	uint64		last_serial;
	uint64		lost;			/* notifications that found no place */
	uint64		raised[PGE_ALERT_KINDS];
	Oid			databases[PGE_ALERT_WORKERS];	/* in which a worker is */
	PgeAlertItem items[PGE_ALERTS_MAX];
} PgeAlerts;

/* NULL unless the library was preloaded. */
extern PgeAlerts *pge_alerts;

/* Called with the other shared memory, in pge_shared.c. */
extern void pge_alert_request(void);
extern void pge_alert_attach(void);

/* The launcher: starts workers where something waits; returns when to look
 * again, or a far time. */
extern int64 pge_alert_serve(int64 now_ms);

#endif							/* PGE_ALERT_H */
