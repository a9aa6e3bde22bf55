/*
 * pge_context.c
 *	  Encryption contexts from SQL: jsonb to canonical bytes, remembered.
 *
 * A scan that decrypts a column mostly meets a few contexts over and over, or
 * one per row.  A handful of the last ones are kept by the bytes of their
 * jsonb, so that the first kind of scan makes their canonical form once.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pge_compat.h"
#include "pge_context.h"
#include "pge_encoding.h"

/* Contexts remembered, and the longest jsonb that is. */
#define REMEMBERED 8
#define REMEMBERED_MAX 512

/* Bytes of a member's name in a message, which has room for 255. */
#define SHOWN_NAME_MAX 100

typedef struct BoundContext
{
	size_t		jsonb_len;		/* 0: nothing remembered */
	const PgeKey *checked_key;	/* whose policy it satisfies */
	uint64		checked_epoch;	/* as of this catalog epoch */
	size_t		canonical_len;
	size_t		base64_len;
	uint8		jsonb[REMEMBERED_MAX];
	uint8		canonical[ENVL_CONTEXT_MAX];
	char		base64[ENVL_CONTEXT_BASE64_MAX];
} BoundContext;

static BoundContext *remembered;	/* REMEMBERED of them, and one for those
									 * too long to remember */
static uint32 hashes[REMEMBERED];	/* of their jsonb, to pass over most */
static int	next_victim;
static int	last_found;

static BoundContext *
contexts(void)
{
	if (unlikely(remembered == NULL))
		remembered = MemoryContextAllocZero(TopMemoryContext,
											(REMEMBERED + 1) *
												sizeof(BoundContext));
	return remembered;
}

static bool
refuse(PgeProblem *problem, const char *hint, const char *message)
{
	return pge_problem(problem, PGE_CONTEXT, hint, "%s", message);
}

/* ---------------------------------------------------------------- */
/* Members of a jsonb object                                        */
/* ---------------------------------------------------------------- */

/* An int64 as a numeric that lives as long as the process. */
static Numeric
lasting_numeric(int64 value)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	Numeric		numeric = int64_to_numeric(value);

	MemoryContextSwitchTo(old_context);
	return numeric;
}

static bool
numeric_greater(Numeric a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(a),
											NumericGetDatum(b)));
}

/* Whether a numeric has no fraction, whatever its scale: 1.0 has none. */
static bool
is_integral(Numeric numeric)
{
	Datum		scale = DirectFunctionCall1(numeric_scale,
											NumericGetDatum(numeric));
	Datum		whole;

	if (DatumGetInt32(scale) == 0)
		return true;
	whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(numeric),
								Int32GetDatum(0));
	return DatumGetBool(DirectFunctionCall2(numeric_eq, whole,
											NumericGetDatum(numeric)));
}

/* The integer that a numeric is.  Nothing here raises an error. */
static bool
integer_from_numeric(Numeric numeric, int64 *out, PgeProblem *problem)
{
	static Numeric largest = NULL;
	static Numeric smallest = NULL;

	if (unlikely(smallest == NULL))
	{
		largest = lasting_numeric(ENVL_INTEGER_MAX);
		smallest = lasting_numeric(-ENVL_INTEGER_MAX);
	}
	if (!is_integral(numeric))
		return refuse(problem, "Give it as a string.",
					  "encryption context holds a number that is not an integer");
	if (numeric_greater(numeric, largest) ||
		numeric_greater(smallest, numeric))
		return pge_problem_core(problem, ENVL_CONTEXT_INTEGER);
	*out = DatumGetInt64(DirectFunctionCall1(numeric_int8,
											 NumericGetDatum(numeric)));
	return true;
}

static bool
refuse_nested(PgeProblem *problem)
{
	return refuse(problem, "Its members are strings, integers and booleans.",
				  "encryption context holds an object or an array");
}

/* The parts of a jsonb object: count names, then count values. */
typedef struct ObjectParts
{
	JsonbContainer *object;
	int			count;
	char	   *data;			/* what the entries' offsets are relative to */
} ObjectParts;

static bool
string_part(const ObjectParts *parts, int index, envl_view *out,
			PgeProblem *problem)
{
	envl_view	text;

	text.data = (const uint8 *) parts->data +
		getJsonbOffset(parts->object, index);
	text.len = getJsonbLength(parts->object, index);
	return pge_to_utf8(text, out, problem);
}

