/*
 * pge_anchor.c
 *	  The head of the audit's chain, outside the tables.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "audit/pge_anchor.h"
#include "audit/pge_audit_settings.h"
#include "base/pge_compat.h"
#include "base/pge_line.h"
#include "base/pge_shared.h"
#include "base/pge_wake.h"

/* Databases whose heads are in shared memory; each database has a file. */
#define ANCHORS 128

/* Wait this long after a file could not be written. */
#define RETRY_MS 5000

#define NEVER PG_INT64_MAX

#define SQLSTATE_ANCHOR MAKE_SQLSTATE('P', 'E', 'A', '0', '3')

typedef struct Slot
{
	PgeAnchor	anchor;			/* database InvalidOid: the slot is free */
	bool		unwritten;
	int64		retry_ms;		/* do not try before */
} Slot;

typedef struct Anchors
{
	LWLock	   *lock;			/* covers the slots */
	Slot		slots[ANCHORS];
} Anchors;

static Anchors *anchors;

void
pge_anchor_request(void)
{
	RequestAddinShmemSpace(sizeof(Anchors));
	RequestNamedLWLockTranche("pgenvelope anchors", 1);
}

void
pge_anchor_attach(void)
{
	bool		found;

	anchors = ShmemInitStruct("pgenvelope anchors", sizeof(Anchors), &found);
	if (found)
		return;
	memset(anchors, 0, sizeof(Anchors));
	anchors->lock = &GetNamedLWLockTranche("pgenvelope anchors")->lock;
}

/* ---------------------------------------------------------------- */
/* Heads in shared memory                                           */
/* ---------------------------------------------------------------- */

bool
pge_anchor_recall(PgeAnchor *anchor)
{
	bool		found = false;

	LWLockAcquire(anchors->lock, LW_SHARED);
	for (int i = 0; i < ANCHORS && !found; i++)
	{
		found = anchors->slots[i].anchor.database == MyDatabaseId;
		if (found)
			*anchor = anchors->slots[i].anchor;
	}
	LWLockRelease(anchors->lock);
	return found;
}

/*
 * The database's slot, else a free one, else one whose file is written. Caller
 * holds the lock.
 */
static Slot *
find_slot(Oid database)
{
	Slot	   *place = NULL;

	for (int i = 0; i < ANCHORS; i++)
	{
		if (anchors->slots[i].anchor.database == database)
			return &anchors->slots[i];
		if (!OidIsValid(anchors->slots[i].anchor.database))
			place = &anchors->slots[i];
		else if (place == NULL && !anchors->slots[i].unwritten)
			place = &anchors->slots[i];
	}
	return place;
}

void
pge_anchor_publish(const PgeAnchor *anchor)
{
	Slot	   *slot;

	LWLockAcquire(anchors->lock, LW_EXCLUSIVE);
	slot = find_slot(anchor->database);
	if (slot != NULL)
	{
		slot->anchor = *anchor;
		slot->unwritten = true;
		slot->retry_ms = 0;
	}
	LWLockRelease(anchors->lock);
	pge_wake_launcher();
	if (slot == NULL)
		ereport(LOG,
				(errmsg("the audit's head was not anchored: those of %d other databases could not be written",
						ANCHORS)));
}

bool
pge_anchor_is_failing(void)
{
	bool		is_failing = false;

	LWLockAcquire(anchors->lock, LW_SHARED);
	for (int i = 0; i < ANCHORS; i++)
		is_failing |= anchors->slots[i].anchor.database == MyDatabaseId &&
			anchors->slots[i].unwritten && anchors->slots[i].retry_ms != 0;
	LWLockRelease(anchors->lock);
	return is_failing;
}

void
pge_anchor_moved(void)
{
	LWLockAcquire(anchors->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ANCHORS; i++)
	{
		Slot	   *slot = &anchors->slots[i];

		slot->unwritten = OidIsValid(slot->anchor.database);
	}
	LWLockRelease(anchors->lock);
}

/* ---------------------------------------------------------------- */
/* Files                                                            */
/* ---------------------------------------------------------------- */

static void
write_hex(const uint8 *bytes, char *out)
{
	for (int i = 0; i < ENVL_AUDIT_MAC_LEN; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static bool
read_hex(const char *text, uint8 *out)
{
	for (int i = 0; i < ENVL_AUDIT_MAC_LEN; i++)
	{
		if (sscanf(text + 2 * i, "%2hhx", &out[i]) != 1)
			return false;
	}
	return true;
}

size_t
pge_anchor_lines(const PgeAnchor *anchor, char *out)
{
	char		mac[2 * ENVL_AUDIT_MAC_LEN + 1];

	write_hex(anchor->mac, mac);
	return (size_t) snprintf(out, PGE_ANCHOR_TEXT_SIZE,
							 "pgenvelope audit anchor 1\n"
							 "system " UINT64_FORMAT "\n"
							 "database %u\n"
							 "entry " UINT64_FORMAT "\n"
							 "mac %s\n"
							 "key %012" PRIx64 "/%u\n",
							 GetSystemIdentifier(), anchor->database,
							 anchor->seq, mac, anchor->key_id,
							 anchor->version);
}

/*
 * The path of a database's file; ending is another while it is being written.
 */
static void
make_path(Oid database, const char *ending, char *out)
{
	snprintf(out, MAXPGPATH, "%s/" UINT64_FORMAT "-%u.%s",
			 pge_audit_anchor_directory, GetSystemIdentifier(), database,
			 ending);
}

static bool
write_all(int file, const char *text, size_t len)
{
	/* Such a short text is written in one call, or there is no space. */
	errno = 0;
	if (write(file, text, len) == (ssize_t) len)
		return pg_fsync(file) == 0;
	if (errno == 0)
		errno = ENOSPC;
	return false;
}

/* Writes a database's file atomically: under another name, then renamed. */
static bool
write_file(const PgeAnchor *anchor)
{
	char		path[MAXPGPATH];
	char		temporary[MAXPGPATH];
	char		text[PGE_ANCHOR_TEXT_SIZE];
	size_t		len = pge_anchor_lines(anchor, text);
	int			file;
	bool		written;

	len += snprintf(text + len, sizeof(text) - len, "signature ");
	write_hex(anchor->signature, text + len);
	len += 2 * ENVL_AUDIT_MAC_LEN;
	text[len++] = '\n';
	make_path(anchor->database, "anchor", path);
	make_path(anchor->database, "new", temporary);
	(void) mkdir(pge_audit_anchor_directory, pg_dir_create_mode);
	file = open(temporary, O_CREAT | O_TRUNC | O_WRONLY, pg_file_create_mode);
	written = file >= 0 && write_all(file, text, len);
	if (!written)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write the audit's anchor \"%s\": %m",
						temporary)));
	if (file >= 0)
		close(file);
	return written && durable_rename(temporary, path, LOG) == 0;
}

