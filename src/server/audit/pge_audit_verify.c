/*
 * pge_audit_verify.c
 *	  pgenvelope.verify_audit and pgenvelope.accept_restore: whether the
 *	  audit's log is complete and unaltered.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "audit/pge_act.h"
#include "audit/pge_audit_log.h"
#include "audit/pge_audit_seen.h"
#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_spi.h"
#include "rights/pge_entitlement.h"

PG_FUNCTION_INFO_V1(pgenvelope_verify_audit);


/* Rows per batch. */
#define BATCH 500

/* An entry may be visible at most this long before its head is published. */
#define PUBLISH_MS 500

/* A walk over the log. */
typedef struct Walk
{
	FunctionCallInfo fcinfo;	/* takes the findings */
	MemoryContext context;		/* outlives the batches */
	PgeAnchor	anchor;			/* seq 0: none */
	bool		trusted;		/* see pge_audit_anchor */
	bool		anchor_met;
	uint64		last_seq;
	uint8		last_mac[ENVL_AUDIT_MAC_LEN];
	PgeSeen    *seen;
	List	   *accepted;		/* of Range */
	List	   *missing;		/* of Range */
	List	   *moved;			/* of PgeEntry with wrong MACs, perhaps
								 * moved */
} Walk;

/* A range of missing entries. */
typedef struct Range
{
	uint64		first;
	uint64		last;
} Range;

