/*
 * pge_use.c
 *	  Records what the current statement did with keys.
 *
 * Entries are in static memory: they outlive every transaction, and adding
 * one or handing them over allocates nothing.  So both still work when a
 * transaction is aborted because memory has run out.
 *
 * The statement that the client sent ends with the outermost call of the
 * executor or of a utility command; a portal's ends when the portal is closed.
 * Work without such a call (a function call by the fast path, the apply worker
 * of logical replication, our own workers) is followed by the end of a
 * transaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "storage/ipc.h"
#include "tcop/utility.h"

#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_use.h"

/* Entries kept, and bytes of their subjects; more are handed over early. */
#define ENTRIES 32
#define SUBJECTS_SIZE 16384

#define CONSUMERS 4

static const char *const operation_names[] = {
	[PGE_USE_NONE] = "none",
	[PGE_USE_ENCRYPT] = "encrypt",
	[PGE_USE_DECRYPT] = "decrypt",
	[PGE_USE_VERIFY] = "verify",
	[PGE_USE_REWRAP] = "rewrap",
	[PGE_USE_REENCRYPT] = "reencrypt",
	[PGE_USE_REBIND] = "rebind",
	[PGE_USE_BIND] = "bind",
};

/* Its subject is never NULL, since memcpy does not accept NULL. */
PgeUse		pge_use = {.subject = {(const uint8 *) "", 0}};
PgeUseEntry *pge_use_last;
Oid			pge_use_role;

static PgeUseEntry entries[ENTRIES];
static int	entry_count;
static char subjects[SUBJECTS_SIZE];
static size_t subjects_len;
static char role_name[NAMEDATALEN];
static TimestampTz statement_start;
static bool exit_registered;

static		void (*consumers[CONSUMERS])(const PgeUses *uses);
static int	consumer_count;

static int	depth;				/* of calls of executor and utility hooks */
static ExecutorRun_hook_type previous_run;
static ExecutorFinish_hook_type previous_finish;
static ExecutorEnd_hook_type previous_end;
static ProcessUtility_hook_type previous_utility;

const char *
pge_operation_name(PgeOperation operation)
{
	return operation_names[operation];
}

bool
pge_operation_opens(PgeOperation operation)
{
	return operation != PGE_USE_ENCRYPT && operation != PGE_USE_REWRAP &&
		operation != PGE_USE_BIND;
}

/* ---------------------------------------------------------------- */
/* Adding up                                                        */
/* ---------------------------------------------------------------- */

void
pge_use_consumer(void (*consumer)(const PgeUses *uses))
{
	if (consumer_count == CONSUMERS)
		elog(ERROR, "too many consumers of uses");
	consumers[consumer_count++] = consumer;
}

/* Hands over all entries, and forgets them. */
static void
hand_over(bool more)
{
	PgeUses		uses = {entries, entry_count, more, statement_start};

	if (entry_count == 0)
		return;

	/* Forget them first, so that a failure here does not happen again. */
	entry_count = 0;
	subjects_len = 0;
	pge_use_last = NULL;
	for (int i = 0; i < consumer_count; i++)
		consumers[i](&uses);
}

void
pge_use_flush(void)
{
	if (unlikely(pge_use.operation != PGE_USE_NONE))
		pge_use_interrupted();
	hand_over(false);

	/* Roles may have other names in the next statement. */
	pge_use_role = InvalidOid;
}

static void
flush_at_exit(int code, Datum arg)
{
	pge_use_flush();
}

/*
 * Looks up what cannot be looked up later, when the entries are handed over.
 */
void
pge_use_learn_role(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	strlcpy(role_name, name != NULL ? name : "", sizeof(role_name));
	pge_line_learn();
	pge_use_role = role;
	if (!exit_registered)
	{
		before_shmem_exit(flush_at_exit, (Datum) 0);
		exit_registered = true;
	}
}

void
pge_use_interrupted(void)
{
	pge_use_end(PGE_INTERRUPTED);
}

