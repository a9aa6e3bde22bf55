/*
 * pge_alert.c
 *	  Alerts: what somebody should look at now.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/shmem.h"

#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_shared.h"
#include "rewrap/pge_activity.h"
#include "rights/pge_alert.h"
#include "rights/pge_tally.h"

static const struct
{
	const char *name;
	int			sqlstate;
} kinds[PGE_ALERT_KINDS] = {
	[PGE_ALERT_HONEY] = {"honey", MAKE_SQLSTATE('P', 'E', '0', '1', '1')},
	[PGE_ALERT_BUDGET] = {"budget", MAKE_SQLSTATE('P', 'E', '0', '1', '2')},
	[PGE_ALERT_LOCKED] = {"locked", MAKE_SQLSTATE('P', 'E', '0', '1', '3')},
};

PgeAlerts  *pge_alerts;

void
pge_alert_request(void)
{
	RequestAddinShmemSpace(sizeof(PgeAlerts));
	RequestNamedLWLockTranche("pgenvelope_alert", 1);
}

void
pge_alert_attach(void)
{
	bool		found;

	pge_alerts = ShmemInitStruct("pgenvelope alerts", sizeof(PgeAlerts),
								 &found);
	if (found)
		return;
	memset(pge_alerts, 0, sizeof(PgeAlerts));
	pge_alerts->lock = &GetNamedLWLockTranche("pgenvelope_alert")->lock;
}

/* ---------------------------------------------------------------- */
/* How many                                                         */
/* ---------------------------------------------------------------- */

typedef struct Counting
{
	PgeAlertKind kind;
	int64		now_ms;
	bool		is_due;
} Counting;

static void
count_alert(PgeTally *tally, void *argument)
{
	static const uint32 allowed[PGE_ALERT_KINDS] = PGE_ALERTS_A_MINUTE;
	Counting   *counting = argument;
	int64		began_ms;

	counting->is_due = pge_minute_take(&tally->alerts[counting->kind],
									   allowed[counting->kind], 1,
									   counting->now_ms, &began_ms) > 0;
}

/*
 * Under which number it is counted: honey for each who opens it by the grant,
 * or one would crowd out the alerts that name another.  Grants' numbers are
 * random, so that no hash meets one.
 */
static int64
counted_under(const PgeAlert *alert)
{
	Oid			who[] = {GetUserId(), GetSessionUserId()};

	if (alert->kind != PGE_ALERT_HONEY)
		return alert->grant_id;
	return (int64) hash_bytes_extended((const unsigned char *) who,
									   sizeof(who),
									   (uint64) alert->grant_id);
}

/* Whether this one is to be raised.  Yes, if nobody can count them. */
static bool
is_due(const PgeAlert *alert)
{
	Counting	counting = {alert->kind, pge_clock_ms(), true};

	(void) pge_tally_with(counted_under(alert), count_alert, &counting);
	return counting.is_due;
}

/* ---------------------------------------------------------------- */
/* What is said                                                     */
/* ---------------------------------------------------------------- */

/* Writes the line to the log; returns what it says, palloc'd. */
static char *
write_line(const PgeAlert *alert)
{
	StringInfoData line;

	pge_line_learn();
	pge_line_begin(&line, "alert");
	pge_line_text(&line, "alert", kinds[alert->kind].name);
	pge_line_text(&line, "action", alert->action);
	pge_line_text(&line, "key", alert->key->name);
	if (alert->version != 0)
		pge_line_int(&line, "version", alert->version);
	if (alert->limit != NULL)
	{
		pge_line_text(&line, "limit", alert->limit);
		pge_line_int(&line, "allowed", alert->allowed);
	}
	pge_line_text(&line, "role", GetUserNameFromId(GetUserId(), true));
	pge_line_int(&line, "grant_id", alert->grant_id);
	if (alert->note != NULL)
		pge_line_text(&line, "note", alert->note);
	return pge_line_end_alert(&line, kinds[alert->kind].sqlstate);
}

static void
count_raised(PgeAlertKind kind)
{
	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	pge_alerts->raised[kind]++;
	LWLockRelease(pge_alerts->lock);
}

void
pge_alert_counts(uint64 *raised, uint64 *lost)
{
	LWLockAcquire(pge_alerts->lock, LW_SHARED);
	memcpy(raised, pge_alerts->raised, sizeof(pge_alerts->raised));
	*lost = pge_alerts->lost;
	LWLockRelease(pge_alerts->lock);
}

static void
queue(const char *payload)
{
	PgeAlertItem *place = NULL;

	Assert(strlen(payload) < PGE_ALERT_SIZE);
	LWLockAcquire(pge_alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGE_ALERTS_MAX && place == NULL; i++)
	{
		if (pge_alerts->items[i].serial == 0)
			place = &pge_alerts->items[i];
	}
	if (place == NULL)
		pge_alerts->lost++;
	else
	{
		place->serial = ++pge_alerts->last_serial;
		place->database = MyDatabaseId;
		strlcpy(place->payload, payload, PGE_ALERT_SIZE);
	}
	LWLockRelease(pge_alerts->lock);
}

/*
 * The line is written as LOG, to the server's log only, and not as WARNING: no
 * client may learn of it, and nobody sets log_min_messages so high that it
 * would not be written.
 */
void
pge_alert(const PgeAlert *alert)
{
	char	   *json;

	if (!alert->is_singular && !is_due(alert))
		return;

	/* Whoever has his statement cancelled by then is not to lose the half. */
	HOLD_INTERRUPTS();
	count_raised(alert->kind);
	json = write_line(alert);
	if (!RecoveryInProgress())
	{
		queue(json);
		pge_activity_wake();
	}
	RESUME_INTERRUPTS();
	pfree(json);
}