static void
add_finding(Walk *walk, uint64 seq, const char *finding, bool good,
			const char *detail)
{
	ReturnSetInfo *result = (ReturnSetInfo *) walk->fcinfo->resultinfo;
	Datum		values[] = {Int64GetDatum((int64) seq),
							CStringGetTextDatum(finding), BoolGetDatum(good),
							CStringGetTextDatum(detail)};
	bool		nulls[lengthof(values)] = {0};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Range *
new_range(Walk *walk, uint64 first, uint64 last)
{
	Range	   *range = MemoryContextAlloc(walk->context, sizeof(Range));

	range->first = first;
	range->last = last;
	return range;
}

static List *
append_kept(Walk *walk, List *list, void *element)
{
	MemoryContext old_context = MemoryContextSwitchTo(walk->context);

	list = lappend(list, element);
	MemoryContextSwitchTo(old_context);
	return list;
}

/* ---------------------------------------------------------------- */
/* One entry                                                        */
/* ---------------------------------------------------------------- */

/* An entry that accepts a gap says which. */
/* Whether an act accepts a restore; entries keep the names of their time. */
static bool
is_acceptance(const char *act)
{
	return strcmp(act, PGE_ACCEPT_RESTORE) == 0 ||
		strcmp(act, "env_audit_accept_restore") == 0;	/* 0.1.0 */
}

static void
note_acceptance(Walk *walk, int row, const PgeEntry *entry)
{
	char	   *first = pge_row_text(row, PGE_ENTRY_FIELDS + 3);
	char	   *last = pge_row_text(row, PGE_ENTRY_FIELDS + 4);

	if (is_acceptance(entry->fields[PGE_ENTRY_ACT]) && first != NULL &&
		last != NULL)
		walk->accepted = append_kept(walk, walk->accepted,
									 new_range(walk, strtou64(first, NULL, 10),
											   strtou64(last, NULL, 10)));
}

static PgeEntry *
copy_entry(Walk *walk, const PgeEntry *entry)
{
	MemoryContext old_context = MemoryContextSwitchTo(walk->context);
	PgeEntry   *copy = palloc(sizeof(PgeEntry));

	*copy = *entry;
	for (int i = 0; i < PGE_ENTRY_FIELDS; i++)
	{
		if (entry->fields[i] != NULL)
			copy->fields[i] = pstrdup(entry->fields[i]);
	}
	MemoryContextSwitchTo(old_context);
	return copy;
}

/* Checks that the entry follows the previous one. */
static void
check_place(Walk *walk, uint64 seq, const PgeEntry *entry)
{
	if (seq <= walk->last_seq)
		add_finding(walk, seq, "repeated", false,
					"There is more than one entry of this number.");
	else if (seq != walk->last_seq + 1)
		walk->missing = append_kept(
			walk, walk->missing, new_range(walk, walk->last_seq + 1, seq - 1));
	else if (memcmp(entry->previous, walk->last_mac, ENVL_AUDIT_MAC_LEN) != 0)
		add_finding(walk, seq, "broken", false,
					"It does not follow the entry before it, which is another than was there.");
}

/* Checks the entry that has the anchor's number against the anchor. */
static void
check_anchored(Walk *walk, uint64 seq, const PgeEntry *entry)
{
	if (seq != walk->anchor.seq)
		return;
	walk->anchor_met = true;
	if (memcmp(entry->mac, walk->anchor.mac, ENVL_AUDIT_MAC_LEN) != 0)
		add_finding(walk, seq, "replaced", false,
					"It is not the entry that was anchored.");
}

/* Checks the entry's MAC. */
static bool
check_mac(Walk *walk, uint64 seq, int row, const PgeEntry *entry)
{
	uint8		mac[ENVL_AUDIT_MAC_LEN];
	PgeProblem	problem;
	bool		sound = false;

	if (!pge_entry_mac(entry, mac, &problem))
		add_finding(walk, seq, "unverifiable", false, problem.message);
	else
	{
		sound = envl_secret_equal(mac, entry->mac, ENVL_AUDIT_MAC_LEN);
		if (sound)
			note_acceptance(walk, row, entry);
		else
			walk->moved =
				append_kept(walk, walk->moved, copy_entry(walk, entry));
	}
	return sound;
}

static void
check_entry(Walk *walk, int row)
{
	PgeEntry	entry;
	bool		whole = pge_entry_read(row, &entry);
	uint64		seq = pge_entry_seq(&entry);
	bool		sound = false;

	/* Such a row needs a table whose constraints someone has dropped. */
	if (seq == 0 || seq > PG_INT64_MAX)
	{
		add_finding(walk, seq, "altered", false,
					"It is no entry: its number is not valid.");
		return;
	}
	check_place(walk, seq, &entry);
	if (whole)
		sound = check_mac(walk, seq, row, &entry);
	else
		add_finding(walk, seq, "altered", false,
					"It is no entry: its MACs are not of 32 bytes.");
	check_anchored(walk, seq, &entry);
	pge_seen_add(walk->seen, &entry);

	/*
	 * Among entries with the same number, the next one follows the genuine
	 * one.
	 */
	if (seq != walk->last_seq || sound)
		memcpy(walk->last_mac, entry.mac, ENVL_AUDIT_MAC_LEN);
	walk->last_seq = seq;
}

/* ---------------------------------------------------------------- */
/* All entries                                                      */
/* ---------------------------------------------------------------- */

static void
check_batch(Walk *walk)
{
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		CHECK_FOR_INTERRUPTS();
		check_entry(walk, (int) row);
	}
}

/* Reads the whole log under the active snapshot. */
static void
check_all(Walk *walk)
{
	SPIPlanPtr	plan = SPI_prepare(
		"SELECT " PGE_ENTRY_COLUMNS ","
		" detail ->> 'missing_from', detail ->> 'missing_to'"
		" FROM pgenvelope.audit_log ORDER BY audit_log.seq",
		0, NULL);
	Portal		portal;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed");
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, BATCH);
		if (SPI_processed == 0)
			break;
		check_batch(walk);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
}

static void
report_altered(Walk *walk)
{
	ListCell   *cell;

	pge_seen_sort(walk->seen);
	foreach(cell, walk->moved)
	{
		PgeEntry   *entry = lfirst(cell);
		uint64		place = pge_seen_place(walk->seen, entry);

		CHECK_FOR_INTERRUPTS();
		if (place != 0 && place != pge_entry_seq(entry))
			add_finding(walk, pge_entry_seq(entry), "reordered", false,
						psprintf("It was entry " UINT64_FORMAT ".", place));
		else
			add_finding(walk, pge_entry_seq(entry), "altered", false,
						"It was edited, or forged: it does not have its MAC.");
	}
}

