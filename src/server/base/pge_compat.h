/*
 * pge_compat.h
 *	  Every difference between PostgreSQL 14 and 18 that the code meets.
 *
 * No other file tests PG_VERSION_NUM.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_COMPAT_H
#define PGE_COMPAT_H

#include <time.h>

#include "access/heapam_xlog.h"
#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/pg_class.h"
#include "commands/vacuum.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

#if PG_VERSION_NUM >= 160000
#include "parser/parse_relation.h"
#include "varatt.h"
#endif

/*
 * Before 16 only the connection knows the client's authenticated identity.
 * Its header needs those of Kerberos, for a pointer that, as the header says,
 * has the same size without them.
 */
#if PG_VERSION_NUM < 160000
#undef ENABLE_GSS
#include "libpq/libpq-be.h"
#endif

/* 18 puts it before a declaration, and as in C11. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 17 ends transactions that take too long. */
#define PGE_TRANSACTION_TIMEOUT (PG_VERSION_NUM >= 170000)

/* 15 brought the name. */
#ifndef strtou64
#define strtou64(text, end, base) ((uint64) strtoull(text, end, base))
#endif

/* 15 moved the request for shared memory into its own hook. */
#if PG_VERSION_NUM >= 150000
#define PGE_SHMEM_REQUEST_HOOK 1
#else
#define PGE_SHMEM_REQUEST_HOOK 0
#endif

/* 15 lets superusers grant the right to set a parameter. */
#define PGE_PARAMETER_ACL (PG_VERSION_NUM >= 150000)

/* 15 gave custom settings a reserved prefix. */
#if PG_VERSION_NUM >= 150000
#define pge_reserve_prefix(prefix) MarkGUCPrefixReserved(prefix)
#else
#define pge_reserve_prefix(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 18 dropped the executor's argument that says it runs only once. */
#if PG_VERSION_NUM >= 180000
#define PGE_RUN_PARAMETERS \
	QueryDesc *query, ScanDirection direction, uint64 count
#define PGE_RUN_ARGUMENTS query, direction, count
#else
#define PGE_RUN_PARAMETERS \
	QueryDesc *query, ScanDirection direction, uint64 count, bool once
#define PGE_RUN_ARGUMENTS query, direction, count, once
#endif

/* 16 replaced the ownership checks of the catalogs by a single one. */
static inline bool
pge_owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

/*
 * Whether a role that is not a superuser can SET ROLE to another.  From 16 on
 * a membership may lack that, as the membership of a role's creator does.
 */
static inline bool
pge_can_set_role(Oid role, Oid other)
{
#if PG_VERSION_NUM >= 160000
	return !superuser_arg(role) && member_can_set_role(role, other);
#else
	return is_member_of_role_nosuper(role, other);
#endif
}

/* 16 lets input functions report an error without raising it. */
#ifndef ereturn
#define ereturn(context, result, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* From 18 on, the delay point has an argument: whether ANALYZE calls it. */
#if PG_VERSION_NUM >= 180000
#define vacuum_delay_point_compat() vacuum_delay_point(true)
#else
#define vacuum_delay_point_compat() vacuum_delay_point()
#endif

/* 15 added a function that begins a result of many rows. */
static inline void
pge_init_materialized(FunctionCallInfo fcinfo)
{
#if PG_VERSION_NUM >= 150000
	InitMaterializedSRF(fcinfo, 0);
#else
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old_context;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_Materialize))
		elog(ERROR, "set-valued function called in a context that cannot accept a set");
	old_context =
		MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &result->setDesc) !=
		TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result->setResult = tuplestore_begin_heap(true, false, work_mem);
	result->returnMode = SFRM_Materialize;
	MemoryContextSwitchTo(old_context);
#endif
}

/* 17 lets a resource owner remember the set instead of a memory context. */
static inline WaitEventSet *
pge_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* From 17 on, an extension can name what it waits for. */
static inline uint32
pge_named_wait_event(uint32 *event, const char *name)
{
#if PG_VERSION_NUM >= 170000
	if (*event == 0)
		*event = WaitEventExtensionNew(name);
	return *event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* A key that is being unsealed; the keeper: anything to do. */
static inline uint32
pge_wait_event(void)
{
	static uint32 event = 0;

	return pge_named_wait_event(&event, "PgenvelopeKey");
}

/* The launcher: anything to do. */
static inline uint32
pge_wait_event_launcher(void)
{
	static uint32 event = 0;

	return pge_named_wait_event(&event, "PgenvelopeLauncher");
}

/* A rewrap worker: a rate limit, a standby, or something that falls due. */
static inline uint32
pge_wait_event_pace(void)
{
	static uint32 event = 0;

	return pge_named_wait_event(&event, "PgenvelopeRewrapPace");
}

/*
 * Logs a pruning that removes nothing, with an image of the page: replay takes
 * a cleanup lock, then restores the image (pge_page.c).  17 made the cleanup
 * lock a flag of the record.
 */
static inline XLogRecPtr
pge_log_page(Buffer buffer)
{
	xl_heap_prune record;
	uint8		info;

	memset(&record, 0, sizeof(record));
#if PG_VERSION_NUM >= 170000
	record.flags = XLHP_CLEANUP_LOCK;
	info = XLOG_HEAP2_PRUNE_ON_ACCESS;
#else
	info = XLOG_HEAP2_PRUNE;
#endif
	XLogBeginInsert();
	XLogRegisterData((char *) &record, SizeOfHeapPrune);
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD | REGBUF_FORCE_IMAGE);
	return XLogInsert(RM_HEAP2_ID, info);
}