/* Parses exactly what write_file writes. */
static bool
parse_anchor(const char *text, PgeAnchor *anchor)
{
	char		mac[2 * ENVL_AUDIT_MAC_LEN + 1];
	char		signature[2 * ENVL_AUDIT_MAC_LEN + 1];
	char		again[PGE_ANCHOR_TEXT_SIZE];
	unsigned int version;
	uint64		system;
	size_t		len;

	memset(anchor, 0, sizeof(*anchor));
	if (sscanf(text,
			   "pgenvelope audit anchor 1\nsystem %" SCNu64 "\ndatabase %u\n"
			   "entry %" SCNu64 "\nmac %64[0-9a-f]\nkey %12" SCNx64
			   "/%u\nsignature %64[0-9a-f]\n",
			   &system, &anchor->database, &anchor->seq, mac, &anchor->key_id,
			   &version, signature) != 7 ||
		strlen(mac) != 2 * ENVL_AUDIT_MAC_LEN ||
		strlen(signature) != 2 * ENVL_AUDIT_MAC_LEN ||
		!read_hex(mac, anchor->mac) || !read_hex(signature, anchor->signature))
		return false;
	anchor->version = (uint16) version;

	/* Accepts one spelling only, for this system and this database. */
	len = pge_anchor_lines(anchor, again);
	return strncmp(text, again, len) == 0 &&
		anchor->database == MyDatabaseId;
}

PgeAnchorFile
pge_anchor_read(PgeAnchor *anchor)
{
	char		path[MAXPGPATH];
	char		text[PGE_ANCHOR_TEXT_SIZE];
	int			file;
	ssize_t		len;

	/* The file may have been replaced by a pipe without a writer. */
	make_path(MyDatabaseId, "anchor", path);
	file = BasicOpenFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (file < 0)
		return errno == ENOENT ? PGE_ANCHOR_ABSENT : PGE_ANCHOR_UNREADABLE;
	len = read(file, text, sizeof(text) - 1);
	close(file);
	if (len < 0)
		return PGE_ANCHOR_DAMAGED;
	text[len] = '\0';
	return parse_anchor(text, anchor) ? PGE_ANCHOR_READ : PGE_ANCHOR_DAMAGED;
}

PgeAnchorFile
pge_anchor_require(PgeAnchor *anchor)
{
	char		path[MAXPGPATH];
	PgeAnchorFile found = pge_anchor_read(anchor);

	if (found != PGE_ANCHOR_UNREADABLE)
		return found;
	make_path(MyDatabaseId, "anchor", path);
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open the audit's anchor \"%s\": %m", path)));
}

/* ---------------------------------------------------------------- */
/* The launcher's part                                              */
/* ---------------------------------------------------------------- */

/* Logs the head, since no table can change the log. */
static void
log_anchor(const PgeAnchor *anchor)
{
	char		mac[2 * ENVL_AUDIT_MAC_LEN + 1];

	write_hex(anchor->mac, mac);
	ereport(LOG,
			(errcode(SQLSTATE_ANCHOR),
			 errmsg_internal("pgenvelope audit: {\"event\":\"anchor\",\"database_oid\":%u,\"seq\":" UINT64_FORMAT ",\"mac\":\"%s\",\"key_id\":\"%012" PRIx64 "\",\"version\":%u}",
							 anchor->database, anchor->seq, mac,
							 anchor->key_id, anchor->version)));
}

/*
 * Writes a slot's file; releases the lock meanwhile.  Caller holds the lock.
 */
static void
write_slot(Slot *slot, int64 now)
{
	PgeAnchor	anchor = slot->anchor;
	bool		written;

	LWLockRelease(anchors->lock);
	written = write_file(&anchor);
	if (written)
		log_anchor(&anchor);
	LWLockAcquire(anchors->lock, LW_EXCLUSIVE);
	if (!written)
		slot->retry_ms = now + RETRY_MS;
	else if (slot->anchor.database == anchor.database &&
			 slot->anchor.seq == anchor.seq)
		slot->unwritten = false;
}

int64
pge_anchor_attend(void)
{
	int64		now = pge_clock_ms();
	int64		next = NEVER;

	LWLockAcquire(anchors->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ANCHORS; i++)
	{
		if (anchors->slots[i].unwritten && anchors->slots[i].retry_ms <= now)
			write_slot(&anchors->slots[i], now);
		if (anchors->slots[i].unwritten)
			next = Min(next, anchors->slots[i].retry_ms);
	}
	LWLockRelease(anchors->lock);
	return next;
}
