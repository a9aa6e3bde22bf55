/*
 * pge_statistics.c
 *	  How often which role did what with which key, since the server started.
 *
 * A table of fixed size in shared memory.  Each statement adds what it did at
 * its end (pge_use.h), so single values cost nothing here.  When the table is
 * full, uses are counted only by operation and outcome; it is never an error.
 *
 * Locking protocol.  Shared: look an element up, add to its count, read.
 * Exclusive: insert an element, reset.  An element's kind does not change
 * while it is in the table.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "audit/pge_statistics.h"
#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "keys/pge_key_cache.h"

PG_FUNCTION_INFO_V1(pgenvelope_stat_use);
PG_FUNCTION_INFO_V1(pgenvelope_reset_stat);

/* Columns as sql/parts/views.sql has them. */
#define STAT_COLUMNS 6

/* The size, a power of two, and how many elements are used at most. */
#define ELEMENTS 4096
#define ELEMENTS_USED (ELEMENTS / 4 * 3)

#define OPERATIONS (PGE_USE_BIND + 1)
#define OUTCOMES (PGE_INTERNAL + 1)

/* What is counted together. */
typedef struct Kind
{
	Oid			database;
	Oid			role;
	uint64		key_id;			/* 0: none */
	uint32		operation;		/* 0: the element is unused */
	uint32		outcome;
} Kind;

typedef struct Element
{
	Kind		kind;			/* under lock */
	pg_atomic_uint64 count;		/* atomic */
} Element;

typedef struct Statistics
{
	LWLock	   *lock;
	int			used;			/* elements; under lock */
	pg_atomic_uint64 others[OPERATIONS][OUTCOMES];	/* atomic */
	Element		elements[ELEMENTS];
} Statistics;

static Statistics *statistics;

void
pge_statistics_request(void)
{
	RequestAddinShmemSpace(sizeof(Statistics));
	RequestNamedLWLockTranche("pgenvelope_statistics", 1);
}

/* Resets everything.  Caller holds the lock exclusively, or is alone. */
static void
begin_anew(void)
{
	statistics->used = 0;
	for (int i = 0; i < OPERATIONS; i++)
	{
		for (int j = 0; j < OUTCOMES; j++)
			pg_atomic_init_u64(&statistics->others[i][j], 0);
	}
	for (int i = 0; i < ELEMENTS; i++)
	{
		memset(&statistics->elements[i].kind, 0, sizeof(Kind));
		pg_atomic_init_u64(&statistics->elements[i].count, 0);
	}
}

void
pge_statistics_attach(void)
{
	bool		found;

	statistics = ShmemInitStruct("pgenvelope statistics", sizeof(Statistics),
								 &found);
	if (found)
		return;
	statistics->lock = &GetNamedLWLockTranche("pgenvelope_statistics")->lock;
	begin_anew();
}

/* ---------------------------------------------------------------- */
/* Counting                                                         */
/* ---------------------------------------------------------------- */

/*
 * Finds the element of that kind, or the unused one where it belongs.  One of
 * them exists: the table is never full.  Caller holds the lock.
 */
static Element *
find_element(const Kind *kind)
{
	uint32		i = hash_bytes((const unsigned char *) kind, sizeof(Kind));

	for (;; i++)
	{
		Element    *element = &statistics->elements[i % ELEMENTS];

		if (element->kind.operation == 0 ||
			memcmp(&element->kind, kind, sizeof(Kind)) == 0)
			return element;
	}
}

/* Adds to an existing element.  False if there is none. */
static bool
add_to_known(const Kind *kind, uint64 count)
{
	Element    *element;
	bool		is_known;

	LWLockAcquire(statistics->lock, LW_SHARED);
	element = find_element(kind);
	is_known = element->kind.operation != 0;
	if (is_known)
		pg_atomic_fetch_add_u64(&element->count, count);
	LWLockRelease(statistics->lock);
	return is_known;
}

