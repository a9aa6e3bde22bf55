/*
 * pge_catalog.c
 *	  The key tables as a backend sees them: keys, versions, grants.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/pge_compat.h"
#include "catalog/pge_row.h"
#include "base/pge_shared.h"

/* 2^64 divided by the golden ratio. */
#define WEYL_STEP UINT64CONST(0x9E3779B97F4A7C15)

typedef struct NameEntry
{
	char		name[NAMEDATALEN];	/* hash key, zero-padded */
	uint64		key_id;
} NameEntry;

StaticAssertDecl(NAMEDATALEN > ENVL_KEY_NAME_MAX, "a key's name fits");

uint64		pge_catalog_epoch = 1;
uint64		pge_rights_epoch = 1;

/* Everything read from the tables; all dropped once it is out of date. */
static MemoryContext catalog_context;
static HTAB *keys;				/* of PgeKey, by id */
static HTAB *versions;			/* of PgeKeyVersion, by id and version */
static HTAB *names;				/* of NameEntry */
static PgeKey *last_named;		/* what pge_key_by_name last found */
static PgeKey *last_by_id;		/* what pge_key_by_id last found */

static bool stale = true;		/* set by invalidation callbacks */
static bool rights_stale;
static bool is_checked;			/* the schema's version is ours */
static bool changed_here;		/* this transaction changed the tables */
static TimestampTz heard_in_statement;
static		void (*on_drop)(void);
static uint64 heard_destructions;

/* ---------------------------------------------------------------- */
/* Invalidation                                                     */
/* ---------------------------------------------------------------- */

static void
relation_changed(Datum arg, Oid relation)
{
	if (relation == InvalidOid || pge_row_source(relation))
		stale = true;
}

static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	rights_stale = true;
}

/*
 * At commit every backend must drop what it derived from a KEK, since that KEK
 * may no longer be the one to use.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PARALLEL_ABORT)
	{
		if (changed_here && event == XACT_EVENT_COMMIT && pge_shared != NULL)
			pge_generation_bump(MyDatabaseId);
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

bool
pge_catalog_changed_here(void)
{
	return changed_here;
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

/*
 * Other sessions' commits count from the next statement on.  A statement
 * within a transaction may take no new lock, and so would not receive their
 * invalidations until the next transaction.  The destruction of a version
 * counts at once: its KEK must not be unsealed again from the old row.
 */
static void
hear_of_changes(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	uint64		destructions = pge_shared != NULL ? pge_destructions() : 0;

	if (likely(statement == heard_in_statement &&
			   destructions == heard_destructions))
		return;
	AcceptInvalidationMessages();
	heard_in_statement = statement;
	heard_destructions = destructions;
}

/*
 * Checks the schema's version.  An update of the extension is announced as a
 * change to the tables, which a session only notices after looking them up.
 * So if the version differs or there is no extension, check again each time.
 */
static void
check_schema(void)
{
	char	   *version;

	switch (pge_schema(&version))
	{
		case PGE_SCHEMA_OURS:
			pge_row_find_tables();
			is_checked = true;
			pfree(version);
			break;
		case PGE_SCHEMA_OTHER:
			pge_schema_refuse(version);
		case PGE_SCHEMA_ABSENT:
			break;
	}
}

