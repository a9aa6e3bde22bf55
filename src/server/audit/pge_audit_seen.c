/*
 * pge_audit_seen.c
 *	  The log entries that a verification has read, to find where a moved one
 *	  was.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "audit/pge_audit_seen.h"

#define FIRST_SIZE 1024

/*
 * Entries with the same MAC to try.  Genuine MACs differ; the limit stops
 * someone who fills the log with copies from making the search quadratic.
 */
#define TRIES 16

typedef struct Seen
{
	uint8		mac[ENVL_AUDIT_MAC_LEN];
	uint64		seq;
} Seen;

struct PgeSeen
{
	Seen	   *entries;
	uint64		count;
	uint64		size;
};

PgeSeen *
pge_seen_new(void)
{
	PgeSeen    *seen = palloc(sizeof(PgeSeen));

	seen->count = 0;
	seen->size = FIRST_SIZE;
	seen->entries = palloc(FIRST_SIZE * sizeof(Seen));
	return seen;
}

void
pge_seen_add(PgeSeen *seen, const PgeEntry *entry)
{
	Seen	   *place;

	if (seen->count == seen->size)
	{
		seen->size *= 2;
		seen->entries = repalloc_huge(seen->entries,
									  seen->size * sizeof(Seen));
	}
	place = &seen->entries[seen->count++];
	place->seq = pge_entry_seq(entry);
	memcpy(place->mac, entry->mac, ENVL_AUDIT_MAC_LEN);
}

uint64
pge_seen_count(const PgeSeen *seen)
{
	return seen->count;
}

static int
compare_macs(const void *a, const void *b)
{
	return memcmp(((const Seen *) a)->mac, ((const Seen *) b)->mac,
				  ENVL_AUDIT_MAC_LEN);
}

void
pge_seen_sort(PgeSeen *seen)
{
	qsort(seen->entries, seen->count, sizeof(Seen), compare_macs);
}

/* The index of the first entry whose MAC is not less than mac. */
static uint64
find_first(const PgeSeen *seen, const uint8 *mac)
{
	uint64		low = 0;
	uint64		high = seen->count;

	while (low < high)
	{
		uint64		middle = low + (high - low) / 2;

		if (memcmp(seen->entries[middle].mac, mac, ENVL_AUDIT_MAC_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether the entry's MAC is right with this number. */
static bool
has_number(PgeEntry *entry, uint64 seq)
{
	const char *was = entry->fields[PGE_ENTRY_SEQ];
	bool		sound;

	entry->fields[PGE_ENTRY_SEQ] = psprintf(UINT64_FORMAT, seq);
	sound = pge_entry_is_sound(entry);
	entry->fields[PGE_ENTRY_SEQ] = was;
	return sound;
}

uint64
pge_seen_place(const PgeSeen *seen, PgeEntry *entry)
{
	static const uint8 none[ENVL_AUDIT_MAC_LEN] = {0};
	uint64		place = find_first(seen, entry->previous);

	if (memcmp(entry->previous, none, ENVL_AUDIT_MAC_LEN) == 0 &&
		has_number(entry, 1))
		return 1;
	for (uint64 i = place; i < seen->count && i < place + TRIES; i++)
	{
		if (memcmp(seen->entries[i].mac, entry->previous,
				   ENVL_AUDIT_MAC_LEN) != 0)
			break;
		if (has_number(entry, seen->entries[i].seq + 1))
			return seen->entries[i].seq + 1;
	}
	return 0;
}
