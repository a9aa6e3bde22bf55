/*
 * pge_replace.c
 *	  Replacing rows of a table with new versions of them.
 *
 * A row that is visible under a registered snapshot keeps its place and its
 * bytes while the snapshot lives: VACUUM may not remove it, and the in-place
 * method cannot run at the same time (pge_job.h).  table_tuple_update succeeds
 * only if nobody has updated or deleted the row since.  Together they are a
 * compare-and-swap: only the row that was read is replaced.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "nodes/makefuncs.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "rewrite/pge_replace.h"

/* The columns that are written, in the executor's numbering. */
static Bitmapset *
list_updated(const PgeTable *table)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < table->column_count; i++)
		columns = bms_add_member(columns,
								 table->columns[i] -
									 FirstLowInvalidHeapAttributeNumber);
	return columns;
}

/*
 * The row lock that an update needs.  Unless it changes the key, it may
 * proceed while foreign keys hold the row against a change of the key.
 */
static LockTupleMode
choose_lock_mode(Relation relation, const Bitmapset *updated)
{
	Bitmapset  *key = RelationGetIndexAttrBitmap(relation,
												 INDEX_ATTR_BITMAP_KEY);

	return bms_overlap(key, updated) ? LockTupleExclusive :
									   LockTupleNoKeyExclusive;
}

void
pge_replacer_begin(PgeReplacer *replacer, const PgeTable *table,
				   Snapshot snapshot)
{
	Relation	relation = table->relation;
	EState	   *estate = CreateExecutorState();
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	Bitmapset  *updated = list_updated(table);

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(relation);
	entry->relkind = relation->rd_rel->relkind;
	entry->rellockmode = RowExclusiveLock;
	pge_init_range_table(estate, entry, updated);

	replacer->relation = relation;
	replacer->snapshot = snapshot;
	replacer->estate = estate;
	replacer->command = GetCurrentCommandId(true);
	estate->es_output_cid = replacer->command;
	replacer->lock_mode = choose_lock_mode(relation, updated);
	replacer->result = makeNode(ResultRelInfo);
	InitResultRelInfo(replacer->result, relation, 1, NULL, 0);
	ExecOpenIndices(replacer->result, false);
	replacer->slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(relation),
											&TTSOpsVirtual);
	replacer->patched = ExecInitExtraTupleSlot(estate,
											   RelationGetDescr(relation),
											   &TTSOpsHeapTuple);
	replacer->locked = ExecInitExtraTupleSlot(estate,
											  RelationGetDescr(relation),
											  table_slot_callbacks(relation));
	MemoryContextSwitchTo(old_context);
}

void
pge_replacer_end(PgeReplacer *replacer)
{
	ExecResetTupleTable(replacer->estate->es_tupleTable, false);
	ExecCloseIndices(replacer->result);
	FreeExecutorState(replacer->estate);
}

MemoryContext
pge_replacer_load(PgeReplacer *replacer, HeapTuple row)
{
	TupleTableSlot *slot = replacer->slot;
	TupleDesc	descriptor = slot->tts_tupleDescriptor;

	ExecClearTuple(slot);
	ExecClearTuple(replacer->patched);
	ResetPerTupleExprContext(replacer->estate);
	heap_deform_tuple(row, descriptor, slot->tts_values, slot->tts_isnull);
	replacer->row = row;
	replacer->is_same_shape =
		HeapTupleHeaderGetNatts(row->t_data) == descriptor->natts &&
		!(descriptor->constr && descriptor->constr->has_generated_stored);
	return GetPerTupleMemoryContext(replacer->estate);
}

void
pge_replacer_put(PgeReplacer *replacer, AttrNumber attribute, Datum value)
{
	replacer->slot->tts_values[attribute - 1] = value;
	replacer->is_same_shape = false;
}

