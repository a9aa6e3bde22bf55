/*
 * pge_audit_log.c
 *	  pgenvelope.audit_log: admin acts, chained under the audit key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "audit/pge_audit_log.h"
#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_line.h"
#include "catalog/pge_row.h"
#include "catalog/pge_spi.h"
#include "catalog/pge_table.h"
#include "keys/pge_cache.h"

#define COLUMN_PREVIOUS (PGE_ENTRY_FIELDS + 1)
#define COLUMN_MAC (PGE_ENTRY_FIELDS + 2)

/* ---------------------------------------------------------------- */
/* Entries                                                          */
/* ---------------------------------------------------------------- */

/* Reads a MAC from a column.  False if it is none. */
static bool
read_mac(int row, int column, uint8 *out)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);
	bytea	   *bytes;

	if (isnull || SPI_gettypeid(SPI_tuptable->tupdesc, column) != BYTEAOID)
		return false;
	bytes = DatumGetByteaPP(value);
	if (VARSIZE_ANY_EXHDR(bytes) != ENVL_AUDIT_MAC_LEN)
		return false;
	memcpy(out, VARDATA_ANY(bytes), ENVL_AUDIT_MAC_LEN);
	return true;
}

bool
pge_entry_read(int row, PgeEntry *entry)
{
	bool		whole;

	memset(entry, 0, sizeof(*entry));
	for (int i = 0; i < PGE_ENTRY_FIELDS; i++)
		entry->fields[i] = pge_row_text(row, i + 1);
	whole = read_mac(row, COLUMN_PREVIOUS, entry->previous);
	return read_mac(row, COLUMN_MAC, entry->mac) && whole;
}

uint64
pge_entry_seq(const PgeEntry *entry)
{
	const char *seq = entry->fields[PGE_ENTRY_SEQ];

	return seq != NULL ? strtou64(seq, NULL, 10) : 0;
}

/*
 * Derives the chain key of a version of an audit key.  The caller wipes it,
 * and must not raise before that.
 */
static bool
derive_chain_key(uint64 key_id, int number, envl_key *out, PgeProblem *problem)
{
	PgeKey	   *key = pge_key_by_id(key_id);
	PgeKeyVersion *version;
	PgeUnsealedKek unsealed;
	envl_status status;

	version = key != NULL && key->is_audit && number > 0 && number <= 65535 ?
		pge_key_version(key, (uint16) number) :
		NULL;
	if (version == NULL)
		return pge_problem(problem, PGE_KEY_NOT_FOUND, NULL,
						   "this database has no such audit key");
	if (version->state == PGE_STATE_DESTROYED)
		return pge_problem(problem, PGE_KEY_NOT_ALLOWED, NULL,
						   "version %d of the audit key is destroyed", number);
	if (!pge_cache_get(&version->sealed, &unsealed, problem))
		return false;
	status = envl_audit_key(&unsealed.key, key_id, (uint16) number, out);
	envl_wipe(&unsealed.key, sizeof(envl_key));
	return pge_problem_core(problem, status);
}

bool
pge_entry_mac(const PgeEntry *entry, uint8 *mac, PgeProblem *problem)
{
	envl_view	views[PGE_ENTRY_FIELDS] = {{NULL, 0}};
	const char *key_id = entry->fields[PGE_ENTRY_AUDIT_KEY_ID];
	const char *version = entry->fields[PGE_ENTRY_AUDIT_VERSION];
	envl_key	key;
	envl_status status;

	for (int i = 0; i < PGE_ENTRY_FIELDS; i++)
	{
		if (entry->fields[i] != NULL &&
			!pge_to_utf8(pge_cstring_view(entry->fields[i]), &views[i],
						 problem))
			return false;
	}
	if (!derive_chain_key(key_id != NULL ? strtou64(key_id, NULL, 10) : 0,
						  version != NULL ? atoi(version) : 0, &key, problem))
		return false;
	status = envl_audit_entry(&key, entry->previous, views, PGE_ENTRY_FIELDS,
							  mac);
	envl_wipe(&key, sizeof(key));
	return pge_problem_core(problem, status);
}

bool
pge_entry_is_sound(const PgeEntry *entry)
{
	uint8		mac[ENVL_AUDIT_MAC_LEN];
	PgeProblem	problem;

	return pge_entry_mac(entry, mac, &problem) &&
		envl_secret_equal(mac, entry->mac, ENVL_AUDIT_MAC_LEN);
}

/* ---------------------------------------------------------------- */
/* The head                                                         */
/* ---------------------------------------------------------------- */

