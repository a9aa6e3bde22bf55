/*
 * pge_census.c
 *	  Which key versions the stored values need: found out by reading all.
 *
 * A table is read in chunks of blocks, under one snapshot but with a lock that
 * is given back in between, so that DDL waits for a moment and not for hours.
 * That is right as long as the table keeps its file: rows of the snapshot
 * stay where they are, and nothing is added to them.
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
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "../core/envl_format.h"
#include "pge_batch.h"
#include "pge_census.h"
#include "pge_compat.h"

/* Blocks that are read under one lock: 32 MB. */
#define CHUNK_BLOCKS 4096

/* The most columns of a table. */
#define COLUMNS_MAX MaxHeapAttributeNumber

/* What is read of a value, and what of that tells the key version. */
#define HEADER_LEN PGE_WRAP_PREFIX
#define NAME_OFFSET ENVL_OFFSET_VERSION

/* A count, found again by the bytes that name the key version. */
typedef struct Counter
{
	uint64		name;			/* bytes 2..9 of the values, as they lie; 0 if
								 * they are none */
	PgeCount   *count;
} Counter;

/* What was counted in a column; the last counter hit comes first. */
typedef struct Column
{
	AttrNumber	attribute;
	int			used;
	int			room;
	Counter    *counters;
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

/* The counter of a key version, moved to the front of its column's. */
static Counter *
find_counter(Oid relation, Column *column, uint64 name)
{
	Counter		found = {name, NULL};
	int			i;

	for (i = 0; i < column->used; i++)
	{
		if (column->counters[i].name == name)
			break;
	}
	if (i < column->used)
		found = column->counters[i];
	else
	{
		if (column->used == column->room)
		{
			column->room = Max(4, 2 * column->room);
			column->counters = column->counters == NULL ?
				palloc(column->room * sizeof(Counter)) :
				repalloc(column->counters, column->room * sizeof(Counter));
		}
		found.count = new_count(relation, column->attribute, name);
		column->used++;
	}
	memmove(&column->counters[1], &column->counters[0], i * sizeof(Counter));
	column->counters[0] = found;
	return &column->counters[0];
}

/* The bytes that name a value's key version; 0 if it is no value. */
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
	Counter    *counter = column->counters;

	if (unlikely(counter == NULL || counter->name != name))
		counter = find_counter(relation, column, name);
	counter->count->count++;
}

/* ---------------------------------------------------------------- */
/* Reading tables                                                   */
/* ---------------------------------------------------------------- */

/* Reads some blocks; stops early at a value of the key wanted, if any. */
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
				column->counters->count->key_id == wanted_key)
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

static List *
take_counts(List *counts, const Table *table)
{
	for (int i = 0; i < table->column_count; i++)
	{
		for (int n = 0; n < table->columns[i].used; n++)
			counts = lappend(counts, table->columns[i].counters[n].count);
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
 * Counts the values of a table.  False: it was rewritten since pge_places
 * looked.  One that was dropped has no values.
 */
static bool
count_table(const PgePlace *place, Snapshot snapshot, List **counts)
{
	Table	   *table = NULL;
	BlockNumber total = 0;
	bool		same = true;

	for (BlockNumber block = 0; block == 0 || block < total;
		 block += CHUNK_BLOCKS)
	{
		Relation	relation = try_relation_open(place->relation,
												 AccessShareLock);

		if (relation == NULL)
			return true;
		same = relation->rd_rel->relfilenode == place->relfilenode;
		if (same)
		{
			if (table == NULL)
				table = new_table(relation);
			total = RelationGetNumberOfBlocks(relation);
			show_progress(place->name, block, total);
			if (block < total)
				count_blocks(relation, table, snapshot, block,
							 Min(CHUNK_BLOCKS, total - block), 0);
		}
		relation_close(relation, AccessShareLock);
		if (!same)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	*counts = take_counts(*counts, table);
	return true;
}

List *
pge_census(List *places, Snapshot snapshot, const PgePlace **changed)
{
	List	   *counts = NIL;
	ListCell   *cell;

	*changed = NULL;
	foreach(cell, places)
	{
		const PgePlace *place = lfirst(cell);

		if (place->uncovered == NULL &&
			!count_table(place, snapshot, &counts))
		{
			*changed = place;
			break;
		}
	}
	return counts;
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
