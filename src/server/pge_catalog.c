/*
 * pge_catalog.c
 *	  The key tables as a backend sees them: keys, versions, grants.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "pge_catalog.h"
#include "pge_compat.h"
#include "pge_context.h"
#include "pge_kek.h"

/* Columns, as sql/pgenvelope.sql has them. */
enum
{
	KEY_ID = 1,
	KEY_NAME,
	KEY_REQUIRED_CONTEXT
};
enum
{
	VERSION_KEY_ID = 1,
	VERSION_VERSION,
	VERSION_STATE,
	VERSION_PROVIDER,
	VERSION_SEALED_KEK,
	VERSION_KCV,
	VERSION_ROOT_KEY
};
enum
{
	GRANT_KEY_ID = 1,
	GRANT_PRIVILEGE,
	GRANT_GRANTEE,
	GRANT_CONTEXT
};

static const char *const state_names[] = {
	[PGE_STATE_PRE_ACTIVE] = "pre_active",
	[PGE_STATE_ACTIVE] = "active",
	[PGE_STATE_DEACTIVATED] = "deactivated",
	[PGE_STATE_RETIRED] = "retired",
	[PGE_STATE_DESTROYED] = "destroyed",
};

static const struct
{
	const char *name;
	uint32		bit;
} privileges[] = {
	{"encrypt", PGE_ENCRYPT},
	{"decrypt", PGE_DECRYPT},
	{"rewrap", PGE_REWRAP},
	{"admin", PGE_ADMIN},
};

typedef struct NameEntry
{
	char		name[NAMEDATALEN];	/* hash key, zero-padded */
	uint64		key_id;
} NameEntry;

StaticAssertDecl(NAMEDATALEN > ENVL_KEY_NAME_MAX, "a key's name fits");

uint64		pge_catalog_epoch = 1;

/* Everything read from the tables; all gone when it is out of date. */
static MemoryContext catalog_context;
static HTAB *keys;				/* of PgeKey, by id */
static HTAB *versions;			/* of PgeKeyVersion, by id and version */
static HTAB *names;				/* of NameEntry */
static PgeKey *last_named;		/* what pge_key_by_name last found */
static PgeKey *last_by_id;		/* what pge_key_by_id last found */

/* Our tables, InvalidOid until looked up. */
static Oid	key_table;
static Oid	version_table;
static Oid	grant_table;

static bool stale = true;		/* set by invalidation callbacks */
static bool rights_stale;
static bool changed_here;		/* this transaction changed the tables */
static TimestampTz heard_in_statement;

/* ---------------------------------------------------------------- */
/* Invalidation                                                     */
/* ---------------------------------------------------------------- */

static void
relation_changed(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == key_table ||
		relation == version_table || relation == grant_table)
		stale = true;
}

static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	rights_stale = true;
}

/*
 * At commit every backend must drop what it derived from a KEK that may no
 * longer be the one to use.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PARALLEL_ABORT)
	{
		if (pge_shared != NULL)
			pge_cache_flush_counts();
		if (changed_here && event == XACT_EVENT_COMMIT && pge_shared != NULL)
			pge_generation_bump();
		changed_here = false;
	}
}

void
pge_catalog_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);

	/* The owner of the database is the member of pg_database_owner. */
	CacheRegisterSyscacheCallback(DATABASEOID, roles_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
}

void
pge_catalog_changed(Oid relation)
{
	CacheInvalidateRelcacheByRelid(relation);
	changed_here = true;
}

