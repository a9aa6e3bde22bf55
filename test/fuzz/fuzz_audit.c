/*
 * fuzz_audit.c
 *	  Any bytes as two lists of an audit entry's fields, and as an anchor's
 *	  lines: MACs are the same exactly where what they are of is.
 *
 * Fields end with a NUL; one that is 0x01 alone is absent.  0x02 ends the
 * first list.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_audit.h"
#include "fuzz.h"

#define FIELDS_MAX 40

typedef struct entry
{
	envl_view	fields[FIELDS_MAX];
	size_t		count;
	uint8_t		mac[ENVL_AUDIT_MAC_LEN];
} entry;

/* Each field lies in memory of its own. */
static void
read_entry(envl_view text, const envl_key *key, const uint8_t *previous,
		   entry *out)
{
	envl_reader reader = envl_reader_over(text);

	out->count = 0;
	while (envl_reader_left(&reader) > 0 && out->count < FIELDS_MAX)
	{
		envl_view	field = fuzz_next_field(&reader, 0);
		uint8_t    *copy = fuzz_alloc(field.len);

		if (field.len == 1 && field.data[0] == 1)
		{
			free(copy);
			out->fields[out->count++] = (envl_view) {NULL, 0};
			continue;
		}
		memcpy(copy, field.data, field.len);
		out->fields[out->count++] = (envl_view) {copy, field.len};
	}
	CHECK(envl_audit_entry(key, previous, out->fields, out->count,
						   out->mac) == ENVL_OK);
}

static void
free_entry(entry *old)
{
	for (size_t i = 0; i < old->count; i++)
		free((void *) (uintptr_t) old->fields[i].data);
}

static bool
is_same(const entry *a, const entry *b)
{
	bool		same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = (a->fields[i].data == NULL) == (b->fields[i].data == NULL) &&
			envl_view_equal(a->fields[i], b->fields[i]);
	return same;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};
	envl_reader reader = envl_reader_over(input);
	envl_view	first = fuzz_next_field(&reader, 2);
	envl_view	second = {reader.next, envl_reader_left(&reader)};
	uint8_t		start[ENVL_AUDIT_MAC_LEN] = {0};
	uint8_t		anchor[ENVL_AUDIT_MAC_LEN];
	envl_key	kek = {{7}};
	envl_key	key;
	entry		a;
	entry		b;

	CHECK(envl_audit_key(&kek, size, 1, &key) == ENVL_OK);
	read_entry(first, &key, start, &a);
	read_entry(second, &key, start, &b);
	CHECK((memcmp(a.mac, b.mac, sizeof(a.mac)) == 0) == is_same(&a, &b));
	CHECK(envl_audit_anchor(&key, input, anchor) == ENVL_OK);
	CHECK(memcmp(a.mac, anchor, sizeof(anchor)) != 0);

	/* Behind an entry, it is another. */
	CHECK(envl_audit_entry(&key, a.mac, a.fields, a.count, start) == ENVL_OK);
	CHECK(memcmp(a.mac, start, sizeof(start)) != 0);
	free_entry(&a);
	free_entry(&b);
	return 0;
}