uint8 *
pge_replacer_bytes(PgeReplacer *replacer, AttrNumber attribute)
{
	Datum		value = replacer->slot->tts_values[attribute - 1];
	struct varlena *bytes = (struct varlena *) DatumGetPointer(value);

	/* A default that is older than the row belongs to the descriptor. */
	if (attribute > HeapTupleHeaderGetNatts(replacer->row->t_data) ||
		VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes))
		return NULL;
	return (uint8 *) VARDATA_ANY(bytes);
}

/*
 * Makes the new row.  The slot's values point into the old row and so include
 * what was overwritten there; then the row need not be formed again.
 */
static TupleTableSlot *
make_row(PgeReplacer *replacer)
{
	if (!replacer->is_same_shape)
		return ExecStoreVirtualTuple(replacer->slot);
	return ExecStoreHeapTuple(replacer->row, replacer->patched, false);
}

/* Computes and checks what UPDATE does before it writes a row. */
static void
check_row(PgeReplacer *replacer, TupleTableSlot *slot)
{
	Relation	relation = replacer->relation;
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(replacer->result, replacer->estate,
								   slot, CMD_UPDATE);
	if (relation->rd_rel->relispartition)
		(void) ExecPartitionCheck(replacer->result, slot, replacer->estate,
								  true);
	if (constraints != NULL)
		ExecConstraints(replacer->result, slot, replacer->estate);
}

static bool
lock_row(PgeReplacer *replacer, ItemPointer tid)
{
	TM_FailureData failure;
	TM_Result	result = table_tuple_lock(replacer->relation, tid,
										  replacer->snapshot, replacer->locked,
										  replacer->command,
										  replacer->lock_mode, LockWaitSkip, 0,
										  &failure);

	ExecClearTuple(replacer->locked);
	return result == TM_Ok;
}

/*
 * Updates the row without waiting.  table_tuple_update alone would give up
 * even if only foreign keys hold the row, as they nearly always do for a
 * parent of busy children.  So then lock the row, if that is possible at once;
 * after that nothing is left to wait for.
 */
static bool
update_row(PgeReplacer *replacer, TupleTableSlot *slot,
		   PgeUpdateIndexes *indexes)
{
	ItemPointerData tid = replacer->row->t_self;
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result	result;
	bool		wait = false;

	for (;;)
	{
		result = table_tuple_update(replacer->relation, &tid, slot,
									replacer->command, replacer->snapshot,
									InvalidSnapshot, wait, &failure, &mode,
									indexes);
		if (wait || result != TM_BeingModified)
			return result == TM_Ok;
		if (!lock_row(replacer, &tid))
			return false;
		wait = true;
	}
}

/*
 * A deferred constraint may leave a check for later, which a trigger would do,
 * and triggers do not run here.  Unique keys are unchanged, so whoever inserts
 * an equal one has to check it too.  But an exclusion constraint may read any
 * column, so refuse that.
 */
static void
refuse_deferred_check(PgeReplacer *replacer, List *recheck)
{
	ListCell   *cell;

	foreach(cell, recheck)
	{
		ResultRelInfo *result = replacer->result;

		for (int i = 0; i < result->ri_NumIndices; i++)
		{
			Relation	index = result->ri_IndexRelationDescs[i];

			if (RelationGetRelid(index) == lfirst_oid(cell) &&
				result->ri_IndexRelationInfo[i]->ii_ExclusionOps != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_EXCLUSION_VIOLATION),
						 errmsg("deferred exclusion constraint \"%s\" may be violated",
								RelationGetRelationName(index)),
						 errtableconstraint(replacer->relation,
											RelationGetRelationName(index))));
		}
	}
}

bool
pge_replace(PgeReplacer *replacer)
{
	TupleTableSlot *slot = make_row(replacer);
	PgeUpdateIndexes indexes;

	slot->tts_tableOid = RelationGetRelid(replacer->relation);
	check_row(replacer, slot);
	if (!update_row(replacer, slot, &indexes))
		return false;
	if (replacer->result->ri_NumIndices > 0)
		refuse_deferred_check(replacer,
							  pge_insert_index_entries(replacer->result, slot,
													   replacer->estate,
													   indexes));
	return true;
}
