/*
 * pge_row.c
 *	  Reading rows of the key tables, as they are now.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pge_compat.h"
#include "pge_context.h"
#include "pge_pattern.h"
#include "pge_privilege.h"
#include "pge_row.h"

/* Columns, as sql/pgenvelope.sql has them. */
enum
{
	KEY_ID = 1,
	KEY_NAME,
	KEY_REQUIRED_CONTEXT,
	KEY_CREATED_AT,
	KEY_CREATED_BY,
	KEY_ROTATE_EVERY,
	KEY_PURPOSE,
	KEY_DUAL_CONTROL
};

#define PURPOSE_AUDIT "audit"

enum
{
	VERSION_KEY_ID = 1,
	VERSION_VERSION,
	VERSION_STATE,
	VERSION_PROVIDER,
	VERSION_SEALED_KEK,
	VERSION_KCV,
	VERSION_ROOT_KEY,
	VERSION_CREATED_AT,
	VERSION_ACTIVATED_AT,
	VERSION_DEACTIVATED_AT,
	VERSION_RETIRED_AT,
	VERSION_DESTROYED_AT,
	VERSION_CANARY_PERCENT
};
enum
{
	GRANT_ID = 1,
	GRANT_KEY_ID,
	GRANT_PRIVILEGE,
	GRANT_GRANTEE,
	GRANT_CONTEXT,
	GRANT_DEFINER,
	GRANT_GRANTED_AT,
	GRANT_GRANTED_BY,
	GRANT_PER_MINUTE,
	GRANT_PER_TRANSACTION,
	GRANT_LIMIT_ACTION,
	GRANT_LOCKED_AT
};

static const char *const state_names[] = {
	[PGE_STATE_PRE_ACTIVE] = "pre_active",
	[PGE_STATE_ACTIVE] = "active",
	[PGE_STATE_DEACTIVATED] = "deactivated",
	[PGE_STATE_RETIRED] = "retired",
	[PGE_STATE_DESTROYED] = "destroyed",
};

/* Our tables, InvalidOid until looked up. */
static Oid	key_table;
static Oid	version_table;
static Oid	grant_table;
static Oid	honey_table;		/* read by pge_honey.c */

/* ---------------------------------------------------------------- */
/* Reading rows                                                     */
/* ---------------------------------------------------------------- */

static void
missing_table(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table pgenvelope.%s does not exist", name),
			 errhint("Run CREATE EXTENSION pgenvelope in this database.")));
}

Oid
pge_table(const char *name)
{
	Oid			schema = get_namespace_oid("pgenvelope", true);
	Oid			table = OidIsValid(schema) ?
		get_relname_relid(name, schema) :
		InvalidOid;

	if (!OidIsValid(table))
		missing_table(name);
	return table;
}

/* Opens a table that was found; it may have been dropped since. */
static Relation
open_table(Oid table, const char *name)
{
	Relation	relation = try_relation_open(table, AccessShareLock);

	if (relation == NULL)
		missing_table(name);
	return relation;
}

bool
pge_row_source(Oid relation)
{
	return relation == key_table || relation == version_table ||
		relation == grant_table || relation == honey_table;
}

void
pge_row_forget_tables(void)
{
	key_table = version_table = grant_table = honey_table = InvalidOid;
}

static void
find_tables(void)
{
	if (OidIsValid(key_table))
		return;
	version_table = pge_table("key_version");
	grant_table = pge_table("key_grant");
	honey_table = pge_table("honey");
	key_table = pge_table("key");
}

static char *
text_column(HeapTuple tuple, TupleDesc descriptor, int column, bool *isnull)
{
	Datum		value = heap_getattr(tuple, column, descriptor, isnull);

	return *isnull ? NULL : TextDatumGetCString(value);
}

static void
damaged_row(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a row of pgenvelope.%s is damaged", table)));
}

