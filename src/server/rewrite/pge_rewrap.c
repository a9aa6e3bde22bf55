/*
 * pge_rewrap.c
 *	  Moving data keys from one version of a key to another, many at a time.
 *
 * Between the first unwrapped DEK and the last wiped one, nothing is called
 * that can raise, wait or allocate.  So the DEKs of a group can live on the
 * stack for one call and need no other guard.
 *
 * The target version's commit need not be flushed here.  Making or activating
 * a version forces a synchronous commit (pge_version.h), which flushes the
 * commit record before any other transaction sees the row.  So a version that
 * is found here is durable, or it belongs to this transaction and commits or
 * vanishes together with the rows that name it.  In-place writing is outside
 * of transactions and must exclude the second case itself:
 * pge_catalog_changed_here.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/pge_encoding.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "keys/pge_kek.h"
#include "rewrite/pge_rewrap.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_rewrap);

/* A group of items with the same source version. */
typedef struct RewrapGroup
{
	PgeKeyVersion *source;
	PgeKeyVersion *target;
	int			count;
	PgeRewrapItem *items[ENVL_WRAP_BATCH];
} RewrapGroup;

/* The version in the first bytes of a value. */
static uint16
read_version(const uint8 *prefix)
{
	return (uint16) (prefix[ENVL_OFFSET_VERSION] << 8 |
					 prefix[ENVL_OFFSET_VERSION + 1]);
}

static uint64
read_key_id(const uint8 *prefix)
{
	uint64		key_id = 0;

	for (int i = ENVL_OFFSET_KEY_ID; i < ENVL_OFFSET_WRAP; i++)
		key_id = key_id << 8 | prefix[i];
	return key_id;
}

bool
pge_rewrap_concerns(const PgeRewrap *rewrap, const uint8 *prefix, size_t len)
{
	return len >= PGE_WRAP_PREFIX && prefix[0] == ENVL_MAGIC_1 &&
		read_key_id(prefix) == rewrap->key_id &&
		read_version(prefix) != rewrap->target;
}

bool
pge_rewrap_wanted(const PgeRewrap *rewrap, const uint8 *prefix, size_t len)
{
	PgeKey	   *key;
	PgeKeyVersion *version;

	if (!pge_rewrap_concerns(rewrap, prefix, len))
		return false;
	key = pge_key_by_id(rewrap->key_id);
	version = key != NULL ? pge_key_version(key, read_version(prefix)) :
							NULL;
	return version == NULL || version->state != PGE_STATE_PRE_ACTIVE;
}

/* Whether the fixed part of a value is well-formed. */
static bool
is_sound(const PgeRewrap *rewrap, const uint8 *prefix)
{
	uint8		header[ENVL_HEADER_LEN] = {0};
	envl_envelope parsed;

	memcpy(header, prefix, PGE_WRAP_PREFIX);
	return envl_header_parse((envl_view) {header, sizeof(header)},
							 &parsed) == ENVL_OK &&
		parsed.key_id == rewrap->key_id;
}

/*
 * Gets both KEKs.  Getting one may drop the other, if many are in use or a key
 * was evicted meanwhile; then try again.
 */
