/*
 * pge_census.c
 *	  Finds out which key versions the stored values need, by reading all of
 *	  them.
 *
 * A table is read in chunks of blocks, all under one snapshot.  The table's
 * lock is released between chunks, so that DDL waits for a moment and not for
 * hours.  This is correct as long as the table keeps its file: rows of the
 * snapshot stay where they are, and none are added to them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/backend_status.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "catalog/pge_catalog.h"
#include "core/envl_format.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_places.h"
#include "rewrite/pge_batch.h"

/* Blocks to read under one lock: 32 MB. */
#define CHUNK_BLOCKS 4096

/*
 * How many key versions in a column get a counter without a check that they
 * exist.  Forged values could otherwise make us keep a counter for each.
 */
#define FORGED_MAX 10000

/* The most columns that a table can have. */
#define COLUMNS_MAX MaxHeapAttributeNumber

/* How much to read of a value, and where in it the key version's name is. */
#define HEADER_LEN PGE_WRAP_PREFIX
#define NAME_OFFSET ENVL_OFFSET_VERSION

/* A counter, found by the bytes that name the key version. */
typedef struct Counter
{
	uint64		name;			/* bytes 2..9 of the values, as stored; 0 if
								 * they are no values */
	PgeCount   *count;
} Counter;

/* The counts of a column. */
typedef struct Column
{
	AttrNumber	attribute;
	HTAB	   *counters;
	Counter    *last;			/* used last */
} Column;

typedef struct Table
{
	Oid			relation;
	int			column_count;
	Column		columns[FLEXIBLE_ARRAY_MEMBER];
} Table;

/* ---------------------------------------------------------------- */
/* Counting values                                                  */
/* ---------------------------------------------------------------- */

static PgeCount *
new_count(Oid relation, AttrNumber attribute, uint64 name)
{
	PgeCount   *count = palloc0(sizeof(PgeCount));
	uint8		bytes[sizeof(name)];

	memcpy(bytes, &name, sizeof(name));
	count->relation = relation;
	count->attribute = attribute;
	count->version = (uint16) (bytes[0] << 8 | bytes[1]);
	for (int i = 2; i < (int) sizeof(name); i++)
		count->key_id = count->key_id << 8 | bytes[i];
	return count;
}

/*
 * The name under which to count a value: its own name if that key version
 * exists; otherwise the key with no version; 0 if the key does not exist.
 */
static uint64
existing_name(uint64 name)
{
	PgeCount   *read = new_count(InvalidOid, InvalidAttrNumber, name);
	PgeKey	   *key = read->key_id != 0 ? pge_key_by_id(read->key_id) : NULL;
	uint8		bytes[sizeof(name)];

	if (key == NULL)
		name = 0;
	else if (pge_key_version(key, read->version) == NULL)
	{
		memcpy(bytes, &name, sizeof(name));
		bytes[0] = bytes[1] = 0;
		memcpy(&name, bytes, sizeof(name));
	}
	pfree(read);
	return name;
}

/* The counter of a key version. */
static Counter *
find_counter(Oid relation, Column *column, uint64 name)
{
	Counter    *counter;
	bool		found;

	if (column->counters == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(uint64),
							   .entrysize = sizeof(Counter),
							   .hcxt = CurrentMemoryContext};

		column->counters = hash_create("pgenvelope census", 16, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	counter = hash_search(column->counters, &name, HASH_FIND, NULL);
	if (counter == NULL)
	{
		if (hash_get_num_entries(column->counters) >= FORGED_MAX)
			name = existing_name(name);
		counter = hash_search(column->counters, &name, HASH_ENTER, &found);
		if (!found)
			counter->count = new_count(relation, column->attribute, name);
	}
	return column->last = counter;
}

/* The bytes that name a value's key version; 0 if this is not a value. */
static inline uint64
name_of(const uint8 *header, size_t len)
{
	uint64		name;

	if (unlikely(len < HEADER_LEN || header[0] != ENVL_MAGIC_1))
		return 0;
	memcpy(&name, header + NAME_OFFSET, sizeof(name));
	return name;
}

static uint64
name_of_toasted(Datum value)
{
	struct varlena *header = PG_DETOAST_DATUM_SLICE(value, 0, HEADER_LEN);
	uint64		name = name_of((const uint8 *) VARDATA_ANY(header),
							   VARSIZE_ANY_EXHDR(header));

	pfree(header);
	return name;
}

static inline uint64
name_of_datum(Datum value)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);

	if (unlikely(VARATT_IS_EXTERNAL(pointer) || VARATT_IS_COMPRESSED(pointer)))
		return name_of_toasted(value);
	return name_of((const uint8 *) VARDATA_ANY(pointer),
				   VARSIZE_ANY_EXHDR(pointer));
}

static inline void
count_value(Oid relation, Column *column, Datum value)
{
	uint64		name = name_of_datum(value);
	Counter    *counter = column->last;

	if (unlikely(counter == NULL || counter->name != name))
		counter = find_counter(relation, column, name);
	counter->count->count++;
}

/* ---------------------------------------------------------------- */
/* Reading tables                                                   */
/* ---------------------------------------------------------------- */

/*
 * Reads some blocks.  Stops early at a value of the wanted key, if there is
 * one.
 */