/* Computes the signature of an anchor. */
static bool
sign_anchor(const PgeAnchor *anchor, uint8 *signature, PgeProblem *problem)
{
	char		lines[PGE_ANCHOR_TEXT_SIZE];
	envl_view	view = {(const uint8 *) lines,
						pge_anchor_lines(anchor, lines)};
	envl_key	key;
	envl_status status;

	if (!derive_chain_key(anchor->key_id, anchor->version, &key, problem))
		return false;
	status = envl_audit_anchor(&key, view, signature);
	envl_wipe(&key, sizeof(key));
	return pge_problem_core(problem, status);
}

bool
pge_audit_anchor(PgeAnchor *anchor, bool *trusted)
{
	uint8		signature[ENVL_AUDIT_MAC_LEN];
	PgeAnchorFile found;
	PgeProblem	problem;

	*trusted = true;
	if (pge_anchor_recall(anchor))
		return true;
	found = pge_anchor_require(anchor);
	if (found == PGE_ANCHOR_READ)
		*trusted = sign_anchor(anchor, signature, &problem) &&
			envl_secret_equal(signature, anchor->signature,
							  ENVL_AUDIT_MAC_LEN);
	else
	{
		*trusted = found == PGE_ANCHOR_ABSENT;
		memset(anchor, 0, sizeof(*anchor));
	}
	return found == PGE_ANCHOR_READ;
}

/*
 * Moves the head from an anchor to the last entry with a right MAC: entries
 * may have been committed after the anchor was written, before the server
 * stopped.
 */
static void
catch_up(PgeAnchor *head)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum((int64) head->seq),
							Int64GetDatum(PG_INT64_MAX)};
	PgeEntry	entry;

	while (pge_write_run("SELECT " PGE_ENTRY_COLUMNS
						 " FROM pgenvelope.audit_log"
						 " WHERE seq > $1 AND seq < $2"
						 " ORDER BY audit_log.seq DESC LIMIT 1",
						 lengthof(types), types, values, NULL) > 0)
	{
		bool		whole = pge_entry_read(0, &entry);

		values[1] = Int64GetDatum((int64) pge_entry_seq(&entry));
		if (!whole || !pge_entry_is_sound(&entry))
			continue;
		head->seq = pge_entry_seq(&entry);
		memcpy(head->mac, entry.mac, ENVL_AUDIT_MAC_LEN);
		return;
	}
}

/*
 * The number of the next entry.  It is above all numbers in the table, even
 * those that someone inserted.
 */
static uint64
find_next_seq(const PgeAnchor *head)
{
	pge_write_run("SELECT coalesce(max(seq), 0) FROM pgenvelope.audit_log", 0,
				  NULL, NULL, NULL);
	return Max(head->seq, (uint64) pge_row_int(0, 1)) + 1;
}

/* ---------------------------------------------------------------- */
/* Appending                                                        */
/* ---------------------------------------------------------------- */

static const char *
name_of(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL ? name : psprintf("%u", role);
}

/* Fills in an entry from the act and the role. */
static void
fill_entry(const PgeAct *act, const char *role, PgeEntry *entry)
{
	Datum		detail = DirectFunctionCall1(jsonb_in,
											 CStringGetDatum(
												 act->details != NULL ?
													 act->details :
													 "{}"));
	TimestampTz now = GetCurrentTimestamp();

	memset(entry, 0, sizeof(*entry));
	entry->fields[PGE_ENTRY_AT] =
		psprintf("%lld",
				 (long long) (now +
							  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
								  USECS_PER_DAY));
	entry->fields[PGE_ENTRY_ACT] = act->act;
	if (act->key_id != 0)
		entry->fields[PGE_ENTRY_KEY_ID] = psprintf("%llu",
												   (unsigned long long)
													   act->key_id);
	entry->fields[PGE_ENTRY_KEY] = act->key_name;
	if (act->version != 0)
		entry->fields[PGE_ENTRY_VERSION] = psprintf("%d", act->version);
	entry->fields[PGE_ENTRY_DETAIL] =
		DatumGetCString(DirectFunctionCall1(jsonb_out, detail));
	entry->fields[PGE_ENTRY_ROLE] = role;
	entry->fields[PGE_ENTRY_SESSION_ROLE] = name_of(GetSessionUserId());
	entry->fields[PGE_ENTRY_AUTHENTICATED_ROLE] =
		name_of(GetAuthenticatedUserId());
	entry->fields[PGE_ENTRY_CLIENT] = pge_client_address();
	if (pge_trace_id[0] != '\0')
		entry->fields[PGE_ENTRY_TRACE_ID] = pge_trace_id;
}