static bool
get_keks(const RewrapGroup *group, const envl_kek **source,
		 const envl_kek **target, PgeProblem *problem)
{
	for (;;)
	{
		PgeKek	   *from = pge_kek_get(group->source, problem);
		PgeKek	   *to;

		if (from == NULL)
			return false;
		to = pge_kek_get(group->target, problem);
		if (to == NULL)
			return false;
		if (likely(group->source->kek == from))
		{
			*source = &from->kek;
			*target = &to->kek;
			return true;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/* Sets the outcome and the new prefix of an item that was moved. */
static void
finish_item(PgeRewrapItem *item, uint16 target, const uint8 *wrapped)
{
	item->outcome = PGE_OK;
	memcpy(item->new_prefix, item->old_prefix, PGE_WRAP_PREFIX);
	item->new_prefix[ENVL_OFFSET_VERSION] = (uint8) (target >> 8);
	item->new_prefix[ENVL_OFFSET_VERSION + 1] = (uint8) target;
	memcpy(item->new_prefix + ENVL_OFFSET_WRAP, wrapped, ENVL_WRAP_LEN);
}

/*
 * Unwraps, wraps, unwraps the result and compares.  A DEK that did not open is
 * all zeroes and goes along with the others without effect.
 */
static bool
move_group(const RewrapGroup *group, PgeProblem *problem)
{
	envl_wrapped wrapped[ENVL_WRAP_BATCH];
	envl_key	deks[ENVL_WRAP_BATCH];
	envl_key	again[ENVL_WRAP_BATCH];
	bool		opened[ENVL_WRAP_BATCH];
	const envl_kek *source;
	const envl_kek *target;
	envl_status status;
	size_t		count = (size_t) group->count;

	if (!get_keks(group, &source, &target, problem))
		return false;
	for (size_t i = 0; i < count; i++)
		memcpy(wrapped[i], group->items[i]->old_prefix + ENVL_OFFSET_WRAP,
			   ENVL_WRAP_LEN);
	status = envl_kek_unwrap(source, count, wrapped, deks, opened);
	if (status == ENVL_OK || status == ENVL_AUTHENTICATION)
		status = envl_kek_wrap(target, count, deks, wrapped);
	if (status == ENVL_OK)
		status = envl_kek_unwrap(target, count, wrapped, again, NULL);
	for (size_t i = 0; status == ENVL_OK && i < count; i++)
	{
		PgeRewrapItem *item = group->items[i];

		if (!opened[i])
			item->outcome = PGE_AUTHENTICATION;
		else if (envl_secret_equal(&deks[i], &again[i], sizeof(envl_key)))
			finish_item(item, (uint16) group->target->version, wrapped[i]);
	}
	envl_wipe(deks, sizeof(envl_key) * count);
	envl_wipe(again, sizeof(envl_key) * count);
	if (status == ENVL_OK)
		return true;

	/* If what was just wrapped does not open, the item is not at fault. */
	if (status == ENVL_AUTHENTICATION)
		status = ENVL_CRYPTO_FAILED;
	return pge_problem_core(problem, status);
}

/*
 * Finds the source version that a group moves from, or why it cannot be used.
 */
static PgeOutcome
find_source(RewrapGroup *group, const PgeRewrap *rewrap, uint16 version)
{
	PgeKey	   *key = pge_key_by_id(rewrap->key_id);

	group->source = key != NULL ? pge_key_version(key, version) : NULL;
	if (group->source == NULL)
		return PGE_KEY_NOT_FOUND;
	if (group->source->state == PGE_STATE_RETIRED ||
		group->source->state == PGE_STATE_DESTROYED)
		return PGE_KEY_NOT_ALLOWED;
	return PGE_OK;
}

PgeKeyVersion *
pge_rewrap_target(const PgeRewrap *rewrap, PgeProblem *problem)
{
	PgeKey	   *key = pge_key_by_id(rewrap->key_id);
	PgeKeyVersion *target;

	if (key == NULL)
	{
		pge_problem(problem, PGE_KEY_NOT_FOUND, NULL,
					"the key to rewrap does not exist");
		return NULL;
	}
	target = pge_key_version(key, rewrap->target);
	if (target != NULL && target->state == PGE_STATE_ACTIVE)
		return target;
	pge_problem(problem, PGE_KEY_NOT_ALLOWED,
				"Values are moved to the active version of their key.",
				"version %u of key \"%s\" is not active", rewrap->target,
				key->name);
	return NULL;
}

/*
 * Collects up to ENVL_WRAP_BATCH items that are not done yet and have the same
 * version as the first of them, starting at position from.  Returns where the
 * next search starts.
 */
static int
collect_items(RewrapGroup *group, PgeRewrapItem *items, int count, bool *done,
			  int from)
{
	int			next = -1;
	uint16		version = 0;

	group->count = 0;
	for (int i = from; i < count && group->count < ENVL_WRAP_BATCH; i++)
	{
		uint16		its = read_version(items[i].old_prefix);

		if (done[i])
			continue;
		if (group->count == 0)
			version = its;
		if (its == version)
		{
			done[i] = true;
			group->items[group->count++] = &items[i];
		}
		else if (next < 0)
			next = i;
	}
	if (next >= 0)
		return next;
	return group->count > 0 ?
		(int) (group->items[group->count - 1] - items) + 1 :
		count;
}

bool
pge_rewrap_items(const PgeRewrap *rewrap, PgeRewrapItem *items, int count,
				 PgeProblem *problem)
{
	RewrapGroup group;
	bool	   *done = palloc(Max(count, 1) * sizeof(bool));
	bool		good = true;
	int			next = 0;

	group.target = pge_rewrap_target(rewrap, problem);
	if (group.target == NULL)
		return false;
	for (int i = 0; i < count; i++)
	{
		done[i] = !is_sound(rewrap, items[i].old_prefix);
		items[i].outcome = done[i] ? PGE_DAMAGED : PGE_INTERNAL;
	}
	while (good && next < count)
	{
		PgeOutcome	outcome;

		CHECK_FOR_INTERRUPTS();
		next = collect_items(&group, items, count, done, next);
		if (group.count == 0)
			break;
		outcome = find_source(&group, rewrap,
							  read_version(group.items[0]->old_prefix));
		if (outcome == PGE_OK)
			good = move_group(&group, problem);
		else
		{
			for (int i = 0; i < group.count; i++)
				group.items[i]->outcome = outcome;
		}
	}
	pfree(done);
	return good;
}

/* ---------------------------------------------------------------- */
/* What SQL calls                                                   */
/* ---------------------------------------------------------------- */

/*
 * The rewrap of a value to its key's active version.  Raises unless the
 * current user is entitled.
 */
static PgeRewrap
request_rewrap(const struct varlena *header)
{
	PgeRewrap	rewrap;
	envl_envelope envelope;
	envl_status status;
	PgeKeyVersion *version;
	PgeKeyVersion *target;
	PgeProblem	problem;

	status = envl_header_parse(pge_varlena_view(header), &envelope);
	if (status != ENVL_OK)
	{
		pge_problem_core(&problem, status);
		pge_raise(&problem);
	}
	version = pge_version_of(&envelope, PGE_REWRAP, NULL, NULL, &problem);
	if (version == NULL)
		pge_raise(&problem);
	target = pge_key_active(version->key);
	if (target == NULL)
	{
		pge_problem(&problem, PGE_KEY_NOT_ALLOWED, NULL,
					"key \"%s\" has no active version", version->key->name);
		pge_raise(&problem);
	}
	rewrap.key_id = version->key_id;
	rewrap.target = (uint16) target->version;
	return rewrap;
}

/*
 * Moves one value to the active version.  A value that stays is not even
 * detoasted, so that an UPDATE leaves it where it is.
 */
Datum
pgenvelope_rewrap(PG_FUNCTION_ARGS)
{
	struct varlena *header = PG_GETARG_BYTEA_P_SLICE(0, 0, ENVL_HEADER_LEN);
	struct varlena *value;
	PgeRewrap	rewrap;
	PgeRewrapItem item;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(PGE_USE_REWRAP);
	pge_catalog_begin();
	rewrap = request_rewrap(header);
	if (!pge_rewrap_wanted(&rewrap, (const uint8 *) VARDATA_ANY(header),
						   VARSIZE_ANY_EXHDR(header)))
	{
		pge_use_none();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	memcpy(item.old_prefix, VARDATA_ANY(header), PGE_WRAP_PREFIX);
	if (!pge_rewrap_items(&rewrap, &item, 1, &problem))
		pge_raise(&problem);
	if (item.outcome != PGE_OK)
	{
		pge_problem(&problem, item.outcome, NULL,
					"data key of the value does not unwrap: the value was altered");
		pge_raise(&problem);
	}
	pge_use_end(PGE_OK);
	value = PG_GETARG_BYTEA_P_COPY(0);
	memcpy(VARDATA(value), item.new_prefix, PGE_WRAP_PREFIX);
	PG_RETURN_POINTER(value);
}
