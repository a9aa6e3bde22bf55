/*
 * pge_alert.h
 *	  Alerts: events that an operator should look at now.
 *
 * An alert is a line of the server's log, written at once, and a notification
 * on the channel pgenvelope_alert.  PostgreSQL sends notifications when their
 * transaction commits, and a role that opens what it should not will roll
 * back.  So a worker sends the notification in its own transaction; until then
 * it waits in shared memory.  If that is full, or on a standby, there is only
 * the line.
 *
 * Neither holds a plaintext, an envelope or an encryption context.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ALERT_H
#define PGE_ALERT_H

#include "base/pge_shared.h"
#include "catalog/pge_catalog.h"

typedef enum PgeAlertKind
{
	PGE_ALERT_HONEY,			/* PE011: a honey value was opened */
	PGE_ALERT_BUDGET,			/* PE012: a budget was exceeded */
	PGE_ALERT_LOCKED,			/* PE013: a locked grant was asked for */
	PGE_ALERT_KINDS
} PgeAlertKind;

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

/* Called with the other shared memory, in pge_shared.c. */
extern void pge_alert_request(void);
extern void pge_alert_attach(void);

/* ---------------------------------------------------------------- */
/* On their way to the listeners                                    */
/* ---------------------------------------------------------------- */

/*
 * The database of the next alert that waits, from *place on; InvalidOid:
 * there is none.
 */
extern Oid	pge_alert_next_database(int *place);

/* Drops what waits for a database that no longer exists. */
extern void pge_alert_forget(Oid database);

/*
 * For the worker: sends alerts that wait for this database, at most as many as
 * one transaction should.  After the commit it must call pge_alert_sent, which
 * returns how many there were.
 */
extern void pge_alert_send(void);
extern int	pge_alert_sent(void);

#endif							/* PGE_ALERT_H */