static void
insert_entry(const PgeEntry *entry)
{
	Oid			types[PGE_ENTRY_FIELDS + 2];
	Datum		values[PGE_ENTRY_FIELDS + 2] = {0};
	char		nulls[PGE_ENTRY_FIELDS + 2];

	for (int i = 0; i < PGE_ENTRY_FIELDS; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = entry->fields[i] != NULL ? ' ' : 'n';
		if (entry->fields[i] != NULL)
			values[i] = CStringGetTextDatum(entry->fields[i]);
	}
	types[PGE_ENTRY_FIELDS] = types[PGE_ENTRY_FIELDS + 1] = BYTEAOID;
	nulls[PGE_ENTRY_FIELDS] = nulls[PGE_ENTRY_FIELDS + 1] = ' ';
	values[PGE_ENTRY_FIELDS] = pge_bytea_datum(entry->previous,
											   ENVL_AUDIT_MAC_LEN);
	values[PGE_ENTRY_FIELDS + 1] = pge_bytea_datum(entry->mac,
												   ENVL_AUDIT_MAC_LEN);
	pge_write_run("INSERT INTO pgenvelope.audit_log VALUES ($1::bigint,"
				  " timestamptz 'epoch' + $2::bigint * interval '1 microsecond',"
				  " $3, $4::bigint, $5, $6::integer, $7::jsonb, $8, $9, $10,"
				  " $11, $12, $13::bigint, $14::integer, $15, $16)",
				  lengthof(types), types, values, nulls);
}

/* Chains an entry to the head, and makes it the new head. */
static void
chain_entry(PgeEntry *entry, PgeAnchor *head, const PgeKeyVersion *version)
{
	PgeProblem	problem;

	memcpy(entry->previous, head->mac, ENVL_AUDIT_MAC_LEN);
	head->database = MyDatabaseId;
	head->seq = find_next_seq(head);
	head->key_id = version->key_id;
	head->version = (uint16) version->version;
	entry->fields[PGE_ENTRY_SEQ] = psprintf(UINT64_FORMAT, head->seq);
	entry->fields[PGE_ENTRY_AUDIT_KEY_ID] = psprintf(UINT64_FORMAT,
													 head->key_id);
	entry->fields[PGE_ENTRY_AUDIT_VERSION] = psprintf("%u", head->version);
	if (!pge_entry_mac(entry, entry->mac, &problem))
		pge_raise(&problem);
	memcpy(head->mac, entry->mac, ENVL_AUDIT_MAC_LEN);
	if (!sign_anchor(head, head->signature, &problem))
		pge_raise(&problem);
}

/* The version that chains; NULL if there is no audit key. */
static PgeKeyVersion *
find_version(void)
{
	PgeKey	   *key = pge_key_of_audit();
	PgeKeyVersion *version;
	PgeProblem	problem;

	if (key == NULL)
		return NULL;
	version = pge_key_active(key);
	if (version != NULL)
		return version;
	pge_problem(&problem, PGE_KEY_NOT_ALLOWED,
				"pgenvelope.rotate_key makes a version, pgenvelope.activate_key activates one.",
				"audit key \"%s\" has no active version", key->name);
	pge_raise(&problem);
	return NULL;
}

bool
pge_audit_append(const PgeAct *act, const char *role, const PgeAnchor *last,
				 PgeAnchor *head)
{
	PgeKeyVersion *version;
	PgeEntry	entry;
	PgeWriter	writer;
	bool		trusted;

	/* A standby cannot insert; it only logs the act. */
	if (RecoveryInProgress() || XactReadOnly)
		return false;
	pge_catalog_begin();
	version = find_version();
	if (version == NULL)
		return false;
	fill_entry(act, role, &entry);
	LockDatabaseObject(pge_table("audit_log"), 0, 0, ExclusiveLock);
	writer = pge_write_begin();
	if (last != NULL)
		*head = *last;
	else if (!pge_anchor_recall(head))
	{
		(void) pge_audit_anchor(head, &trusted);
		if (!trusted && pge_key_by_id(head->key_id) != NULL)
			memset(head, 0, sizeof(*head)); /* the anchor is forged */
		catch_up(head);
	}
	chain_entry(&entry, head, version);
	insert_entry(&entry);
	pge_write_end(&writer);

	/* The anchor must not be ahead of the disk. */
	ForceSyncCommit();
	return true;
}