/* Copies what limits a grant. */
static void
copy_limits(HeapTuple tuple, TupleDesc descriptor, PgeGrant *grant)
{
	bool		isnull;
	char	   *action;
	Datum		value = heap_getattr(tuple, GRANT_PER_MINUTE, descriptor,
									 &isnull);

	grant->per_minute = isnull ? 0 : DatumGetInt32(value);
	value = heap_getattr(tuple, GRANT_PER_TRANSACTION, descriptor, &isnull);
	grant->per_transaction = isnull ? 0 : DatumGetInt32(value);
	action = text_column(tuple, descriptor, GRANT_LIMIT_ACTION, &isnull);
	grant->only_reports = !isnull && strcmp(action, "report") == 0;
	(void) heap_getattr(tuple, GRANT_LOCKED_AT, descriptor, &isnull);
	grant->locked = !isnull;
}

/*
 * Copies a row of pgenvelope.key_grant.  False: it is none, as it is limited
 * in a way that is not understood, or grants what is not.
 */
static bool
copy_grant(HeapTuple tuple, TupleDesc descriptor, MemoryContext context,
		   PgeGrant *grant)
{
	MemoryContext outer;
	bool		isnull;
	Datum		value;
	PgeProblem	ignored;

	memset(grant, 0, sizeof(*grant));
	grant->privilege = pge_privilege_parse(text_column(tuple, descriptor,
													   GRANT_PRIVILEGE,
													   &isnull));
	value = heap_getattr(tuple, GRANT_ID, descriptor, &isnull);
	grant->grant_id = DatumGetInt64(value);
	value = heap_getattr(tuple, GRANT_GRANTEE, descriptor, &isnull);
	grant->grantee = DatumGetObjectId(value);
	value = heap_getattr(tuple, GRANT_DEFINER, descriptor, &isnull);
	grant->definer = DatumGetBool(value);
	copy_limits(tuple, descriptor, grant);
	value = heap_getattr(tuple, GRANT_CONTEXT, descriptor, &isnull);
	if (isnull)
		return grant->privilege != PGE_NO_PRIVILEGE;
	outer = MemoryContextSwitchTo(context);
	grant->context = DatumGetJsonbPCopy(value);
	grant->pattern = pge_pattern_read(grant->context, &ignored);
	MemoryContextSwitchTo(outer);
	return grant->pattern != NULL &&
		pge_privilege_sees_context(grant->privilege);
}

static int
compare_grants(const void *a, const void *b)
{
	int64		x = ((const PgeGrant *) a)->grant_id;
	int64		y = ((const PgeGrant *) b)->grant_id;

	return (x > y) - (x < y);
}