/* Drops everything that was read. */
static void
start_anew(void)
{
	if (on_drop != NULL)
		on_drop();
	last_named = last_by_id = NULL;
	keys = versions = names = NULL;
	if (catalog_context == NULL)
		catalog_context = AllocSetContextCreate(TopMemoryContext,
												"pgenvelope catalog",
												ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(catalog_context);
	pge_row_forget_tables();
	keys = create_table("pgenvelope keys", sizeof(uint64), sizeof(PgeKey));
	versions = create_table("pgenvelope versions", 2 * sizeof(uint64),
							sizeof(PgeKeyVersion));
	names = create_table("pgenvelope names", NAMEDATALEN, sizeof(NameEntry));
	pge_catalog_epoch++;
	is_checked = false;
	stale = false;
}

void
pge_catalog_begin(void)
{
	hear_of_changes();
	if (likely(!stale && !rights_stale && is_checked))
		return;
	if (stale || rights_stale)
		pge_rights_epoch++;
	rights_stale = false;
	if (stale)
		start_anew();
	if (!is_checked)
		check_schema();
}

void
pge_catalog_on_drop(void (*callback)(void))
{
	Assert(on_drop == NULL);
	on_drop = callback;
}

MemoryContext
pge_catalog_memory(void)
{
	return catalog_context;
}

/* ---------------------------------------------------------------- */
/* Keys                                                             */
/* ---------------------------------------------------------------- */

/* Reads and enters the key of this id, or of this name if there is one. */
static PgeKey *
enter_key(uint64 key_id, const char *name)
{
	PgeKey		row;
	PgeKey	   *entry;

	if (!pge_row_key(key_id, name, catalog_context, &row))
		return NULL;
	entry = hash_search(keys, &row.key_id, HASH_ENTER, NULL);
	*entry = row;
	entry->policy.key_name = entry->name;
	return entry;
}

PgeKey *
pge_key_by_id(uint64 key_id)
{
	PgeKey	   *key = last_by_id;

	/* Neighbouring values in a column mostly share a key. */
	if (likely(key != NULL && key->key_id == key_id))
		return key;
	key = hash_search(keys, &key_id, HASH_FIND, NULL);
	if (key == NULL)
		key = enter_key(key_id, NULL);
	last_by_id = key;
	return key;
}

PgeKey *
pge_key_by_name(const char *name, size_t len)
{
	char		padded[NAMEDATALEN] = {0};
	NameEntry  *entry;
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
		key = enter_key(0, padded);
		if (key != NULL)
		{
			entry = hash_search(names, padded, HASH_ENTER, NULL);
			entry->key_id = key->key_id;
		}
	}
	last_named = key;
	return key;
}

PgeKey *
pge_key_of_audit(void)
{
	uint64		key_id = pge_row_audit_key();

	return key_id != 0 ? pge_key_by_id(key_id) : NULL;
}

/* ---------------------------------------------------------------- */
/* Versions                                                         */
/* ---------------------------------------------------------------- */

/* Enters a row that was read, whose views point into the row itself. */
static PgeKeyVersion *
enter_version(PgeKeyVersion *row)
{
	bool		found;
	PgeKeyVersion *entry;

	/* A row that is read again keeps its KEK, if that is the same. */
	entry = hash_search(versions, &row->key_id, HASH_ENTER, &found);
	if (found &&
		memcmp(entry->sealed.digest, row->sealed.digest,
			   ENVL_KEK_DIGEST_LEN) == 0)
		row->kek = entry->kek;
	*entry = *row;
	entry->sealed.provider = entry->provider;
	entry->sealed.root_key = entry->root_key;
	entry->sealed.kcv = entry->kcv;
	return entry;
}

PgeKeyVersion *
pge_key_version(PgeKey *key, uint16 version)
{
	uint64		wanted[2] = {key->key_id, version};
	PgeKeyVersion *entry;
	PgeKeyVersion row;

	if (likely(key->last != NULL && key->last->version == version))
		return key->last;
	entry = hash_search(versions, wanted, HASH_FIND, NULL);
	if (entry == NULL &&
		pge_row_version(key, version, catalog_context, &row))
		entry = enter_version(&row);
	return key->last = entry;
}

static PgeKeyVersion *
version_in_state(PgeKey *key, PgeState state)
{
	PgeKeyVersion row;

	if (!pge_row_version_in_state(key, state, catalog_context, &row))
		return NULL;
	return enter_version(&row);
}

PgeKeyVersion *
pge_key_active(PgeKey *key)
{
	if (likely(key->active != NULL))
		return key->active;
	key->pre_active = version_in_state(key, PGE_STATE_PRE_ACTIVE);
	key->active = version_in_state(key, PGE_STATE_ACTIVE);
	return key->active;
}

PgeKeyVersion *
pge_key_pre_active(PgeKey *key)
{
	(void) pge_key_active(key);
	return key->pre_active;
}

/*
 * Whether the next value falls into the share of a pre_active version.  The
 * multiples of the golden ratio are spread on a circle as evenly as possible,
 * so among any n successive values the share is right to within a few.
 */
static bool
takes_canary(PgeKey *key)
{
	uint64		hundredth;

	if (key->weyl == 0 && !pg_strong_random(&key->weyl, sizeof(key->weyl)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	key->weyl += WEYL_STEP;
	hundredth = ((key->weyl >> 32) * 100) >> 32;
	return hundredth < (uint64) key->pre_active->canary_percent;
}

PgeKeyVersion *
pge_key_writer(PgeKey *key)
{
	PgeKeyVersion *active = pge_key_active(key);

	if (likely(key->pre_active == NULL || active == NULL))
		return active;
	return takes_canary(key) ? key->pre_active : active;
}