static bool
count_blocks(Relation relation, Table *table, Snapshot snapshot,
			 BlockNumber first, BlockNumber count, uint64 wanted_key)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	TableScanDesc scan = table_beginscan_strat(relation, snapshot, 0, NULL,
											   true, false);
	HeapTuple	row;
	bool		found = false;

	heap_setscanlimits(scan, first, count);
	while (!found && (row = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		for (int i = 0; i < table->column_count; i++)
		{
			Column	   *column = &table->columns[i];
			bool		isnull;
			Datum		value = heap_getattr(row, column->attribute,
											 descriptor, &isnull);

			if (isnull)
				continue;
			count_value(table->relation, column, value);
			if (wanted_key != 0 &&
				column->last->count->key_id == wanted_key)
				found = true;
		}
	}
	table_endscan(scan);
	return found;
}

static Table *
new_table(Relation relation)
{
	AttrNumber	attributes[COLUMNS_MAX];
	int			count = pge_envelope_columns(relation, attributes,
											 lengthof(attributes));
	Table	   *table = palloc0(offsetof(Table, columns) +
								count * sizeof(Column));

	table->relation = RelationGetRelid(relation);
	table->column_count = count;
	for (int i = 0; i < count; i++)
		table->columns[i].attribute = attributes[i];
	return table;
}

/* Whether the table still has all the columns that it had. */
static bool
has_columns(const Table *table, const PgePlace *place)
{
	ListCell   *cell;

	foreach(cell, place->attributes)
	{
		bool		found = false;

		for (int i = 0; i < table->column_count && !found; i++)
			found = table->columns[i].attribute == lfirst_int(cell);
		if (!found)
			return false;
	}
	return true;
}

static List *
take_counts(List *counts, const Table *table)
{
	for (int i = 0; i < table->column_count; i++)
	{
		HASH_SEQ_STATUS scan;
		Counter    *counter;

		if (table->columns[i].counters == NULL)
			continue;
		hash_seq_init(&scan, table->columns[i].counters);
		while ((counter = hash_seq_search(&scan)) != NULL)
			counts = lappend(counts, counter->count);
		hash_destroy(table->columns[i].counters);
	}
	return counts;
}

static void
show_progress(const char *name, BlockNumber block, BlockNumber total)
{
	char		activity[256];

	if (MyBackendType != B_BG_WORKER)
		return;
	snprintf(activity, sizeof(activity),
			 "pgenvelope: counting the values of %s, block %u of %u", name,
			 block, total);
	pgstat_report_activity(STATE_RUNNING, activity);
}

/*
 * Reads a chunk, and returns its end in *block.  False: the table was
 * rewritten since pge_places looked, or a column was dropped.
 */
static bool
count_chunk(const PgePlace *place, Relation relation, Snapshot snapshot,
			Table **table, BlockNumber *block, BlockNumber *total)
{
	BlockNumber count;

	if (*table == NULL)
		*table = new_table(relation);
	if (pge_relfilenode(relation) != place->relfilenode ||
		!has_columns(*table, place))
		return false;
	*total = RelationGetNumberOfBlocks(relation);
	count = *block < *total ? Min(CHUNK_BLOCKS, *total - *block) : 0;
	if (count > 0)
		count_blocks(relation, *table, snapshot, *block, count, 0);
	*block += count;
	return true;
}

/*
 * Counts the values of a table.  If the table was changed, they may by now be
 * in a table or a column that the snapshot does not have.
 */
static PgeCensusEnd
count_table(const PgePlace *place, Snapshot snapshot, PgeCensusLook look,
			void *argument, List **counts)
{
	Table	   *table = NULL;
	BlockNumber block = 0;
	BlockNumber total = 0;

	do
	{
		Relation	relation;
		bool		same;

		CHECK_FOR_INTERRUPTS();
		show_progress(place->name, block, total);
		if (!look(argument, place, block, total))
			return PGE_CENSUS_STOPPED;
		relation = try_relation_open(place->relation, AccessShareLock);
		if (relation == NULL)
			return PGE_CENSUS_CHANGED;
		same = count_chunk(place, relation, snapshot, &table, &block, &total);
		relation_close(relation, AccessShareLock);
		if (!same)
			return PGE_CENSUS_CHANGED;
	} while (block < total);
	*counts = take_counts(*counts, table);
	return PGE_CENSUS_DONE;
}

PgeCensusEnd
pge_census(List *places, Snapshot snapshot, PgeCensusLook look,
		   void *argument, List **counts)
{
	PgeCensusEnd end = PGE_CENSUS_DONE;
	ListCell   *cell;

	*counts = NIL;
	foreach(cell, places)
	{
		const PgePlace *place = lfirst(cell);

		if (place->uncovered == NULL)
			end = count_table(place, snapshot, look, argument, counts);
		if (end != PGE_CENSUS_DONE)
			break;
	}
	return end;
}

bool
pge_census_has_key(Oid relation_id, AttrNumber attribute, uint64 key_id)
{
	Relation	relation = try_relation_open(relation_id, AccessShareLock);
	Snapshot	snapshot;
	Table	   *table;
	bool		found;

	if (relation == NULL)
		return false;
	table = palloc0(offsetof(Table, columns) + sizeof(Column));
	table->relation = relation_id;
	table->column_count = 1;
	table->columns[0].attribute = attribute;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	found = count_blocks(relation, table, snapshot, 0,
						 RelationGetNumberOfBlocks(relation), key_id);
	UnregisterSnapshot(snapshot);
	relation_close(relation, AccessShareLock);
	return found;
}
