/*
 * pge_pace.c
 *	  How fast a rewrap worker may go.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "base/pge_shared.h"
#include "rewrap/pge_activity.h"
#include "rewrap/pge_pace.h"
#include "rewrap/pge_rewrap_settings.h"

/* How often to check the standbys. */
#define LOOK_EVERY_MS 200

/* Marks of the WAL's growth: this many for each pgenvelope.rewrap_max_lag. */
#define MARKS_PER_LAG 32
#define MARKS (2 * MARKS_PER_LAG)

/* The WAL's position at a time. */
typedef struct Mark
{
	XLogRecPtr	lsn;
	int64		at_ms;
} Mark;

static int64 began_ms;			/* of the current batch */
static int64 next_us;			/* when the next batch may begin */

static Mark marks[MARKS];		/* a ring; newest is the last one written */
static int	newest;
static int64 next_look_ms;
static bool was_lagging;
static char lagging[NAMEDATALEN];

/* ---------------------------------------------------------------- */
/* Rates                                                            */
/* ---------------------------------------------------------------- */

void
pge_pace_begin(void)
{
	began_ms = pge_clock_ms();
}

/* How long an amount takes at a rate; 0 if there is no limit. */
static int64
time_us(uint64 amount, int per_second)
{
	if (per_second == 0)
		return 0;
	return (int64) Min((double) amount * 1e6 / per_second, 1e15);
}

int64
pge_pace_end(uint64 rows, uint64 bytes, bool held_up_vacuum)
{
	int64		spent_us = (pge_clock_ms() - began_ms) * 1000;
	int64		rows_us = time_us(rows, pge_rewrap_rate);
	int64		bytes_us = time_us(bytes, pge_rewrap_max_bytes_per_second);
	int64		wanted_us = Max(rows_us, bytes_us);

	pg_atomic_fetch_add_u64(&pge_rewrap_shared->counters.paced_us, wanted_us);

	/*
	 * Autovacuum does not wait for a lock, it skips the table.  Leave a fifth
	 * of the time to it, so that it soon finds the table free.
	 */
	if (held_up_vacuum)
		wanted_us = Max(wanted_us, spent_us + spent_us / 4);
	next_us = Max(next_us, began_ms * 1000) + wanted_us;
	return next_us / 1000;
}

/* ---------------------------------------------------------------- */
/* Standbys                                                         */
/* ---------------------------------------------------------------- */

/*
 * Records the WAL's position.  The replay lag that the server measures stands
 * still when a standby does, so we keep our own time.
 */
static void
set_mark(XLogRecPtr lsn, int64 now)
{
	if (now - marks[newest].at_ms < pge_rewrap_max_lag / MARKS_PER_LAG ||
		lsn == marks[newest].lsn)
		return;
	newest = (newest + 1) % MARKS;
	marks[newest].lsn = lsn;
	marks[newest].at_ms = now;
}

/* The least time for which there has been WAL that is not replayed. */
static int64
lag_ms(XLogRecPtr replayed, int64 now)
{
	for (int i = 1; i <= MARKS; i++)
	{
		const Mark *mark = &marks[(newest + i) % MARKS];

		if (mark->lsn > replayed)
			return now - mark->at_ms;
	}
	return 0;
}

/* Finds the standby that is furthest behind; false if there is none. */
static bool
find_slowest(char *name, XLogRecPtr *replayed)
{
	bool		found;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT application_name, replay_lsn"
					" FROM pg_catalog.pg_stat_replication"
					" WHERE replay_lsn IS NOT NULL"
					" AND state IN ('streaming', 'catchup')"
					" ORDER BY replay_lsn LIMIT 1",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_replication");
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		char	   *application = SPI_getvalue(row, descriptor, 1);
		bool		isnull;

		strlcpy(name, application ? application : "", NAMEDATALEN);
		*replayed = DatumGetLSN(SPI_getbinval(row, descriptor, 2, &isnull));
	}
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return found;
}

static bool
look(int64 now)
{
	XLogRecPtr	written = GetXLogWriteRecPtr();
	XLogRecPtr	replayed;

	set_mark(written, now);
	if (!find_slowest(lagging, &replayed) || replayed >= written)
		return false;
	if (pge_rewrap_max_lag_bytes > 0 &&
		written - replayed > (uint64) pge_rewrap_max_lag_bytes)
		return true;
	return pge_rewrap_max_lag > 0 &&
		lag_ms(replayed, now) > pge_rewrap_max_lag;
}

bool
pge_pace_is_lagging(char *name)
{
	int64		now = pge_clock_ms();

	if (pge_rewrap_max_lag == 0 && pge_rewrap_max_lag_bytes == 0)
		return false;
	if (now >= next_look_ms)
	{
		bool		is_lagging = look(now);

		if (is_lagging && !was_lagging)
			pg_atomic_fetch_add_u64(&pge_rewrap_shared->counters.lag_waits, 1);
		was_lagging = is_lagging;
		next_look_ms = now + LOOK_EVERY_MS;
	}
	strlcpy(name, lagging, NAMEDATALEN);
	return was_lagging;
}