static void
read_grants(PgeKey *key, MemoryContext context)
{
	Relation	table = open_table(grant_table, "key_grant");
	TupleDesc	descriptor = RelationGetDescr(table);
	SysScanDesc scan;
	ScanKeyData condition;
	HeapTuple	tuple;
	int			room = 8;

	key->grants = MemoryContextAlloc(context, room * sizeof(PgeGrant));
	ScanKeyInit(&condition, GRANT_KEY_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
	scan = systable_beginscan(table, pge_table("key_grant_once"), true, NULL,
							  1, &condition);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (key->grant_count == room)
		{
			room *= 2;
			key->grants = repalloc(key->grants, room * sizeof(PgeGrant));
		}
		if (copy_grant(tuple, descriptor, context,
					   &key->grants[key->grant_count]))
			key->has_budget |=
				pge_grant_has_budget(&key->grants[key->grant_count++]);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	qsort(key->grants, key->grant_count, sizeof(PgeGrant), compare_grants);
}

static void
copy_policy(Jsonb *required, MemoryContext context, PgeKey *key)
{
	envl_spelled members[ENVL_MEMBERS_MAX];
	envl_view	canonical;
	uint8		bytes[ENVL_CONTEXT_MAX];
	uint8	   *kept;
	PgeProblem	problem;

	if (!pge_policy_from_jsonb(required, bytes, &canonical.len, &problem))
		damaged_row("key");
	kept = MemoryContextAlloc(context, canonical.len);
	memcpy(kept, bytes, canonical.len);
	canonical.data = kept;
	if (envl_policy_read(canonical, members, &key->policy_count) != ENVL_OK)
		damaged_row("key");
	key->policy = MemoryContextAlloc(context,
									 (key->policy_count + 1) *
										 sizeof(envl_spelled));
	memcpy(key->policy, members, key->policy_count * sizeof(envl_spelled));
}

/* Copies a row of pgenvelope.key, with its grants. */
static void
copy_key(HeapTuple tuple, TupleDesc descriptor, MemoryContext context,
		 PgeKey *key)
{
	bool		isnull;
	char	   *name = text_column(tuple, descriptor, KEY_NAME, &isnull);
	Datum		required = heap_getattr(tuple, KEY_REQUIRED_CONTEXT,
										descriptor, &isnull);

	memset(key, 0, sizeof(*key));
	copy_policy(DatumGetJsonbP(required), context, key);
	key->key_id = DatumGetInt64(heap_getattr(tuple, KEY_ID, descriptor,
											 &isnull));
	strlcpy(key->name, name, sizeof(key->name));
	key->is_audit = strcmp(text_column(tuple, descriptor, KEY_PURPOSE,
									   &isnull),
						   PURPOSE_AUDIT) == 0;
	key->dual_control = DatumGetBool(heap_getattr(tuple, KEY_DUAL_CONTROL,
												  descriptor, &isnull));
	read_grants(key, context);
}

bool
pge_row_key(uint64 key_id, const char *name, MemoryContext context,
			PgeKey *key)
{
	Relation	table;
	SysScanDesc scan;
	ScanKeyData condition;
	HeapTuple	tuple;
	bool		found;

	find_tables();
	if (name != NULL)
		ScanKeyInit(&condition, KEY_NAME, BTEqualStrategyNumber, F_TEXTEQ,
					PointerGetDatum(cstring_to_text(name)));
	else
		ScanKeyInit(&condition, KEY_ID, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum((int64) key_id));
	table = open_table(key_table, "key");
	scan = systable_beginscan(table,
							  pge_table(name != NULL ? "key_name_key" :
													   "key_pkey"),
							  true, NULL, 1, &condition);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		copy_key(tuple, RelationGetDescr(table), context, key);
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

uint64
pge_row_audit_key(void)
{
	Relation	table;
	SysScanDesc scan;
	ScanKeyData condition;
	HeapTuple	tuple;
	uint64		key_id = 0;
	bool		isnull;

	find_tables();
	ScanKeyInit(&condition, KEY_PURPOSE, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(PURPOSE_AUDIT));
	table = open_table(key_table, "key");
	scan = systable_beginscan(table, pge_table("key_audit"), true, NULL, 1,
							  &condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		key_id = DatumGetInt64(heap_getattr(tuple, KEY_ID,
											RelationGetDescr(table),
											&isnull));
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return key_id;
}

const char *
pge_state_name(PgeState state)
{
	return state_names[state];
}

PgeState
pge_state_parse(const char *name)
{
	for (int i = 0; i < (int) lengthof(state_names); i++)
	{
		if (strcmp(name, state_names[i]) == 0)
			return (PgeState) i;
	}
	damaged_row("key_version");
	return PGE_STATE_DESTROYED;
}

/* Copies a sealed KEK; what else names it has been copied. */
static void
copy_seal(Datum blob, MemoryContext context, PgeKeyVersion *version)
{
	bytea	   *bytes = DatumGetByteaPP(blob);
	size_t		len = VARSIZE_ANY_EXHDR(bytes);
	uint8	   *kept;

	if (len == 0 || len > PROV_SEALED_MAX)
		damaged_row("key_version");
	kept = MemoryContextAlloc(context, len);
	memcpy(kept, VARDATA_ANY(bytes), len);
	version->sealed.sealed.data = kept;
	version->sealed.sealed.len = len;
	if (envl_kek_digest(version->key_id, version->version,
						version->sealed.sealed,
						version->sealed.digest) != ENVL_OK)
		elog(ERROR, "could not compute SHA-256");
}

/* Copies a row of pgenvelope.key_version. */
static void
copy_version(PgeKey *key, HeapTuple tuple, TupleDesc descriptor,
			 MemoryContext context, PgeKeyVersion *version)
{
	bool		isnull;
	Datum		value;
	char	   *text;
	bytea	   *kcv;

	memset(version, 0, sizeof(*version));
	version->key = key;
	version->key_id = key->key_id;
	version->version = DatumGetInt32(heap_getattr(tuple, VERSION_VERSION,
												  descriptor, &isnull));
	text = text_column(tuple, descriptor, VERSION_STATE, &isnull);
	version->state = pge_state_parse(text);
	value = heap_getattr(tuple, VERSION_CANARY_PERCENT, descriptor, &isnull);
	version->canary_percent = isnull ? 0 : DatumGetInt32(value);
	text = text_column(tuple, descriptor, VERSION_PROVIDER, &isnull);
	strlcpy(version->provider, text, PROV_NAME_SIZE);
	text = text_column(tuple, descriptor, VERSION_ROOT_KEY, &isnull);
	if (text != NULL)
		strlcpy(version->root_key, text, PROV_ROOT_KEY_MAX);
	kcv = DatumGetByteaPP(heap_getattr(tuple, VERSION_KCV, descriptor,
									   &isnull));
	if (VARSIZE_ANY_EXHDR(kcv) != ENVL_KCV_LEN)
		damaged_row("key_version");
	memcpy(version->kcv, VARDATA_ANY(kcv), ENVL_KCV_LEN);
	value = heap_getattr(tuple, VERSION_SEALED_KEK, descriptor, &isnull);
	if (!isnull)
		copy_seal(value, context, version);
	version->sealed.key_name = key->name;
	version->sealed.key_id = key->key_id;
	version->sealed.version = version->version;
	version->sealed.provider = version->provider;
	version->sealed.root_key = version->root_key;
	version->sealed.kcv = version->kcv;
}

/*
 * Reads the first version that satisfies conditions on an index and, unless
 * it is -1, is in a state: with ignore_system_indexes, which anybody may
 * connect with, the condition of a partial index is not applied.
 */
static bool
read_version(PgeKey *key, const char *index, int conditions,
			 ScanKeyData *condition, int state, MemoryContext context,
			 PgeKeyVersion *version)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	find_tables();
	table = open_table(version_table, "key_version");
	scan = systable_beginscan(table, pge_table(index), true, NULL, conditions,
							  condition);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		copy_version(key, tuple, RelationGetDescr(table), context, version);
		found = state == -1 || version->state == (PgeState) state;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

static void
of_key(ScanKeyData *condition, const PgeKey *key)
{
	ScanKeyInit(condition, VERSION_KEY_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
}

bool
pge_row_version(PgeKey *key, uint16 number, MemoryContext context,
				PgeKeyVersion *version)
{
	ScanKeyData condition[2];

	of_key(&condition[0], key);
	ScanKeyInit(&condition[1], VERSION_VERSION, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(number));
	return read_version(key, "key_version_pkey", 2, condition, -1, context,
						version);
}

bool
pge_row_version_in_state(PgeKey *key, PgeState state, MemoryContext context,
						 PgeKeyVersion *version)
{
	ScanKeyData condition;

	of_key(&condition, key);
	return read_version(key,
						state == PGE_STATE_ACTIVE ? "key_version_active" :
													"key_version_pre_active",
						1, &condition, (int) state, context, version);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

List *
pge_row_key_names(void)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;
	bool		isnull;

	find_tables();
	table = open_table(key_table, "key");
	scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = text_column(tuple, RelationGetDescr(table),
									   KEY_NAME, &isnull);

		found = lappend(found, name);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	list_sort(found, compare_names);
	return found;
}

List *
pge_row_version_numbers(const PgeKey *key)
{
	Relation	table;
	SysScanDesc scan;
	ScanKeyData condition;
	HeapTuple	tuple;
	List	   *found = NIL;
	bool		isnull;

	of_key(&condition, key);
	find_tables();
	table = open_table(version_table, "key_version");
	scan = systable_beginscan(table, pge_table("key_version_pkey"), true,
							  NULL, 1, &condition);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		number = heap_getattr(tuple, VERSION_VERSION,
										  RelationGetDescr(table), &isnull);

		found = lappend_int(found, DatumGetInt32(number));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	list_sort(found, list_int_cmp);
	return found;
}