static HTAB *
create_table(const char *name, Size key_size, Size entry_size)
{
	HASHCTL		control = {0};

	control.keysize = key_size;
	control.entrysize = entry_size;
	control.hcxt = catalog_context;
	return hash_create(name, 16, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
forget_rights(void)
{
	HASH_SEQ_STATUS scan;
	PgeKey	   *key;

	rights_stale = false;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
		key->role = InvalidOid;
}

/*
 * What others have committed counts from the next statement on.  A statement
 * within a transaction may well take no lock that the transaction lacks, and
 * so would not hear of it until the next transaction.
 */
static void
hear_of_changes(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (likely(statement == heard_in_statement))
		return;
	AcceptInvalidationMessages();
	heard_in_statement = statement;
}

void
pge_catalog_begin(void)
{
	hear_of_changes();
	if (likely(!stale && !rights_stale))
		return;
	if (!stale)
	{
		forget_rights();
		return;
	}
	pge_kek_drop_all();
	last_named = last_by_id = NULL;
	keys = versions = names = NULL;
	if (catalog_context == NULL)
		catalog_context = AllocSetContextCreate(TopMemoryContext,
												"pgenvelope catalog",
												ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(catalog_context);
	key_table = version_table = grant_table = InvalidOid;
	keys = create_table("pgenvelope keys", sizeof(uint64), sizeof(PgeKey));
	versions = create_table("pgenvelope versions", 2 * sizeof(uint64),
							sizeof(PgeKeyVersion));
	names = create_table("pgenvelope names", NAMEDATALEN, sizeof(NameEntry));
	pge_catalog_epoch++;
	stale = rights_stale = false;
}

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

static void
find_tables(void)
{
	if (OidIsValid(key_table))
		return;
	version_table = pge_table("key_version");
	grant_table = pge_table("key_grant");
	key_table = pge_table("key");
}

/* An index on these columns of a table, by name. */
static Oid
find_index(const char *name)
{
	return pge_table(name);
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

static void
read_grants(PgeKey *key)
{
	Relation	table = open_table(grant_table, "key_grant");
	TupleDesc	descriptor = RelationGetDescr(table);
	SysScanDesc scan;
	ScanKeyData condition;
	HeapTuple	tuple;
	int			room = 8;

	key->grants = MemoryContextAlloc(catalog_context,
									 room * sizeof(PgeGrant));
	ScanKeyInit(&condition, GRANT_KEY_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) key->key_id));
	scan = systable_beginscan(table, find_index("key_grant_once"), true, NULL,
							  1, &condition);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		uint32		bit;
		PgeGrant   *grant;

		bit = pge_privilege_parse(text_column(tuple, descriptor,
											  GRANT_PRIVILEGE, &isnull));

		/* A limited grant is none until limits are understood. */
		(void) heap_getattr(tuple, GRANT_CONTEXT, descriptor, &isnull);
		if (!isnull)
			continue;
		if (key->grant_count == room)
		{
			room *= 2;
			key->grants = repalloc(key->grants, room * sizeof(PgeGrant));
		}
		grant = &key->grants[key->grant_count++];
		grant->privilege = bit;
		grant->grantee = DatumGetObjectId(heap_getattr(tuple, GRANT_GRANTEE,
													   descriptor, &isnull));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
}

/* Enters a row of pgenvelope.key, with its grants. */
static PgeKey *
enter_key(HeapTuple tuple, TupleDesc descriptor)
{
	bool		isnull;
	uint64		key_id = DatumGetInt64(heap_getattr(tuple, KEY_ID, descriptor,
													&isnull));
	char	   *name = text_column(tuple, descriptor, KEY_NAME, &isnull);
	Datum		required = heap_getattr(tuple, KEY_REQUIRED_CONTEXT,
										descriptor, &isnull);
	uint8		policy[ENVL_CONTEXT_MAX];
	size_t		policy_len;
	PgeProblem	problem;
	PgeKey		key = {0};
	PgeKey	   *entry;

	if (!pge_policy_from_jsonb(DatumGetJsonbP(required), policy, &policy_len,
							   &problem))
		damaged_row("key");
	key.key_id = key_id;
	strlcpy(key.name, name, sizeof(key.name));
	key.policy.len = policy_len;
	key.policy.data = MemoryContextAlloc(catalog_context,
										 Max(policy_len, 1));
	memcpy(unconstify(uint8 *, key.policy.data), policy, policy_len);
	read_grants(&key);

	entry = hash_search(keys, &key_id, HASH_ENTER, NULL);
	*entry = key;
	return entry;
}

/* Reads the row of pgenvelope.key that satisfies a condition. */
static PgeKey *
read_key(const char *index, ScanKeyData *condition)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	PgeKey	   *key = NULL;

	find_tables();
	table = open_table(key_table, "key");
	scan = systable_beginscan(table, find_index(index), true, NULL, 1,
							  condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		key = enter_key(tuple, RelationGetDescr(table));
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return key;
}

PgeKey *
pge_key_by_id(uint64 key_id)
{
	PgeKey	   *key = last_by_id;
	ScanKeyData condition;

	/* Neighbours in a column mostly share their key. */
	if (likely(key != NULL && key->key_id == key_id))
		return key;
	key = hash_search(keys, &key_id, HASH_FIND, NULL);
	if (key == NULL)
	{
		ScanKeyInit(&condition, KEY_ID, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum((int64) key_id));
		key = read_key("key_pkey", &condition);
	}
	last_by_id = key;
	return key;
}

PgeKey *
pge_key_by_name(const char *name, size_t len)
{
	char		padded[NAMEDATALEN] = {0};
	NameEntry  *entry;
	ScanKeyData condition;
	PgeKey	   *key;

	if (likely(last_named != NULL &&
			   strncmp(last_named->name, name, len) == 0 &&
			   last_named->name[len] == '\0'))
		return last_named;
	if (len == 0 || len > ENVL_KEY_NAME_MAX)
		return NULL;
	memcpy(padded, name, len);
	entry = hash_search(names, padded, HASH_FIND, NULL);
	if (entry != NULL)
		key = pge_key_by_id(entry->key_id);
	else
	{
		ScanKeyInit(&condition, KEY_NAME, BTEqualStrategyNumber, F_TEXTEQ,
					PointerGetDatum(cstring_to_text(padded)));
		key = read_key("key_name_key", &condition);
		if (key != NULL)
		{
			entry = hash_search(names, padded, HASH_ENTER, NULL);
			entry->key_id = key->key_id;
		}
	}
	last_named = key;
	return key;
}

static PgeState
parse_state(const char *name)
{
	for (int i = 0; i < (int) lengthof(state_names); i++)
	{
		if (strcmp(name, state_names[i]) == 0)
			return (PgeState) i;
	}
	damaged_row("key_version");
	return PGE_STATE_DESTROYED;
}

/* Copies a row of pgenvelope.key_version. */
static PgeKeyVersion *
enter_version(PgeKey *key, HeapTuple tuple, TupleDesc descriptor)
{
	bool		isnull;
	bool		destroyed;
	bool		found;
	PgeKeyVersion *entry;
	PgeKeyVersion version = {0};
	Datum		sealed = heap_getattr(tuple, VERSION_SEALED_KEK, descriptor,
									  &destroyed);
	bytea	   *kcv = DatumGetByteaPP(heap_getattr(tuple, VERSION_KCV,
												   descriptor, &isnull));
	bytea	   *blob;
	char	   *root_key;

	version.key_id = key->key_id;
	version.version = DatumGetInt32(heap_getattr(tuple, VERSION_VERSION,
												 descriptor, &isnull));
	version.key = key;
	version.state = parse_state(text_column(tuple, descriptor, VERSION_STATE,
											&isnull));
	strlcpy(version.provider,
			text_column(tuple, descriptor, VERSION_PROVIDER, &isnull),
			PROV_NAME_SIZE);
	root_key = text_column(tuple, descriptor, VERSION_ROOT_KEY, &isnull);
	if (root_key != NULL)
		strlcpy(version.root_key, root_key, PROV_ROOT_KEY_MAX);
	if (VARSIZE_ANY_EXHDR(kcv) != ENVL_KCV_LEN)
		damaged_row("key_version");
	memcpy(version.kcv, VARDATA_ANY(kcv), ENVL_KCV_LEN);
	if (!destroyed)
	{
		blob = DatumGetByteaPP(sealed);
		version.sealed.sealed.len = VARSIZE_ANY_EXHDR(blob);
		if (version.sealed.sealed.len == 0 ||
			version.sealed.sealed.len > PROV_SEALED_MAX)
			damaged_row("key_version");
		version.sealed.sealed.data =
			MemoryContextAlloc(catalog_context, version.sealed.sealed.len);
		memcpy(unconstify(uint8 *, version.sealed.sealed.data),
			   VARDATA_ANY(blob), version.sealed.sealed.len);
		if (envl_kek_digest(version.key_id, version.version,
							version.sealed.sealed,
							version.sealed.digest) != ENVL_OK)
			elog(ERROR, "could not compute SHA-256");
	}
	version.sealed.key_name = key->name;
	version.sealed.key_id = key->key_id;
	version.sealed.version = version.version;

	/* A row that is read a second time keeps its KEK, if it is the same. */
	entry = hash_search(versions, &version.key_id, HASH_ENTER, &found);
	if (found &&
		memcmp(entry->sealed.digest, version.sealed.digest,
			   ENVL_KEK_DIGEST_LEN) == 0)
		version.kek = entry->kek;
	*entry = version;
	entry->sealed.provider = entry->provider;
	entry->sealed.root_key = entry->root_key;
	entry->sealed.kcv = entry->kcv;
	return entry;
}

/*
 * Reads the version that satisfies a condition on an index, and is active if
 * that is asked for: with ignore_system_indexes, which anybody may connect
 * with, the condition of a partial index is not applied.
 */
static PgeKeyVersion *
read_version(PgeKey *key, const char *index, int conditions,
			 ScanKeyData *condition, bool active)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	PgeKeyVersion *version = NULL;

	find_tables();
	table = open_table(version_table, "key_version");
	scan = systable_beginscan(table, find_index(index), true, NULL,
							  conditions, condition);
	while (version == NULL &&
		   HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		version = enter_version(key, tuple, RelationGetDescr(table));
		if (active && version->state != PGE_STATE_ACTIVE)
			version = NULL;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return version;
}

PgeKeyVersion *
pge_key_version(PgeKey *key, uint16 version)
{
	uint64		wanted[2] = {key->key_id, version};
	PgeKeyVersion *entry;
	ScanKeyData condition[2];

	if (likely(key->last != NULL && key->last->version == version))
		return key->last;
	entry = hash_search(versions, wanted, HASH_FIND, NULL);
	if (entry != NULL)
		return key->last = entry;
	ScanKeyInit(&condition[0], VERSION_KEY_ID, BTEqualStrategyNumber,
				F_INT8EQ, Int64GetDatum((int64) key->key_id));
	ScanKeyInit(&condition[1], VERSION_VERSION, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(version));
	key->last = read_version(key, "key_version_pkey", 2, condition, false);
	return key->last;
}

PgeKeyVersion *
pge_key_active(PgeKey *key)
{
	ScanKeyData condition;

	if (likely(key->active != NULL))
		return key->active;
	ScanKeyInit(&condition, VERSION_KEY_ID, BTEqualStrategyNumber,
				F_INT8EQ, Int64GetDatum((int64) key->key_id));
	key->active = read_version(key, "key_version_active", 1, &condition, true);
	return key->active;
}

/* ---------------------------------------------------------------- */
/* Rights                                                           */
/* ---------------------------------------------------------------- */

uint32
pge_privilege_parse(const char *name)
{
	for (int i = 0; i < (int) lengthof(privileges); i++)
	{
		if (strcmp(name, privileges[i].name) == 0)
			return privileges[i].bit;
	}
	return 0;
}

static const char *
privilege_name(uint32 bit)
{
	for (int i = 0; i < (int) lengthof(privileges); i++)
	{
		if (privileges[i].bit == bit)
			return privileges[i].name;
	}
	return "?";
}

/*
 * Whether a role has what was granted to another.  For a superuser the usual
 * test would say yes to everything, so it is asked of memberships alone.
 */
static bool
role_has(Oid role, Oid grantee)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grantee)))
		return false;
	if (superuser_arg(role))
		return is_member_of_role_nosuper(role, grantee);
	return has_privs_of_role(role, grantee);
}

bool
pge_key_permits(PgeKey *key, uint32 privilege)
{
	Oid			role = GetUserId();

	if (unlikely(key->role != role))
	{
		uint32		held = 0;

		for (int i = 0; i < key->grant_count; i++)
		{
			if ((held & key->grants[i].privilege) == 0 &&
				role_has(role, key->grants[i].grantee))
				held |= key->grants[i].privilege;
		}
		key->held = held;
		key->role = role;
	}
	return (key->held & privilege) != 0;
}

bool
pge_require_privilege(PgeKey *key, uint32 privilege, PgeProblem *problem)
{
	if (likely(pge_key_permits(key, privilege)))
		return true;
	pge_problem(problem, PGE_NOT_ENTITLED,
				"An administrator of the key can grant it with env_grant.",
				"permission denied for key \"%s\"", key->name);
	pge_problem_detail(problem, "Role \"%s\" lacks the privilege \"%s\".",
					   GetUserNameFromId(GetUserId(), true),
					   privilege_name(privilege));
	return false;
}
