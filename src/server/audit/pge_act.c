/*
 * pge_act.c
 *	  Admin acts: what a role did to keys and rights.
 *
 * A line is made during the act, in two versions.  One of them is written when
 * the transaction commits or aborts, a moment at which no memory should be
 * allocated.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "audit/pge_act.h"
#include "audit/pge_audit.h"
#include "audit/pge_audit_log.h"
#include "audit/pge_audit_settings.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_line.h"

#define SQLSTATE_ACT MAKE_SQLSTATE('P', 'E', 'A', '0', '2')

/* A line that waits for the end of its transaction. */
typedef struct Pending
{
	slist_node	node;
	int			level;			/* nesting level of the transaction */
	PgeAnchor	head;			/* its entry in the chain; seq 0: none */
	char	   *committed;
	char	   *rolled_back;
} Pending;

static MemoryContext act_context;	/* of the waiting lines */
static slist_head pending = SLIST_STATIC_INIT(pending); /* newest first */

/* ---------------------------------------------------------------- */
/* Acts that are refused                                            */
/* ---------------------------------------------------------------- */

/* The act that was attempted has failed. */
static void
log_refusal(void)
{
	StringInfoData line;
	PgeActing	attempt = pge_acting;

	if (attempt.act[0] == '\0')
		return;
	pge_acting_end();
	if (pge_audit < PGE_AUDIT_ADMIN)
		return;
	pge_line_begin(&line, "act");
	pge_line_text(&line, "act", attempt.act);
	pge_line_text(&line, "role", attempt.role);
	pge_line_text(&line, "key",
				  attempt.key_name[0] != '\0' ? attempt.key_name : NULL);
	pge_line_text(&line, "outcome", "refused");
	pge_line_text(&line, "reason",
				  attempt.outcome != PGE_OK ?
					  pge_outcome_name(attempt.outcome) :
					  "error");
	pge_line_end(&line, SQLSTATE_ACT);
}

/* ---------------------------------------------------------------- */
/* Acts that are done                                               */
/* Successful acts */

char *
pge_act_details_list(const char *name, ...)
{
	StringInfoData object;
	va_list		args;

	initStringInfo(&object);
	appendStringInfoChar(&object, '{');
	va_start(args, name);
	while (name != NULL)
	{
		const char *value = va_arg(args, const char *);

		if (value != NULL)
			pge_line_text(&object, name, value);
		name = va_arg(args, const char *);
	}
	va_end(args);
	appendStringInfoChar(&object, '}');
	return object.data;
}

/* Begins the line of an act, up to its result. */
static void
begin_line(StringInfo line, const PgeAct *act)
{
	pge_line_begin(line, "act");
	pge_line_text(line, "act", act->act);
	pge_line_text(line, "role", pge_acting.role);
	pge_line_text(line, "key", act->key_name);
	if (act->key_id != 0)
		appendStringInfo(line, ",\"key_id\":\"%012llx\"",
						 (unsigned long long) act->key_id);
	if (act->version != 0)
		appendStringInfo(line, ",\"version\":%d", act->version);
	appendStringInfo(line, ",\"detail\":%s",
					 act->details != NULL ? act->details : "{}");
	pge_line_time(line, "statement_start",
				  GetCurrentStatementStartTimestamp());
}

/* Adds the act's entry in the chain. */
static void
append_head(StringInfo line, const PgeAnchor *head)
{
	appendStringInfo(line, ",\"seq\":" UINT64_FORMAT ",\"mac\":\"",
					 head->seq);
	for (int i = 0; i < ENVL_AUDIT_MAC_LEN; i++)
		appendStringInfo(line, "%02x", head->mac[i]);
	appendStringInfoChar(line, '"');
}

