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
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "catalog/pge_privilege.h"
#include "catalog/pge_row.h"
#include "catalog/pge_table.h"
#include "context/pge_context.h"
#include "context/pge_pattern.h"

/* Our tables, and the columns that are read, in the order of their names. */
enum
{
	KEY_ID,
	KEY_NAME,
	KEY_REQUIRED_CONTEXT,
	KEY_PURPOSE,
	KEY_DUAL_CONTROL
};
static PgeOwnTable key_table = {
	.name = "key",
	.columns = {"key_id", "name", "required_context", "purpose",
				"dual_control"},
};

#define PURPOSE_AUDIT "audit"

enum
{
	VERSION_KEY_ID,
	VERSION_VERSION,
	VERSION_STATE,
	VERSION_PROVIDER,
	VERSION_SEALED_KEK,
	VERSION_KCV,
	VERSION_ROOT_KEY,
	VERSION_CANARY_PERCENT
};
static PgeOwnTable version_table = {
	.name = "key_version",
	.columns = {"key_id", "version", "state", "provider", "sealed_kek", "kcv",
				"root_key", "canary_percent"},
};

enum
{
	GRANT_ID,
	GRANT_KEY_ID,
	GRANT_PRIVILEGE,
	GRANT_GRANTEE,
	GRANT_CONTEXT,
	GRANT_DEFINER,
	GRANT_PER_MINUTE,
	GRANT_PER_TRANSACTION,
	GRANT_LIMIT_ACTION,
	GRANT_LOCKED_AT
};
static PgeOwnTable grant_table = {
	.name = "key_grant",
	.columns = {"grant_id", "key_id", "privilege", "grantee", "context",
				"definer", "per_minute", "per_transaction", "limit_action",
				"locked_at"},
};

/* Read by pge_honey.c. */
static PgeOwnTable honey_table = {.name = "honey"};

static PgeOwnTable *const tables[] = {&key_table, &version_table, &grant_table,
									  &honey_table};

static const char *const state_names[] = {
	[PGE_STATE_PRE_ACTIVE] = "pre_active",
	[PGE_STATE_ACTIVE] = "active",
	[PGE_STATE_DEACTIVATED] = "deactivated",
	[PGE_STATE_RETIRED] = "retired",
	[PGE_STATE_DESTROYED] = "destroyed",
};

/* ---------------------------------------------------------------- */
/* Reading rows                                                     */
/* ---------------------------------------------------------------- */

bool
pge_row_source(Oid relation)
{
	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		if (relation == tables[i]->oid)
			return true;
	}
	return false;
}

void
pge_row_forget_tables(void)
{
	for (int i = 0; i < (int) lengthof(tables); i++)
		tables[i]->oid = InvalidOid;
}

void
pge_row_find_tables(void)
{
	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		if (!OidIsValid(tables[i]->oid))
			pge_own_table_find(tables[i]);
	}
}