static bool
member_from_value(const ObjectParts *parts, int index, bool null_allowed,
				  envl_member *member, PgeProblem *problem)
{
	JEntry		entry = parts->object->children[index];
	char	   *aligned;

	if (JBE_ISSTRING(entry))
	{
		member->type = ENVL_MEMBER_STRING;
		return string_part(parts, index, &member->string, problem);
	}
	if (JBE_ISNUMERIC(entry))
	{
		aligned = parts->data + INTALIGN(getJsonbOffset(parts->object, index));
		member->type = ENVL_MEMBER_INTEGER;
		return integer_from_numeric((Numeric) aligned, &member->integer,
									problem);
	}
	if (JBE_ISBOOL(entry))
	{
		member->type = ENVL_MEMBER_BOOLEAN;
		member->boolean = JBE_ISBOOL_TRUE(entry);
		return true;
	}
	if (!JBE_ISNULL(entry))
		return refuse_nested(problem);
	member->type = ENVL_MEMBER_ANY;
	return null_allowed ||
		refuse(problem, "Leave the member out, or give it a value.",
			   "encryption context holds a null");
}

bool
pge_member_from_jsonb(Jsonb *value, envl_member *member, PgeProblem *problem)
{
	/* A scalar is stored as an array of one. */
	ObjectParts parts = {&value->root, 1, (char *) &value->root.children[1]};

	if (!JB_ROOT_IS_SCALAR(value))
		return refuse_nested(problem);
	return member_from_value(&parts, 0, false, member, problem);
}

/*
 * Collects the members of a jsonb object.  Read in place: PostgreSQL's
 * iterator costs as much as all that is done with what it finds.
 */
static bool
members_from_jsonb(Jsonb *jsonb, bool null_allowed, envl_member *members,
				   size_t *count, PgeProblem *problem)
{
	ObjectParts parts = {&jsonb->root, JB_ROOT_COUNT(jsonb), NULL};

	*count = 0;
	if (!JB_ROOT_IS_OBJECT(jsonb))
		return refuse(problem, "Give, for example, {\"tenant\": \"acme\"}.",
					  "encryption context is not a JSON object");
	if (parts.count > PGE_MEMBERS_MAX)
		return pge_problem_core(problem, ENVL_CONTEXT_TOO_LONG);
	parts.data = (char *) &jsonb->root.children[2 * parts.count];
	for (int i = 0; i < parts.count; i++)
	{
		if (!string_part(&parts, i, &members[i].name, problem) ||
			!member_from_value(&parts, parts.count + i, null_allowed,
							   &members[i], problem))
			return false;
	}
	*count = parts.count;
	return true;
}

bool
pge_policy_from_jsonb(Jsonb *policy, uint8 *out, size_t *out_len,
					  PgeProblem *problem)
{
	envl_member *members = palloc(sizeof(envl_member) * PGE_MEMBERS_MAX);
	size_t		count;
	bool		ok = members_from_jsonb(policy, true, members, &count,
										problem);

	if (ok)
		ok = pge_problem_core(problem,
							  envl_policy_encode(members, count, out,
												 out_len));
	pfree(members);
	return ok;
}

/* ---------------------------------------------------------------- */
/* Binding                                                          */
/* ---------------------------------------------------------------- */

/* A member's name as a message of this database shows it. */
static envl_view
shown_name(envl_view member)
{
	envl_view	text = {NULL, 0};
	PgeProblem	ignored;

	if (member.len > 0 && pge_from_utf8(member, &text, &ignored))
		text.len = pge_shown_len(text, SHOWN_NAME_MAX);
	return text;
}

/* Whether the context satisfies the key; remembered per entry. */
static bool
check_policy(BoundContext *bound, const PgeKey *key, PgeProblem *problem)
{
	envl_view	canonical = {bound->canonical, bound->canonical_len};
	envl_view	member = {NULL, 0};
	envl_status status;

	if (likely(bound->checked_key == key &&
			   bound->checked_epoch == pge_catalog_epoch))
		return true;
	status = envl_policy_compare(key->policy, canonical, &member);
	if (status == ENVL_OK)
	{
		bound->checked_key = key;
		bound->checked_epoch = pge_catalog_epoch;
		return true;
	}
	pge_problem_core(problem, status);
	member = shown_name(member);
	switch (status)
	{
		case ENVL_CONTEXT_EMPTY:
			problem->hint = "Say whose value it is, and what: {\"tenant\": ..., \"type\": ..., \"id\": ...}.";
			pge_problem_detail(problem, "Key \"%s\" does not allow an empty context.",
							   key->name);
			break;
		case ENVL_CONTEXT_MISSING:
			pge_problem_detail(problem, "Key \"%s\" requires the member \"%.*s\".",
							   key->name, (int) member.len,
							   (const char *) member.data);
			break;
		case ENVL_CONTEXT_PINNED:
			pge_problem_detail(problem, "Key \"%s\" is for another value of the member \"%.*s\".",
							   key->name, (int) member.len,
							   (const char *) member.data);
			break;
		case ENVL_CONTEXT_EMPTY_MEMBER:
			pge_problem_detail(problem, "Key \"%s\" requires the member \"%.*s\", which is an empty string.",
							   key->name, (int) member.len,
							   (const char *) member.data);
			break;
		default:
			break;
	}
	return false;
}