/* Keeps a line, and its entry's anchor, until the transaction ends. */
static void
keep_line(const StringInfo line, const PgeAnchor *head)
{
	MemoryContext old_context;
	Pending    *entry;

	if (act_context == NULL)
		act_context = AllocSetContextCreate(TopMemoryContext,
											"pgenvelope acts",
											ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(act_context);
	entry = palloc(sizeof(Pending));
	entry->level = GetCurrentTransactionNestLevel();
	entry->head = *head;
	entry->committed = psprintf("%s,\"outcome\":\"committed\"}", line->data);
	entry->rolled_back = psprintf("%s,\"outcome\":\"rolled_back\"}",
								  line->data);
	MemoryContextSwitchTo(old_context);
	slist_push_head(&pending, &entry->node);
}

/* This transaction's last chained entry, or NULL. */
static const PgeAnchor *
find_last_entry(void)
{
	slist_iter	cell;

	slist_foreach(cell, &pending)
	{
		const Pending *entry = slist_container(Pending, node, cell.cur);

		if (entry->head.seq != 0)
			return &entry->head;
	}
	return NULL;
}

/* Logs and chains an act that has succeeded. */
static void
finish_act(const PgeAct *act, bool chained)
{
	PgeAnchor	head = {0};
	StringInfoData line;

	pge_acting_begin(act->act);
	if (act->key_name != NULL)
		pge_acting_key(act->key_name);
	if (chained)
		chained = pge_audit_append(act, pge_acting.role, find_last_entry(),
								   &head);
	begin_line(&line, act);
	if (chained)
		append_head(&line, &head);
	keep_line(&line, &head);
	pge_acting_end();
}

void
pge_audit_act(const char *act, uint64 key_id, const char *key_name,
			  int version, const char *details)
{
	PgeAct		done = {act, key_id, key_name, version, details};

	finish_act(&done, true);
}

void
pge_log_act(const char *act, uint64 key_id, const char *key_name,
			const char *details)
{
	PgeAct		done = {act, key_id, key_name, 0, details};

	finish_act(&done, false);
}

/* ---------------------------------------------------------------- */
/* The end of a transaction                                         */
/* ---------------------------------------------------------------- */

/* Writes the lines of this level and inner ones, oldest first. */
static void
write_lines(int level, bool committed)
{
	slist_head	oldest_first = SLIST_STATIC_INIT(oldest_first);
	slist_iter	cell;

	while (!slist_is_empty(&pending) &&
		   slist_head_element(Pending, node, &pending)->level >= level)
		slist_push_head(&oldest_first, slist_pop_head_node(&pending));
	slist_foreach(cell, &oldest_first)
	{
		Pending    *entry = slist_container(Pending, node, cell.cur);

		if (pge_audit >= PGE_AUDIT_ADMIN)
			pge_line_write(committed ? entry->committed : entry->rolled_back,
						   SQLSTATE_ACT);
	}
}

uint64
pge_act_last(void)
{
	const PgeAnchor *last = find_last_entry();

	return last != NULL ? last->seq : 0;
}

/*
 * Refuses PREPARE TRANSACTION: the session that commits it would not know the
 * new head.
 */
static void
refuse_prepare(void)
{
	if (find_last_entry() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a transaction that administers keys cannot be prepared where acts are chained")));
}

static void
transaction_ends(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			return;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			pge_acting_end();
			if (find_last_entry() != NULL)
				pge_anchor_publish(find_last_entry());
			write_lines(0, true);
			break;
		case XACT_EVENT_ABORT:
			write_lines(0, false);
			log_refusal();
			break;
		default:
			return;
	}
	if (act_context != NULL)
		MemoryContextReset(act_context);
}

static void
subtransaction_ends(SubXactEvent event, SubTransactionId subtransaction,
					SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	slist_iter	cell;

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		write_lines(level, false);
		log_refusal();
	}
	if (event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	slist_foreach(cell, &pending)
	{
		Pending    *entry = slist_container(Pending, node, cell.cur);

		entry->level = Min(entry->level, level - 1);
	}
}

void
pge_act_init(void)
{
	RegisterXactCallback(transaction_ends, NULL);
	RegisterSubXactCallback(subtransaction_ends, NULL);
}
