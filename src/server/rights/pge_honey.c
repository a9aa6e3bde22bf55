/*
 * pge_honey.c
 *	  Honey values: opening one raises an alert, and may lock the grant.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "catalog/pge_table.h"
#include "keys/pge_kek.h"
#include "rights/pge_alert.h"
#include "rights/pge_entitlement.h"
#include "rights/pge_honey.h"
#include "rights/pge_lock.h"

/* The columns that are read, in the order of their names. */
enum
{
	HONEY_KEY_ID,
	HONEY_MARK,
	HONEY_LOCK_GRANT,
	HONEY_NOTE
};
static PgeOwnTable honey_table = {
	.name = "honey",
	.columns = {"key_id", "mark", "lock_grant", "note"},
};

static int
compare_marks(const void *a, const void *b)
{
	return memcmp(((const PgeHoney *) a)->mark, ((const PgeHoney *) b)->mark,
				  ENVL_MARK_LEN);
}

/* ---------------------------------------------------------------- */
/* Rows                                                             */
/* ---------------------------------------------------------------- */

static void
copy_row(const PgeOwnRow *row, PgeHoney *honey)
{
	bool		isnull;
	bytea	   *mark = DatumGetByteaPP(pge_own_get(row, HONEY_MARK, &isnull));
	Datum		note;

	if (VARSIZE_ANY_EXHDR(mark) != ENVL_MARK_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of pgenvelope.honey is damaged")));
	memcpy(honey->mark, VARDATA_ANY(mark), ENVL_MARK_LEN);
	honey->locks = DatumGetBool(pge_own_get(row, HONEY_LOCK_GRANT, &isnull));
	note = pge_own_get(row, HONEY_NOTE, &isnull);
	honey->note = isnull ? NULL :
						   MemoryContextStrdup(pge_catalog_memory(),
											   TextDatumGetCString(note));
}

static void
read_rows(PgeKey *key)
{
	Relation	table;
	SysScanDesc scan;
	ScanKeyData condition;
	PgeOwnRow	row;
	int			room = 8;
	int			count = 0;
	PgeHoney   *all = MemoryContextAlloc(pge_catalog_memory(),
										 room * sizeof(PgeHoney));

	pge_own_table_find(&honey_table);
	table = pge_own_table_open(&honey_table);
	row = (PgeOwnRow) {&honey_table, RelationGetDescr(table), NULL};
	ScanKeyInit(&condition, honey_table.numbers[HONEY_KEY_ID],
				BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
	scan = systable_beginscan(table, pge_table("honey_pkey"), true, NULL, 1,
							  &condition);
	while (HeapTupleIsValid(row.tuple = systable_getnext(scan)))
	{
		if (count == room)
		{
			room *= 2;
			all = repalloc(all, room * sizeof(PgeHoney));
		}
		copy_row(&row, &all[count++]);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	qsort(all, count, sizeof(PgeHoney), compare_marks);
	key->honey = all;
	key->honey_count = count;
}

static bool
has_honey(PgeKey *key)
{
	if (unlikely(key->honey == NULL))
		read_rows(key);
	return key->honey_count > 0;
}

bool
pge_honey_insert(uint64 key_id, const PgeHoney *honey)
{
	Oid			types[] = {INT8OID, BYTEAOID, BOOLOID, TEXTOID};
	Datum		values[] = {Int64GetDatum((int64) key_id),
							pge_bytea_datum(honey->mark, ENVL_MARK_LEN),
							BoolGetDatum(honey->locks), (Datum) 0};
	char		nulls[] = {' ', ' ', ' ', honey->note == NULL ? 'n' : ' '};
	PgeWriter	writer = pge_write_begin();
	uint64		count;

	if (honey->note != NULL)
		values[3] = CStringGetTextDatum(honey->note);
	count = pge_write_run("INSERT INTO pgenvelope.honey"
						  " (key_id, mark, lock_grant, note)"
						  " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
						  lengthof(types), types, values, nulls);
	pge_write_end(&writer);
	return count > 0;
}

/* ---------------------------------------------------------------- */
/* Marks                                                            */
/* ---------------------------------------------------------------- */

bool
pge_honey_mark(PgeKeyVersion *version, const envl_envelope *envelope,
			   uint8 *mark, PgeProblem *problem)
{
	PgeKek	   *kek = pge_kek_get(version, problem);
	envl_status status;

	if (kek == NULL)
		return false;
	status = envl_value_mark(&kek->kek, envelope, mark);
	return status == ENVL_OK || pge_problem_core(problem, status);
}

/* Finds the honey row of a value; NULL if it has none. */
static bool
find(PgeKeyVersion *version, const envl_envelope *envelope,
	 const PgeHoney **honey, PgeProblem *problem)
{
	PgeKey	   *key = version->key;
	PgeHoney	wanted = {0};

	if (!pge_honey_mark(version, envelope, wanted.mark, problem))
		return false;
	*honey = bsearch(&wanted, key->honey, key->honey_count, sizeof(PgeHoney),
					 compare_marks);
	return true;
}

/* ---------------------------------------------------------------- */
/* Being opened                                                     */
/* ---------------------------------------------------------------- */

/*
 * Locks every grant by which the current user could decrypt with the key, in
 * any context: otherwise another grant would open the next value.  False: one
 * of the locks could not be noted.
 */
static bool
lock_grants(PgeKey *key)
{
	PgeIdentity identity = pge_identity();
	bool		is_noted = true;

	for (int i = 0; i < key->grant_count; i++)
	{
		const PgeGrant *grant = &key->grants[i];

		if (grant->privilege == PGE_DECRYPT &&
			pge_grant_holding(grant, &identity) == PGE_HELD)
			is_noted = pge_lock_grant(grant->grant_id) && is_noted;
	}
	return is_noted;
}

/* Raises the alert, and locks. */
static void
sound(PgeKeyVersion *version, PgeContext *context, const PgeHoney *honey)
{
	PgeAlert	alert = {.kind = PGE_ALERT_HONEY,
						 .key = version->key,
						 .version = version->version,
						 .action = "none",
						 .note = honey->note};
	PgeProblem	ignored;
	const PgeGrant *grant = pge_entitled(version->key, PGE_DECRYPT, context,
										 &ignored);

	if (grant != NULL)
		alert.grant_id = grant->grant_id;
	if (honey->locks)
	{
		/* A locked grant opens nothing, so others cannot crowd it out. */
		alert.is_singular = lock_grants(version->key);
		alert.action = alert.is_singular ? "lock" : "lock failed";
	}
	pge_alert(&alert);
}

bool
pge_honey_heed(PgeKeyVersion *version, envl_view value, PgeContext *context,
			   PgeProblem *problem)
{
	const PgeHoney *honey;
	envl_envelope envelope;
	envl_status status;

	if (!has_honey(version->key))
		return true;
	status = envl_envelope_parse(value, &envelope);
	if (status != ENVL_OK)
		return pge_problem_core(problem, status);
	if (!find(version, &envelope, &honey, problem))
		return false;
	if (unlikely(honey != NULL))
		sound(version, context, honey);
	return true;
}

bool
pge_honey_carry(PgeKeyVersion *from, const envl_envelope *opened,
				PgeKeyVersion *to, envl_view sealed,
				PgeProblem *problem)
{
	const PgeHoney *honey;
	PgeHoney	carried;
	envl_envelope envelope;
	envl_status status;

	if (!has_honey(from->key))
		return true;
	if (!find(from, opened, &honey, problem))
		return false;
	if (honey == NULL)
		return true;
	status = envl_envelope_parse(sealed, &envelope);
	if (status != ENVL_OK)
		return pge_problem_core(problem, status);
	carried = *honey;
	if (!pge_honey_mark(to, &envelope, carried.mark, problem))
		return false;
	(void) pge_honey_insert(to->key_id, &carried);
	return true;
}
