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

/*
 * The integer that a numeric is, whatever its scale: 1.0 and 1e3 are
 * integers.  By way of its text, since the numeric functions raise errors of
 * their own.
 */
static bool
integer_from_numeric(Numeric numeric, int64 *out, PgeProblem *problem)
{
	Datum		out_text = DirectFunctionCall1(numeric_out,
											   NumericGetDatum(numeric));
	char	   *text = DatumGetCString(out_text);
	const char *digit = text;
	bool		negative = *digit == '-';
	int64		value = 0;
	int			digits = 0;

	if (negative)
		digit++;
	for (; *digit >= '0' && *digit <= '9'; digit++)
	{
		/* 17 digits are beyond 2^53, and within what an int64 holds. */
		if (++digits > 17)
			return pge_problem_core(problem, ENVL_CONTEXT_INTEGER);
		value = value * 10 + (*digit - '0');
	}
	if (*digit == '.')
	{
		digit++;
		digit += strspn(digit, "0");
	}
	if (digits == 0 || *digit != '\0')
		return refuse(problem, "Give it as a string.",
					  "encryption context holds a number that is not an integer");
	*out = negative ? -value : value;
	pfree(text);
	return true;
}

static bool
member_from_value(const JsonbValue *value, bool null_allowed,
				  envl_member *member, PgeProblem *problem)
{
	switch (value->type)
	{
		case jbvString:
			member->type = ENVL_MEMBER_STRING;
			return pge_to_utf8((envl_view) {
								   (const uint8 *) value->val.string.val,
								   value->val.string.len},
							   &member->string, problem);
		case jbvNumeric:
			member->type = ENVL_MEMBER_INTEGER;
			return integer_from_numeric(value->val.numeric, &member->integer,
										problem);
		case jbvBool:
			member->type = ENVL_MEMBER_BOOLEAN;
			member->boolean = value->val.boolean;
			return true;
		case jbvNull:
			member->type = ENVL_MEMBER_ANY;
			if (null_allowed)
				return true;
			return refuse(problem,
						  "Leave the member out, or give it a value.",
						  "encryption context holds a null");
		default:
			return refuse(problem,
						  "Its members are strings, integers and booleans.",
						  "encryption context holds an object or an array");
	}
}

bool
pge_member_from_jsonb(Jsonb *value, envl_member *member, PgeProblem *problem)
{
	JsonbValue	scalar = {.type = jbvBinary};

	(void) JsonbExtractScalar(&value->root, &scalar);
	return member_from_value(&scalar, false, member, problem);
}

/* Collects the members of a jsonb object. */
static bool
members_from_jsonb(Jsonb *object, bool null_allowed, envl_member *members,
				   size_t *count, PgeProblem *problem)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;

	*count = 0;
	if (!JB_ROOT_IS_OBJECT(object))
		return refuse(problem, "Give, for example, {\"tenant\": \"acme\"}.",
					  "encryption context is not a JSON object");
	if (JB_ROOT_COUNT(object) > PGE_MEMBERS_MAX)
		return pge_problem_core(problem, ENVL_CONTEXT_TOO_LONG);
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		envl_member *member = &members[*count];

		if (token == WJB_KEY)
		{
			if (!pge_to_utf8((envl_view) {
								 (const uint8 *) value.val.string.val,
								 value.val.string.len},
							 &member->name, problem))
				return false;
		}
		else if (token == WJB_VALUE)
		{
			if (!member_from_value(&value, null_allowed, member, problem))
				return false;
			(*count)++;
		}
	}
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
	status = envl_policy_check(key->policy, canonical, &member);
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

/* The remembered context with these jsonb bytes, or NULL. */
static BoundContext *
recall(const uint8 *jsonb, size_t len)
{
	BoundContext *all = contexts();

	if (likely(matches(&all[last_found], jsonb, len)))
		return &all[last_found];
	for (int i = 0; i < REMEMBERED; i++)
	{
		if (matches(&all[i], jsonb, len))
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
	bound = recall(jsonb, len);
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
