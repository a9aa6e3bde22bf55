/*
 * pge_update_write.c
 *	  Writing the rows that the update method has gathered.
 *
 * A subtransaction takes as many rows as possible.  Rows are written one after
 * another, so it is known which row raised an error.  The rows before it are
 * written again without it, and then that row alone.  Only if it fails again
 * are its values noted as failures.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "rewrite/pge_update.h"
#include "rewrite/pge_update_write.h"

void
pge_update_failed(PgeUpdate *update, AttrNumber attribute, ItemPointer tid,
				  PgeOutcome outcome)
{
	MemoryContext old_context = MemoryContextSwitchTo(update->caller);

	pge_batch_failure(update->batch, attribute, tid, outcome);
	MemoryContextSwitchTo(old_context);
}

/* Gives a value its new wrap. */
static void
put_wrap(PgeUpdate *update, AttrNumber attribute, const PgeRewrapItem *item)
{
	uint8	   *bytes = pge_replacer_bytes(&update->replacer, attribute);
	struct varlena *whole;

	if (bytes == NULL)
	{
		Datum		old = update->replacer.slot->tts_values[attribute - 1];

		whole = PG_DETOAST_DATUM_COPY(old);
		bytes = (uint8 *) VARDATA(whole);
		pge_replacer_put(&update->replacer, attribute, PointerGetDatum(whole));
	}
	memcpy(bytes, item->new_prefix, PGE_WRAP_PREFIX);
}

/* Seals a value again.  False: item->outcome says why not. */
static bool
put_sealed(PgeUpdate *update, PgeUpdateRow *row, AttrNumber attribute,
		   PgeRewrapItem *item)
{
	Datum		old = update->replacer.slot->tts_values[attribute - 1];
	PgeProblem	problem;
	struct varlena *value = pge_reencrypt(&update->batch->rewrap,
										  update->contexts[attribute - 1],
										  update->table.relation, row->tuple,
										  old, &problem);

	if (value == NULL)
	{
		item->outcome = problem.outcome;
		return false;
	}
	pge_replacer_put(&update->replacer, attribute, PointerGetDatum(value));
	return true;
}

/* Puts a value into the new row. */
static bool
put_value(PgeUpdate *update, PgeUpdateRow *row, AttrNumber attribute,
		  PgeRewrapItem *item)
{
	if (update->contexts == NULL)
		put_wrap(update, attribute, item);
	else if (!put_sealed(update, row, attribute, item))
		return false;
	if (OidIsValid(update->domains[attribute - 1]))
		domain_check(update->replacer.slot->tts_values[attribute - 1], false,
					 update->domains[attribute - 1],
					 &update->domain_states[attribute - 1],
					 update->replacer.estate->es_query_cxt);
	return true;
}

static void
write_row(PgeUpdate *update, PgeUpdateRow *row)
{
	MemoryContext old_context;
	int			moved = 0;

	old_context = MemoryContextSwitchTo(pge_replacer_load(&update->replacer,
														  row->tuple));
	for (int i = row->first_item; i < row->first_item + row->item_count; i++)
	{
		if (update->items[i].outcome == PGE_OK)
			moved += put_value(update, row, update->attributes[i],
							   &update->items[i]);
	}
	MemoryContextSwitchTo(old_context);
	if (moved == 0)
		return;
	if (pge_replace(&update->replacer))
	{
		update->rewrapped += moved;
		update->written += row->bytes;
	}
	else
		update->busy += moved;
}

/* Writes rows in one subtransaction. */
static void
write_rows(void *argument)
{
	PgeUpdate  *update = argument;
	Relation	relation = update->table.relation;

	update->at = update->first;
	update->rewrapped = update->busy = update->written = 0;
	pge_replacer_begin(&update->replacer, &update->table, update->snapshot);
	update->domain_states =
		MemoryContextAllocZero(update->replacer.estate->es_query_cxt,
							   RelationGetNumberOfAttributes(relation) *
								   sizeof(void *));
	for (; update->at < update->end; update->at++)
	{
		CHECK_FOR_INTERRUPTS();
		write_row(update, &update->rows[update->at]);
	}
	pge_replacer_end(&update->replacer);
}

/* Notes that a row's values failed, or were busy. */
static void
note_result(PgeUpdate *update, PgeUpdateRow *row, PgeAttempt result)
{
	PgeBatch   *batch = update->batch;

	for (int i = row->first_item; i < row->first_item + row->item_count; i++)
	{
		PgeOutcome	outcome = update->items[i].outcome;

		if (outcome == PGE_OK && result == PGE_ATTEMPT_FAILED)
			outcome = batch->problem.outcome;
		if (outcome == PGE_KEY_UNAVAILABLE ||
			(outcome == PGE_OK && result == PGE_ATTEMPT_BUSY))
			batch->busy++;
		else if (outcome != PGE_OK)
			pge_update_failed(update, update->attributes[i],
							  &row->tuple->t_self, outcome);
	}
}

void
pge_update_write(PgeUpdate *update)
{
	PgeBatch   *batch = update->batch;

	update->first = 0;
	update->end = update->row_count;
	while (update->first < update->row_count)
	{
		PgeAttempt	result = pge_attempt(write_rows, update, &batch->problem);

		if (result == PGE_ATTEMPT_DONE)
		{
			batch->rewrapped += update->rewrapped;
			batch->busy += update->busy;
			batch->bytes += update->written;
			while (update->first < update->end)
				note_result(update, &update->rows[update->first++], result);
		}
		else if (update->at > update->first && update->at < update->end)
		{
			update->end = update->at;
			continue;
		}
		else
			note_result(update, &update->rows[update->first++], result);
		update->end = update->row_count;
	}
}