/* Adds to an element, which is inserted if there is room.  False if not. */
static bool
add_to_new(const Kind *kind, uint64 count)
{
	Element    *element;
	bool		has_room;

	LWLockAcquire(statistics->lock, LW_EXCLUSIVE);
	element = find_element(kind);
	has_room = element->kind.operation != 0 ||
		statistics->used < ELEMENTS_USED;
	if (has_room)
	{
		statistics->used += element->kind.operation == 0;
		element->kind = *kind;
		pg_atomic_fetch_add_u64(&element->count, count);
	}
	LWLockRelease(statistics->lock);
	return has_room;
}

/* Receives what statements did; reads no catalog and raises nothing. */
static void
count_uses(const PgeUses *uses)
{
	for (int i = 0; i < uses->count; i++)
	{
		const PgeUseEntry *entry = &uses->entries[i];
		Kind		kind;

		memset(&kind, 0, sizeof(kind));
		kind.database = MyDatabaseId;
		kind.role = entry->role;

		/*
		 * A row may name a key id that is no key of this database.  Drop it,
		 * or rows with invented ids could fill the table.
		 */
		kind.key_id = entry->key_name[0] != '\0' ? entry->key_id : 0;
		kind.operation = entry->operation;
		kind.outcome = entry->outcome;
		if (!add_to_known(&kind, entry->count) &&
			!add_to_new(&kind, entry->count))
			pg_atomic_fetch_add_u64(
				&statistics->others[entry->operation][entry->outcome],
				entry->count);
	}
}

void
pge_statistics_init(void)
{
	pge_use_consumer(count_uses);
}

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

/* For the uses that found no room the database is null. */
static void
put_row(ReturnSetInfo *result, const Kind *kind, uint64 count)
{
	Datum		values[STAT_COLUMNS];
	bool		nulls[STAT_COLUMNS] = {0};
	int			n = 0;

	nulls[n] = kind->database == InvalidOid;
	values[n++] = ObjectIdGetDatum(kind->database);
	nulls[n] = kind->key_id == 0;
	values[n++] = Int64GetDatum((int64) kind->key_id);
	nulls[n] = kind->role == InvalidOid;
	values[n++] = ObjectIdGetDatum(kind->role);
	values[n++] = CStringGetTextDatum(
		pge_operation_name((PgeOperation) kind->operation));
	values[n++] = CStringGetTextDatum(
		pge_outcome_name((PgeOutcome) kind->outcome));
	values[n++] = Int64GetDatum((int64) count);
	Assert(n == STAT_COLUMNS && n == result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_others(ReturnSetInfo *result)
{
	for (uint32 i = 0; i < OPERATIONS; i++)
	{
		for (uint32 j = 0; j < OUTCOMES; j++)
		{
			Kind		kind = {.operation = i, .outcome = j};
			uint64		count = pg_atomic_read_u64(&statistics->others[i][j]);

			if (count > 0)
				put_row(result, &kind, count);
		}
	}
}

Datum
pgenvelope_stat_use(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Kind	   *names;
	uint64	   *counts;
	int			count = 0;

	pge_require_preload();
	pge_init_materialized(fcinfo);
	names = palloc(sizeof(Kind) * ELEMENTS);
	counts = palloc(sizeof(uint64) * ELEMENTS);
	LWLockAcquire(statistics->lock, LW_SHARED);
	for (int i = 0; i < ELEMENTS; i++)
	{
		const Element *element = &statistics->elements[i];

		if (element->kind.operation == 0)
			continue;
		names[count] = element->kind;
		counts[count++] = pg_atomic_read_u64(
			(pg_atomic_uint64 *) &element->count);
	}
	LWLockRelease(statistics->lock);
	for (int i = 0; i < count; i++)
		put_row(result, &names[i], counts[i]);
	put_others(result);
	PG_RETURN_NULL();
}

Datum
pgenvelope_reset_stat(PG_FUNCTION_ARGS)
{
	pge_require_preload();
	LWLockAcquire(statistics->lock, LW_EXCLUSIVE);
	begin_anew();
	LWLockRelease(statistics->lock);
	LWLockAcquire(pge_key_cache->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGE_COUNTED_PROVIDERS; i++)
	{
		/* Whether it fails is no statistics. */
		memset(pge_key_cache->provider_stats[i].calls, 0,
			   sizeof(pge_key_cache->provider_stats[i].calls));
	}
	LWLockRelease(pge_key_cache->lock);
	PG_RETURN_VOID();
}