static bool
is_accepted(const Walk *walk, const Range *range)
{
	ListCell   *cell;

	foreach(cell, walk->accepted)
	{
		const Range *accepted = lfirst(cell);

		if (accepted->first == range->first && accepted->last == range->last)
			return true;
	}
	return false;
}

static void
report_missing(Walk *walk)
{
	ListCell   *cell;

	foreach(cell, walk->missing)
	{
		const Range *range = lfirst(cell);
		bool		accepted = is_accepted(walk, range);

		add_finding(
			walk, range->first, accepted ? "accepted" : "missing", accepted,
			psprintf("Entries " UINT64_FORMAT " to " UINT64_FORMAT "%s",
					 range->first, range->last,
					 accepted ?
						 " were lost by a restore, which was accepted." :
						 " are missing."));
	}
}

/*
 * The head that this server knows, once it has caught up with the log; 0 if it
 * knows none, as after a start.  Waits for transactions that have committed
 * and are about to publish.
 */
static uint64
await_head(const Walk *walk)
{
	PgeAnchor	head;

	for (int i = 0; pge_anchor_recall(&head); i++)
	{
		if (head.seq >= walk->last_seq || i == PUBLISH_MS)
			return head.seq;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000);
	}
	return 0;
}

/* Reports genuine entries that this server has not made. */
static void
report_ahead(Walk *walk)
{
	uint64		head;

	if (walk->last_seq <= Max(walk->anchor.seq, pge_act_last()))
		return;
	head = await_head(walk);
	if (head != 0 && head < walk->last_seq)
		add_finding(walk, head + 1, "ahead", false,
					psprintf("Entries " UINT64_FORMAT " to " UINT64_FORMAT
							 " were not made by this server in this database.",
							 head + 1, walk->last_seq));
}

static void
report_anchor(Walk *walk)
{
	if (!walk->trusted)
		add_finding(walk, walk->anchor.seq, "anchor", false,
					"The anchor's file is damaged or forged, or of an audit key that this database does not have.");
	if (walk->anchor.seq == 0)
		add_finding(walk, 0, "no_anchor", true,
					"This server has no anchor yet: the next act makes one.");
	else if (walk->last_seq < walk->anchor.seq)
		add_finding(walk, walk->anchor.seq, "behind", false,
					psprintf("The log ends with entry " UINT64_FORMAT
							 ", and entry " UINT64_FORMAT " was anchored.",
							 walk->last_seq, walk->anchor.seq));
	else if (!walk->anchor_met && walk->trusted)
		add_finding(walk, walk->anchor.seq, "missing", false,
					"The entry that was anchored is missing.");
}

/* ---------------------------------------------------------------- */
/* What SQL calls                                                   */
/* ---------------------------------------------------------------- */

/*
 * The log's readers may verify it, and so may roles with "audit" on its key.
 */
static void
require_auditor(void)
{
	PgeKey	   *key = pge_key_of_audit();

	if (superuser() || has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) ||
		(key != NULL && pge_key_permits(key, PGE_AUDIT) != NULL))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to verify the audit's log"),
			 errhint("Members of pg_monitor may, and so may roles with \"audit\" on the audit key.")));
}

Datum
pgenvelope_verify_audit(PG_FUNCTION_ARGS)
{
	Walk		walk = {.fcinfo = fcinfo,
						.context = CurrentMemoryContext,
						.seen = pge_seen_new()};
	PgeWriter	writer;

	pge_require_preload();
	pge_catalog_begin();
	require_auditor();
	pge_init_materialized(fcinfo);

	/*
	 * The anchor first: then everything that is anchored is in the snapshot.
	 */
	if (!pge_audit_anchor(&walk.anchor, &walk.trusted))
		walk.anchor.seq = 0;
	writer = pge_write_begin();
	PushActiveSnapshot(GetLatestSnapshot());
	check_all(&walk);
	PopActiveSnapshot();
	report_altered(&walk);
	report_missing(&walk);
	report_anchor(&walk);
	report_ahead(&walk);
	add_finding(&walk, walk.last_seq, "checked", true,
				psprintf("%llu entries were checked.",
						 (unsigned long long) pge_seen_count(walk.seen)));
	pge_write_end(&writer);
	return (Datum) 0;
}