static bool
is_alike(const PgeUseEntry *entry, PgeOutcome outcome, uint32 hash)
{
	return entry->subject_hash == hash && entry->key_id == pge_use.key_id &&
		entry->version == pge_use.version &&
		entry->operation == pge_use.operation && entry->outcome == outcome &&
		entry->role == pge_use.role &&
		entry->subject_len == pge_use.subject.len &&
		memcmp(entry->subject, pge_use.subject.data, entry->subject_len) == 0;
}

/* Makes an entry of what is under way. */
static PgeUseEntry *
new_entry(PgeOutcome outcome, uint32 hash)
{
	PgeUseEntry *entry;

	if (entry_count == ENTRIES ||
		subjects_len + pge_use.subject.len > SUBJECTS_SIZE)
		hand_over(true);
	if (entry_count == 0)
		statement_start = GetCurrentStatementStartTimestamp();
	entry = &entries[entry_count++];
	entry->operation = pge_use.operation;
	entry->outcome = outcome;
	entry->version = pge_use.version;
	entry->role = pge_use.role;
	entry->key_id = pge_use.key_id;
	entry->count = 0;
	entry->subject = subjects + subjects_len;
	entry->subject_len = pge_use.subject.len;
	entry->subject_hash = hash;
	memcpy(subjects + subjects_len, pge_use.subject.data,
		   pge_use.subject.len);
	subjects_len += pge_use.subject.len;
	strlcpy(entry->key_name, pge_use.key_name != NULL ? pge_use.key_name : "",
			sizeof(entry->key_name));
	strlcpy(entry->role_name, role_name, sizeof(entry->role_name));
	return entry;
}

void
pge_use_add(PgeOutcome outcome, uint64 count)
{
	PgeUseEntry *entry = NULL;
	uint32		hash = pge_use.subject.len > 0 ?
		hash_bytes(pge_use.subject.data, (int) pge_use.subject.len) :
		0;

	for (int i = 0; i < entry_count && entry == NULL; i++)
	{
		if (is_alike(&entries[i], outcome, hash))
			entry = &entries[i];
	}
	if (entry == NULL)
		entry = new_entry(outcome, hash);
	entry->count += count;
	pge_use_last = entry;
}

/* ---------------------------------------------------------------- */
/* The end of a statement                                           */
/* ---------------------------------------------------------------- */

static void
run(PGE_RUN_PARAMETERS)
{
	depth++;
	PG_TRY();
	{
		if (previous_run)
			previous_run(PGE_RUN_ARGUMENTS);
		else
			standard_ExecutorRun(PGE_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

static void
finish(QueryDesc *query)
{
	depth++;
	PG_TRY();
	{
		if (previous_finish)
			previous_finish(query);
		else
			standard_ExecutorFinish(query);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

static void
end(QueryDesc *query)
{
	if (previous_end)
		previous_end(query);
	else
		standard_ExecutorEnd(query);
	if (depth == 0)
		pge_use_flush();
}

static void
utility(PlannedStmt *statement, const char *text, bool read_only,
		ProcessUtilityContext context, ParamListInfo parameters,
		QueryEnvironment *environment, DestReceiver *receiver,
		QueryCompletion *completion)
{
	depth++;
	PG_TRY();
	{
		if (previous_utility)
			previous_utility(statement, text, read_only, context, parameters,
							 environment, receiver, completion);
		else
			standard_ProcessUtility(statement, text, read_only, context,
									parameters, environment, receiver,
									completion);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	if (depth == 0)
		pge_use_flush();
}

/*
 * Hands over before the commit, since nothing may raise an error after it.
 * None of our code runs in between.
 */
static void
transaction_ends(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			pge_use_flush();
			break;
		default:
			break;
	}
}

static void
subtransaction_ends(SubXactEvent event, SubTransactionId subtransaction,
					SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB &&
		unlikely(pge_use.operation != PGE_USE_NONE))
		pge_use_interrupted();
}

void
pge_use_init(void)
{
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish;
	previous_end = ExecutorEnd_hook;
	ExecutorEnd_hook = end;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	RegisterXactCallback(transaction_ends, NULL);
	RegisterSubXactCallback(subtransaction_ends, NULL);
}
