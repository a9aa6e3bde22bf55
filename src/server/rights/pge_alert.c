/*
 * pge_alert.c
 *	  Alerts: events that an operator should look at now.
 *
 * Locking protocol.  PgeAlerts.lock covers everything in it: exclusive to
 * change, shared to read, held for a few instructions.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_shared.h"
#include "base/pge_wake.h"
#include "rights/pge_alert.h"
#include "rights/pge_tally.h"

#define CHANNEL "pgenvelope_alert"

/* Notifications that wait, in the whole cluster. */
#define WAITING_MAX 128

/* Notifications that are sent in one transaction. */
#define SENT_AT_ONCE 16

/* Longest payload; PostgreSQL itself allows less than 8000 bytes. */
#define PAYLOAD_SIZE 4096

typedef struct PgeAlertItem
{
	uint64		serial;			/* 0: free */
	Oid			database;
	char		payload[PAYLOAD_SIZE];
} PgeAlertItem;

typedef struct PgeAlerts
{
	LWLock	   *lock;
	uint64		last_serial;
	uint64		lost;			/* notifications that found no place */
	uint64		raised[PGE_ALERT_KINDS];
	PgeAlertItem items[WAITING_MAX];
} PgeAlerts;

static const struct
{
	const char *name;
	int			sqlstate;
	uint32		a_minute;		/* of a grant and, of honey, of who opens it */
} kinds[PGE_ALERT_KINDS] = {
	[PGE_ALERT_HONEY] = {"honey", MAKE_SQLSTATE('P', 'E', '0', '1', '1'), 10},
	[PGE_ALERT_BUDGET] = {"budget", MAKE_SQLSTATE('P', 'E', '0', '1', '2'), 1},
	[PGE_ALERT_LOCKED] = {"locked", MAKE_SQLSTATE('P', 'E', '0', '1', '3'), 1},
};

/* NULL unless the library was preloaded. */
static PgeAlerts *alerts;

/* What the worker has sent, but not committed. */
static uint64 sending[SENT_AT_ONCE];
static int	sending_count;

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

	alerts = ShmemInitStruct("pgenvelope alerts", sizeof(PgeAlerts),
							 &found);
	if (found)
		return;
	memset(alerts, 0, sizeof(PgeAlerts));
	alerts->lock = &GetNamedLWLockTranche("pgenvelope_alert")->lock;
}

/* ---------------------------------------------------------------- */
/* How many                                                         */
/* ---------------------------------------------------------------- */

/*
 * The number under which an alert is counted.  Honey is counted for each role
 * that opens it by the grant; otherwise one role would crowd out the alerts
 * that name another.  Grants' numbers are random, so no hash equals one.
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

/* Whether to raise this alert.  Yes, if there is no place to count it. */
static bool
is_due(const PgeAlert *alert)
{
	int64		now_ms = pge_clock_ms();
	int64		began_ms;
	PgeTally   *tally = pge_tally_make(counted_under(alert));
	bool		result;

	if (tally == NULL)
		return true;
	result = pge_count_take(&tally->alerts[alert->kind],
							kinds[alert->kind].a_minute, 1, now_ms,
							&began_ms) > 0;
	pge_tally_release();
	return result;
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
	LWLockAcquire(alerts->lock, LW_EXCLUSIVE);
	alerts->raised[kind]++;
	LWLockRelease(alerts->lock);
}

void
pge_alert_counts(uint64 *raised, uint64 *lost)
{
	LWLockAcquire(alerts->lock, LW_SHARED);
	memcpy(raised, alerts->raised, sizeof(alerts->raised));
	*lost = alerts->lost;
	LWLockRelease(alerts->lock);
}

static void
queue(const char *payload)
{
	PgeAlertItem *place = NULL;

	Assert(strlen(payload) < PAYLOAD_SIZE);
	LWLockAcquire(alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WAITING_MAX && place == NULL; i++)
	{
		if (alerts->items[i].serial == 0)
			place = &alerts->items[i];
	}
	if (place == NULL)
		alerts->lost++;
	else
	{
		place->serial = ++alerts->last_serial;
		place->database = MyDatabaseId;
		strlcpy(place->payload, payload, PAYLOAD_SIZE);
	}
	LWLockRelease(alerts->lock);
}

/*
 * Writes the line as LOG, to the server's log only, and not as WARNING: no
 * client may see it, and in practice log_min_messages is never set so high
 * that LOG is left out.
 */
void
pge_alert(const PgeAlert *alert)
{
	char	   *json;

	if (!alert->is_singular && !is_due(alert))
		return;

	/* A cancel must not leave a half-raised alert. */
	HOLD_INTERRUPTS();
	count_raised(alert->kind);
	json = write_line(alert);
	if (!RecoveryInProgress())
	{
		queue(json);
		pge_wake_launcher();
	}
	RESUME_INTERRUPTS();
	pfree(json);
}

/* ---------------------------------------------------------------- */
/* On their way to the listeners                                    */
/* ---------------------------------------------------------------- */

Oid
pge_alert_next_database(int *place)
{
	Oid			database = InvalidOid;

	LWLockAcquire(alerts->lock, LW_SHARED);
	while (*place < WAITING_MAX && database == InvalidOid)
	{
		const PgeAlertItem *item = &alerts->items[(*place)++];

		if (item->serial != 0)
			database = item->database;
	}
	LWLockRelease(alerts->lock);
	return database;
}

void
pge_alert_forget(Oid database)
{
	LWLockAcquire(alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WAITING_MAX; i++)
	{
		if (alerts->items[i].database == database)
			alerts->items[i].serial = 0;
	}
	LWLockRelease(alerts->lock);
}

void
pge_alert_send(void)
{
	char(*payloads)[PAYLOAD_SIZE] = palloc(SENT_AT_ONCE * PAYLOAD_SIZE);

	sending_count = 0;
	LWLockAcquire(alerts->lock, LW_SHARED);
	for (int i = 0; i < WAITING_MAX && sending_count < SENT_AT_ONCE; i++)
	{
		const PgeAlertItem *item = &alerts->items[i];

		if (item->serial == 0 || item->database != MyDatabaseId)
			continue;
		strlcpy(payloads[sending_count], item->payload, PAYLOAD_SIZE);
		sending[sending_count++] = item->serial;
	}
	LWLockRelease(alerts->lock);
	for (int i = 0; i < sending_count; i++)
		Async_Notify(CHANNEL, payloads[i]);
	pfree(payloads);
}

int
pge_alert_sent(void)
{
	LWLockAcquire(alerts->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WAITING_MAX; i++)
	{
		for (int j = 0; j < sending_count; j++)
		{
			if (alerts->items[i].serial == sending[j])
				alerts->items[i].serial = 0;
		}
	}
	LWLockRelease(alerts->lock);
	return sending_count;
}