/* The clock is read for every value; Linux has one that costs 5 ns. */
#ifdef CLOCK_MONOTONIC_COARSE
#define PGE_CLOCK CLOCK_MONOTONIC_COARSE
#else
#define PGE_CLOCK CLOCK_MONOTONIC
#endif

/* 16 gave the actions of the JSON parser a result; these never fail. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType PgeJsonAction;
#define PGE_JSON_GO_ON JSON_SUCCESS
#else
typedef void PgeJsonAction;
#define PGE_JSON_GO_ON
#endif

/*
 * A lexer of JSON in UTF-8 that copies no string; 17 can have it on the stack.
 */
static inline JsonLexContext *
pge_make_json_lexer(char *text, size_t len)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, text, len, PG_UTF8, false);
#else
	return makeJsonLexContextCstringLen(text, (int) len, PG_UTF8, false);
#endif
}

/* A random number in [0, 1), not for secrets; 15 brought a generator. */
static inline double
pge_random_fraction(void)
{
#if PG_VERSION_NUM >= 150000
	return pg_prng_double(&pg_global_prng_state);
#else
	return (double) random() / ((double) MAX_RANDOM_VALUE + 1);
#endif
}

/* 16 renamed the file of a relation. */
static inline Oid
pge_relfilenode(Relation relation)
{
#if PG_VERSION_NUM >= 160000
	return relation->rd_locator.relNumber;
#else
	return relation->rd_node.relNode;
#endif
}

/*
 * Gives an executor state one table, of which it updates some columns
 * (attribute numbers less FirstLowInvalidHeapAttributeNumber).  16 took the
 * columns out of the range table; 18 needs to know what was not pruned.
 */
static inline void
pge_init_range_table(EState *estate, RangeTblEntry *entry, Bitmapset *updated)
{
#if PG_VERSION_NUM >= 160000
	List	   *permissions = NIL;

	addRTEPermissionInfo(&permissions, entry)->updatedCols = updated;
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, list_make1(entry), permissions,
					   bms_make_singleton(1));
#else
	ExecInitRangeTable(estate, list_make1(entry), permissions);
#endif
#else
	entry->updatedCols = updated;
	ExecInitRangeTable(estate, list_make1(entry));
#endif
}

/* 18 can find a primary key that is checked late, too. */
static inline Oid
pge_primary_key_index(Relation relation)
{
#if PG_VERSION_NUM >= 180000
	return RelationGetPrimaryKeyIndex(relation, false);
#else
	return RelationGetPrimaryKeyIndex(relation);
#endif
}

/* 16 lets an update say that only summarizing indexes need entries. */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes PgeUpdateIndexes;
#else
typedef bool PgeUpdateIndexes;
#endif

/* Makes the index entries of an updated row; returns what must be checked
 * again later, as ExecInsertIndexTuples does. */
static inline List *
pge_insert_index_entries(ResultRelInfo *result, TupleTableSlot *slot,
						 EState *estate, PgeUpdateIndexes which)
{
#if PG_VERSION_NUM >= 160000
	if (which == TU_None)
		return NIL;
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL,
								 which == TU_Summarizing);
#else
	if (!which)
		return NIL;
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL,
								 NIL);
#endif
}

/* 17 renamed the number of a backend in a virtual transaction id. */
static inline int
pge_vxid_backend(VirtualTransactionId transaction)
{
#if PG_VERSION_NUM >= 170000
	return transaction.procNumber;
#else
	return transaction.backendId;
#endif
}

static inline void
pge_set_vxid_backend(VirtualTransactionId *transaction, int backend)
{
#if PG_VERSION_NUM >= 170000
	transaction->procNumber = backend;
#else
	transaction->backendId = backend;
#endif
}

/*
 * The client's authenticated identity; NULL: it has not authenticated (trust),
 * or there is no client.  16 adds the method: "peer:alice".
 */
static inline char *
pge_client_identity(void)
{
#if PG_VERSION_NUM >= 160000
	const char *system_user = GetSystemUser();

	return system_user == NULL ? NULL : pstrdup(system_user);
#else
	if (MyProcPort == NULL || MyProcPort->authn_id == NULL)
		return NULL;
	return pstrdup(MyProcPort->authn_id);
#endif
}

/* 17 renamed a process's number, and moved its transaction's number. */
static inline int
pge_process_number(const PGPROC *process)
{
#if PG_VERSION_NUM >= 170000
	return GetNumberFromPGProc(process);
#else
	return process->pgprocno;
#endif
}

static inline LocalTransactionId
pge_local_transaction(const PGPROC *process)
{
#if PG_VERSION_NUM >= 170000
	return process->vxid.lxid;
#else
	return process->lxid;
#endif
}

#endif							/* PGE_COMPAT_H */