static char *
text_column(const PgeOwnRow *row, int column, bool *isnull)
{
	Datum		value = pge_own_get(row, column, isnull);

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
copy_limits(const PgeOwnRow *row, PgeGrant *grant)
{
	bool		isnull;
	char	   *action;
	Datum		value = pge_own_get(row, GRANT_PER_MINUTE, &isnull);

	grant->per_minute = isnull ? 0 : DatumGetInt32(value);
	value = pge_own_get(row, GRANT_PER_TRANSACTION, &isnull);
	grant->per_transaction = isnull ? 0 : DatumGetInt32(value);
	action = text_column(row, GRANT_LIMIT_ACTION, &isnull);
	grant->only_reports = !isnull && strcmp(action, "report") == 0;
	(void) pge_own_get(row, GRANT_LOCKED_AT, &isnull);
	grant->locked = !isnull;
}

/*
 * Copies a row of pgenvelope.key_grant.  False: the row does not count as a
 * grant, because this library does not know its limit or its privilege.
 */
static bool
copy_grant(const PgeOwnRow *row, MemoryContext context, PgeGrant *grant)
{
	MemoryContext outer;
	bool		isnull;
	Datum		value;
	char	   *privilege;
	PgeProblem	ignored;

	memset(grant, 0, sizeof(*grant));
	privilege = text_column(row, GRANT_PRIVILEGE, &isnull);
	grant->privilege = pge_privilege_parse(privilege);
	value = pge_own_get(row, GRANT_ID, &isnull);
	grant->grant_id = DatumGetInt64(value);
	value = pge_own_get(row, GRANT_GRANTEE, &isnull);
	grant->grantee = DatumGetObjectId(value);
	value = pge_own_get(row, GRANT_DEFINER, &isnull);
	grant->definer = DatumGetBool(value);
	copy_limits(row, grant);
	value = pge_own_get(row, GRANT_CONTEXT, &isnull);
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
	Relation	table = pge_own_table_open(&grant_table);
	PgeOwnRow	row = {&grant_table, RelationGetDescr(table), NULL};
	SysScanDesc scan;
	ScanKeyData condition;
	int			room = 8;

	key->grants = MemoryContextAlloc(context, room * sizeof(PgeGrant));
	ScanKeyInit(&condition, grant_table.numbers[GRANT_KEY_ID],
				BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
	scan = systable_beginscan(table, pge_table("key_grant_once"), true, NULL,
							  1, &condition);
	while (HeapTupleIsValid(row.tuple = systable_getnext(scan)))
	{
		if (key->grant_count == room)
		{
			room *= 2;
			key->grants = repalloc(key->grants, room * sizeof(PgeGrant));
		}
		if (copy_grant(&row, context, &key->grants[key->grant_count]))
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
	if (envl_policy_read(canonical, members, &key->policy.count) != ENVL_OK)
		damaged_row("key");
	key->policy.members = MemoryContextAlloc(context,
											 (key->policy.count + 1) *
												 sizeof(envl_spelled));
	memcpy(key->policy.members, members,
		   key->policy.count * sizeof(envl_spelled));
}

/* Copies a row of pgenvelope.key, with its grants. */
static void
copy_key(const PgeOwnRow *row, MemoryContext context, PgeKey *key)
{
	bool		isnull;
	char	   *name = text_column(row, KEY_NAME, &isnull);
	Datum		required = pge_own_get(row, KEY_REQUIRED_CONTEXT, &isnull);

	memset(key, 0, sizeof(*key));
	copy_policy(DatumGetJsonbP(required), context, key);
	key->key_id = DatumGetInt64(pge_own_get(row, KEY_ID, &isnull));
	strlcpy(key->name, name, sizeof(key->name));
	key->is_audit = strcmp(text_column(row, KEY_PURPOSE, &isnull),
						   PURPOSE_AUDIT) == 0;
	key->dual_control = DatumGetBool(pge_own_get(row, KEY_DUAL_CONTROL,
												 &isnull));
	read_grants(key, context);
}

bool
pge_row_key(uint64 key_id, const char *name, MemoryContext context,
			PgeKey *key)
{
	Relation	table;
	SysScanDesc scan;
	ScanKeyData condition;
	PgeOwnRow	row;
	bool		found;

	pge_row_find_tables();
	if (name != NULL)
		ScanKeyInit(&condition, key_table.numbers[KEY_NAME],
					BTEqualStrategyNumber, F_TEXTEQ,
					PointerGetDatum(cstring_to_text(name)));
	else
		ScanKeyInit(&condition, key_table.numbers[KEY_ID],
					BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum((int64) key_id));
	table = pge_own_table_open(&key_table);
	scan = systable_beginscan(table,
							  pge_table(name != NULL ? "key_name_key" :
													   "key_pkey"),
							  true, NULL, 1, &condition);
	row.table = &key_table;
	row.descriptor = RelationGetDescr(table);
	row.tuple = systable_getnext(scan);
	found = HeapTupleIsValid(row.tuple);
	if (found)
		copy_key(&row, context, key);
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
	PgeOwnRow	row;
	uint64		key_id = 0;
	bool		isnull;

	pge_row_find_tables();
	ScanKeyInit(&condition, key_table.numbers[KEY_PURPOSE],
				BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(PURPOSE_AUDIT));
	table = pge_own_table_open(&key_table);
	scan = systable_beginscan(table, pge_table("key_audit"), true, NULL, 1,
							  &condition);
	row.table = &key_table;
	row.descriptor = RelationGetDescr(table);
	row.tuple = systable_getnext(scan);
	if (HeapTupleIsValid(row.tuple))
		key_id = DatumGetInt64(pge_own_get(&row, KEY_ID, &isnull));
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

/* Copies a sealed KEK; the caller has copied what else names it. */
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
copy_version(PgeKey *key, const PgeOwnRow *row, MemoryContext context,
			 PgeKeyVersion *version)
{
	bool		isnull;
	Datum		value;
	char	   *text;
	bytea	   *kcv;

	memset(version, 0, sizeof(*version));
	version->key = key;
	version->key_id = key->key_id;
	version->version = DatumGetInt32(pge_own_get(row, VERSION_VERSION,
												 &isnull));
	text = text_column(row, VERSION_STATE, &isnull);
	version->state = pge_state_parse(text);
	value = pge_own_get(row, VERSION_CANARY_PERCENT, &isnull);
	version->canary_percent = isnull ? 0 : DatumGetInt32(value);
	text = text_column(row, VERSION_PROVIDER, &isnull);
	strlcpy(version->provider, text, PROV_NAME_SIZE);
	text = text_column(row, VERSION_ROOT_KEY, &isnull);
	if (text != NULL)
		strlcpy(version->root_key, text, PROV_ROOT_KEY_MAX);
	kcv = DatumGetByteaPP(pge_own_get(row, VERSION_KCV, &isnull));
	if (VARSIZE_ANY_EXHDR(kcv) != ENVL_KCV_LEN)
		damaged_row("key_version");
	memcpy(version->kcv, VARDATA_ANY(kcv), ENVL_KCV_LEN);
	value = pge_own_get(row, VERSION_SEALED_KEK, &isnull);
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
 * state is -1, is in that state.  The state is tested here, because with
 * ignore_system_indexes, which any role may connect with, a partial index's
 * condition is not applied.
 */
static bool
read_version(PgeKey *key, const char *index, int conditions,
			 ScanKeyData *condition, int state, MemoryContext context,
			 PgeKeyVersion *version)
{
	Relation	table;
	SysScanDesc scan;
	PgeOwnRow	row;
	bool		found = false;

	pge_row_find_tables();
	table = pge_own_table_open(&version_table);
	scan = systable_beginscan(table, pge_table(index), true, NULL, conditions,
							  condition);
	row.table = &version_table;
	row.descriptor = RelationGetDescr(table);
	while (!found && HeapTupleIsValid(row.tuple = systable_getnext(scan)))
	{
		copy_version(key, &row, context, version);
		found = state == -1 || version->state == (PgeState) state;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

static void
of_key(ScanKeyData *condition, const PgeKey *key)
{
	ScanKeyInit(condition, version_table.numbers[VERSION_KEY_ID],
				BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
}

bool
pge_row_version(PgeKey *key, uint16 number, MemoryContext context,
				PgeKeyVersion *version)
{
	ScanKeyData condition[2];

	of_key(&condition[0], key);
	ScanKeyInit(&condition[1], version_table.numbers[VERSION_VERSION],
				BTEqualStrategyNumber,
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
	PgeOwnRow	row;
	List	   *found = NIL;
	bool		isnull;

	pge_row_find_tables();
	table = pge_own_table_open(&key_table);
	scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	row.table = &key_table;
	row.descriptor = RelationGetDescr(table);
	while (HeapTupleIsValid(row.tuple = systable_getnext(scan)))
	{
		char	   *name = text_column(&row, KEY_NAME, &isnull);

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
	PgeOwnRow	row;
	List	   *found = NIL;
	bool		isnull;

	pge_row_find_tables();
	of_key(&condition, key);
	table = pge_own_table_open(&version_table);
	scan = systable_beginscan(table, pge_table("key_version_pkey"), true,
							  NULL, 1, &condition);
	row.table = &version_table;
	row.descriptor = RelationGetDescr(table);
	while (HeapTupleIsValid(row.tuple = systable_getnext(scan)))
	{
		Datum		number = pge_own_get(&row, VERSION_VERSION, &isnull);

		found = lappend_int(found, DatumGetInt32(number));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	list_sort(found, list_int_cmp);
	return found;
}