/* Makes the canonical form and its base64url. */
static bool
encode(BoundContext *bound, envl_member *members, size_t count,
	   PgeProblem *problem)
{
	envl_view	canonical = {bound->canonical, 0};

	bound->checked_key = NULL;
	if (!pge_problem_core(problem,
						  envl_context_encode(members, count,
											  bound->canonical,
											  &bound->canonical_len)))
		return false;
	canonical.len = bound->canonical_len;
	bound->base64_len = envl_base64_encoded_len(ENVL_BASE64_URL,
												canonical.len);
	envl_base64_encode(ENVL_BASE64_URL, canonical, bound->base64);
	return true;
}

static bool
finish(BoundContext *bound, const PgeKey *key, envl_bound_context *context,
	   PgeProblem *problem)
{
	if (!check_policy(bound, key, problem))
		return false;
	context->canonical = (envl_view) {bound->canonical, bound->canonical_len};
	context->base64 = (envl_view) {(const uint8 *) bound->base64,
								  bound->base64_len};
	return true;
}

static bool
matches(const BoundContext *bound, const uint8 *jsonb, size_t len)
{
	return bound->jsonb_len == len && memcmp(bound->jsonb, jsonb, len) == 0;
}

/*
 * The remembered context with these jsonb bytes, or NULL; *hash is what to
 * remember new ones by, unless they are the last found again.
 */
static BoundContext *
recall(const uint8 *jsonb, size_t len, uint32 *hash)
{
	BoundContext *all = contexts();

	if (likely(matches(&all[last_found], jsonb, len)))
		return &all[last_found];
	*hash = hash_bytes(jsonb, (int) len);
	for (int i = 0; i < REMEMBERED; i++)
	{
		if (hashes[i] == *hash && matches(&all[i], jsonb, len))
		{
			last_found = i;
			return &all[i];
		}
	}
	return NULL;
}

bool
pge_context_bind(const struct varlena *datum, const PgeKey *key,
				 envl_bound_context *context, PgeProblem *problem)
{
	const uint8 *jsonb;
	size_t		len;
	uint32		hash;
	BoundContext *bound;
	envl_member few[16];
	envl_member *members = few;
	size_t		count;
	Jsonb	   *object;

	if (datum == NULL)
		return refuse(problem, "Give, for example, {\"tenant\": \"acme\"}.",
					  "encryption context must not be null");
	jsonb = (const uint8 *) VARDATA_ANY(datum);
	len = VARSIZE_ANY_EXHDR(datum);
	bound = recall(jsonb, len, &hash);
	if (likely(bound != NULL))
		return finish(bound, key, context, problem);

	bound = &remembered[len <= REMEMBERED_MAX ? next_victim : REMEMBERED];
	bound->jsonb_len = 0;
	object = DatumGetJsonbP(PointerGetDatum(datum));
	if (JB_ROOT_COUNT(object) > lengthof(few))
		members = palloc(sizeof(envl_member) * PGE_MEMBERS_MAX);
	if (!members_from_jsonb(object, false, members, &count, problem) ||
		!encode(bound, members, count, problem))
		return false;
	if (len <= REMEMBERED_MAX)
	{
		memcpy(bound->jsonb, jsonb, len);
		bound->jsonb_len = len;
		hashes[next_victim] = hash;
		last_found = next_victim;
		next_victim = (next_victim + 1) % REMEMBERED;
	}
	if (members != few)
		pfree(members);
	return finish(bound, key, context, problem);
}

bool
pge_context_bind_members(envl_member *members, size_t count,
						 const PgeKey *key, envl_bound_context *context,
						 PgeProblem *problem)
{
	BoundContext *bound = &contexts()[REMEMBERED];

	bound->jsonb_len = 0;
	return encode(bound, members, count, problem) &&
		finish(bound, key, context, problem);
}
