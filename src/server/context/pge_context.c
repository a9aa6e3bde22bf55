/*
 * pge_context.c
 *	  Encryption contexts from SQL: jsonb to canonical bytes, with a small
 *	  cache.
 *
 * A scan that decrypts a column usually meets the same few contexts over and
 * over, or a new one per row.  The last few are kept by the bytes of their
 * jsonb.  So a scan of the first kind makes the canonical form, and checks it
 * against the key's requirements, only once.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_use.h"
#include "context/pge_context.h"
#include "context/pge_subject.h"

/* How many contexts are kept, and the longest jsonb of one. */
#define REMEMBERED 8
#define REMEMBERED_MAX 512

/* Up to this many members need no allocation. */
#define MEMBERS_FEW 16

/* Digits of the largest integer. */
#define INTEGER_DIGITS 16

/*
 * The longest part of a member's name in a message, which has room for 255
 * bytes.
 */
#define SHOWN_NAME_MAX 100

typedef struct Remembered
{
	PgeContext	context;		/* first, because callers get a pointer to
								 * it */
	size_t		jsonb_len;		/* 0: the slot is empty */
	uint64		subject_epoch;	/* pge_subject_epoch that subject is valid
								 * for */
	size_t		subject_len;
	uint32		jsonb[REMEMBERED_MAX / sizeof(uint32)]; /* aligned like a
														 * Jsonb */
	envl_spelled spelled[MEMBERS_FEW];	/* the members, if there are only a
										 * few */
	uint8		canonical[ENVL_CONTEXT_MAX];
	char		base64[ENVL_CONTEXT_BASE64_MAX];
	char		subject[PGE_SUBJECT_MAX];
} Remembered;

static Remembered *remembered;	/* REMEMBERED slots, and one for contexts that
								 * are not kept */
static PgeProblem unreadable;	/* why the context in the last slot is not
								 * readable */
static pg_crc32c hashes[REMEMBERED];	/* of the slots' jsonb, to compare few
										 * of them */
static int	next_victim;
static int	last_found;

static Remembered *
get_slots(void)
{
	if (unlikely(remembered == NULL))
		remembered = MemoryContextAllocZero(TopMemoryContext,
											(REMEMBERED + 1) *
												sizeof(Remembered));
	return remembered;
}

static bool
refuse_context(PgeProblem *problem, const char *hint, const char *message)
{
	return pge_problem(problem, PGE_CONTEXT, hint, "%s", message);
}

/* ---------------------------------------------------------------- */
/* Members of a jsonb object                                        */
/* ---------------------------------------------------------------- */

/*
 * The integer value of a numeric of any scale: 1.0 is one.  Reads its text
 * without trailing zeros, since that takes a single call of PostgreSQL's that
 * raises no error.
 */
static bool
integer_from_numeric(Numeric numeric, int64 *out, PgeProblem *problem)
{
	char	   *text = numeric_normalize(numeric);
	char	   *digits = text + (text[0] == '-' ? 1 : 0);
	size_t		len = strspn(digits, "0123456789");
	int64		value = 0;

	if (digits[len] != '\0')
		return refuse_context(problem, "Give it as a string.",
							  "encryption context holds a number that is not an integer");
	if (len > INTEGER_DIGITS)
		return pge_problem_core(problem, ENVL_CONTEXT_INTEGER);
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (digits[i] - '0');
	if (value > ENVL_INTEGER_MAX)
		return pge_problem_core(problem, ENVL_CONTEXT_INTEGER);
	*out = digits > text ? -value : value;
	pfree(text);
	return true;
}

static bool
refuse_nested(PgeProblem *problem)
{
	return refuse_context(problem, "Its members are strings, integers and booleans.",
						  "encryption context holds an object or an array");
}

/*
 * Reads the parts of a jsonb object: first the names of its members, then
 * their values.  It reads in place and in order, because PostgreSQL's iterator
 * costs as much as everything that we do with the parts.
 */
typedef struct PartReader
{
	const JEntry *entry;		/* the next part's */
	const char *data;			/* the offsets' base */
	uint32		offset;			/* the next part's */
} PartReader;

/* Reads a part: returns its entry, and a view of its bytes in place. */
static JEntry
next_part(PartReader *reader, envl_view *bytes)
{
	JEntry		entry = *reader->entry++;
	uint32		end = JBE_OFFLENFLD(entry);

	/* An entry holds either the end of its part or its length. */
	if (!JBE_HAS_OFF(entry))
		end += reader->offset;
	*bytes = (envl_view) {(const uint8 *) reader->data + reader->offset,
						 end - reader->offset};
	reader->offset = end;
	return entry;
}

static bool
read_name(PartReader *reader, envl_member *member, PgeProblem *problem)
{
	envl_view	text;

	(void) next_part(reader, &text);
	return pge_to_utf8(text, &member->name, problem);
}

static bool
read_value(PartReader *reader, bool null_allowed, envl_member *member,
		   PgeProblem *problem)
{
	uint32		offset = reader->offset;
	envl_view	bytes;
	JEntry		entry = next_part(reader, &bytes);

	if (JBE_ISSTRING(entry))
	{
		member->type = ENVL_MEMBER_STRING;
		return pge_to_utf8(bytes, &member->string, problem);
	}
	if (JBE_ISNUMERIC(entry))
	{
		member->type = ENVL_MEMBER_INTEGER;
		return integer_from_numeric((Numeric) (reader->data +
											   INTALIGN(offset)),
									&member->integer, problem);
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
		refuse_context(problem, "Leave the member out, or give it a value.",
					   "encryption context holds a null");
}

bool
pge_member_from_jsonb(Jsonb *value, envl_member *member, PgeProblem *problem)
{
	/* A scalar is stored as an array with one element. */
	PartReader	reader = {value->root.children,
						  (const char *) &value->root.children[1], 0};

	if (!JB_ROOT_IS_SCALAR(value))
		return refuse_nested(problem);
	return read_value(&reader, false, member, problem);
}

/* Collects the members of a jsonb object, at most ENVL_MEMBERS_MAX. */
static bool
members_from_jsonb(const JsonbContainer *object, bool null_allowed,
				   envl_member *members, size_t *count, PgeProblem *problem)
{
	uint32		n = JsonContainerSize(object);
	PartReader	reader = {object->children,
						  (const char *) &object->children[2 * n], 0};

	*count = 0;
	if (!JsonContainerIsObject(object))
		return refuse_context(problem, "Give, for example, {\"tenant\": \"acme\"}.",
							  "encryption context is not a JSON object");
	if (n > ENVL_MEMBERS_MAX)
		return pge_problem_core(problem, ENVL_CONTEXT_TOO_LONG);
	for (uint32 i = 0; i < n; i++)
	{
		if (!read_name(&reader, &members[i], problem))
			return false;
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (!read_value(&reader, null_allowed, &members[i], problem))
			return false;
	}
	*count = n;
	return true;
}

bool
pge_policy_from_jsonb(Jsonb *policy, uint8 *out, size_t *out_len,
					  PgeProblem *problem)
{
	envl_member *members = palloc(sizeof(envl_member) * ENVL_MEMBERS_MAX);
	envl_spelled *spelled = palloc(sizeof(envl_spelled) * ENVL_MEMBERS_MAX);
	size_t		count;
	bool		ok = members_from_jsonb(&policy->root, true, members,
										&count, problem);

	if (ok)
		ok = pge_problem_core(problem,
							  envl_policy_encode(members, count, out,
												 out_len, spelled));
	pfree(members);
	pfree(spelled);
	return ok;
}

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

/* Makes the canonical form and its base64url from members. */
static bool
encode_members(Remembered *slot, envl_member *members, size_t count,
			   PgeProblem *problem)
{
	PgeContext *context = &slot->context;
	envl_view	canonical = {slot->canonical, 0};
	envl_spelled *spelled = slot->spelled;
	bool		good;

	if (count > lengthof(slot->spelled))
		spelled = palloc(sizeof(envl_spelled) * count);
	good = pge_problem_core(problem,
							envl_context_encode(members, count,
												slot->canonical,
												&canonical.len, spelled));
	if (good)
	{
		slot->subject_len = pge_subject_write(spelled, count, slot->subject);
		slot->subject_epoch = pge_subject_epoch;
	}
	if (spelled != slot->spelled)
		pfree(spelled);
	if (!good)
		return false;
	context->readable = true;
	context->count = count;
	context->policy = NULL;
	context->entitled.rights = 0;
	context->bound.canonical = canonical;
	context->bound.base64.data = (const uint8 *) slot->base64;
	context->bound.base64.len = envl_base64_encoded_len(ENVL_BASE64_URL,
														canonical.len);
	envl_base64_encode(ENVL_BASE64_URL, canonical, slot->base64);
	return true;
}

/* Makes the canonical form and its base64url from a jsonb object. */
static bool
encode_object(Remembered *slot, const JsonbContainer *object,
			  PgeProblem *problem)
{
	envl_member few[MEMBERS_FEW];
	envl_member *members = few;
	size_t		count;
	bool		encoded;

	if (JsonContainerSize(object) > lengthof(few))
		members = palloc(sizeof(envl_member) * ENVL_MEMBERS_MAX);
	encoded = members_from_jsonb(object, false, members, &count, problem) &&
		encode_members(slot, members, count, problem);
	if (members != few)
		pfree(members);
	return encoded;
}

static bool
holds_jsonb(const Remembered *slot, const uint8 *jsonb, size_t len)
{
	return slot->jsonb_len == len &&
		slot->subject_epoch == pge_subject_epoch &&
		memcmp(slot->jsonb, jsonb, len) == 0;
}

/*
 * Finds the kept context with these jsonb bytes, or NULL.  *hash is set unless
 * the context found last is found again; a new context is stored under it.
 */
static Remembered *
find_slot(const uint8 *jsonb, size_t len, pg_crc32c *hash)
{
	Remembered *all = get_slots();

	if (likely(holds_jsonb(&all[last_found], jsonb, len)))
		return &all[last_found];
	INIT_CRC32C(*hash);
	COMP_CRC32C(*hash, jsonb, len);
	for (int i = 0; i < REMEMBERED; i++)
	{
		if (hashes[i] == *hash && holds_jsonb(&all[i], jsonb, len))
		{
			last_found = i;
			return &all[i];
		}
	}
	return NULL;
}

/* An unreadable context; the reason is in unreadable. */
static PgeContext *
get_unreadable(void)
{
	PgeContext *context = &get_slots()[REMEMBERED].context;

	memset(context, 0, sizeof(*context));
	context->problem = &unreadable;
	return context;
}

/*
 * Tells the audit what to show of the context before anything can refuse it.
 */
static PgeContext *
hand_out(Remembered *slot)
{
	pge_use_subject(slot->subject, slot->subject_len);
	return &slot->context;
}

/* Reads a context that is too long to keep. */
static PgeContext *
read_long(const struct varlena *datum)
{
	Remembered *slot = &get_slots()[REMEMBERED];
	Jsonb	   *object = DatumGetJsonbP(PointerGetDatum(datum));

	return encode_object(slot, &object->root, &unreadable) ?
		hand_out(slot) :
		get_unreadable();
}

PgeContext *
pge_context_read(const struct varlena *datum)
{
	const uint8 *jsonb;
	size_t		len;
	pg_crc32c	hash;
	Remembered *slot;

	if (datum == NULL)
	{
		refuse_context(&unreadable, "Give, for example, {\"tenant\": \"acme\"}.",
					   "encryption context must not be null");
		return get_unreadable();
	}
	jsonb = (const uint8 *) VARDATA_ANY(datum);
	len = VARSIZE_ANY_EXHDR(datum);
	slot = find_slot(jsonb, len, &hash);
	if (likely(slot != NULL))
		return hand_out(slot);
	if (unlikely(len > REMEMBERED_MAX))
		return read_long(datum);

	/* The copy is aligned; a short datum need not be. */
	slot = &remembered[next_victim];
	slot->jsonb_len = 0;
	memcpy(slot->jsonb, jsonb, len);
	if (!encode_object(slot, (const JsonbContainer *) slot->jsonb,
					   &unreadable))
		return get_unreadable();
	slot->jsonb_len = len;
	hashes[next_victim] = hash;
	last_found = next_victim;
	next_victim = (next_victim + 1) % REMEMBERED;
	return hand_out(slot);
}

PgeContext *
pge_context_read_members(envl_member *members, size_t count)
{
	Remembered *slot = &get_slots()[REMEMBERED];

	return encode_members(slot, members, count, &unreadable) ?
		hand_out(slot) :
		get_unreadable();
}

/* Reads the members from the canonical bytes again if there are many. */
static PgeMembers
read_many(const PgeContext *context)
{
	static envl_spelled *many = NULL;
	size_t		count = 0;

	if (many == NULL)
		many = MemoryContextAlloc(TopMemoryContext,
								  ENVL_MEMBERS_MAX * sizeof(envl_spelled));
	if (envl_context_read(context->bound.canonical, many, &count) != ENVL_OK)
		elog(ERROR, "could not read a canonical context");
	return (PgeMembers) {many, count};
}

PgeMembers
pge_context_members(const PgeContext *context)
{
	const Remembered *slot = (const Remembered *) context;

	if (unlikely(context->count > lengthof(slot->spelled)))
		return read_many(context);
	return (PgeMembers) {slot->spelled, context->count};
}

bool
pge_canonical_from_text(const char *text, uint8 *canonical,
						envl_spelled *spelled, size_t *count)
{
	Datum		parsed = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	Jsonb	   *jsonb = DatumGetJsonbP(parsed);
	envl_member *members = palloc(sizeof(envl_member) * ENVL_MEMBERS_MAX);
	size_t		len;
	PgeProblem	ignored;
	bool		good;

	good = members_from_jsonb(&jsonb->root, false, members, count,
							  &ignored) &&
		envl_context_encode(members, *count, canonical, &len, spelled) ==
			ENVL_OK;
	pfree(members);
	return good;
}

/* ---------------------------------------------------------------- */
/* Binding                                                          */
/* ---------------------------------------------------------------- */

/* A member's name as a message in this database can show it. */
static envl_view
show_name(envl_view member)
{
	envl_view	text = {NULL, 0};
	PgeProblem	ignored;

	if (member.len > 0 && pge_from_utf8(member, &text, &ignored))
		text.len = pge_shown_len(text, SHOWN_NAME_MAX);
	return text;
}

/* Checks the context against what the key requires. */
static bool
check_policy(const PgePolicy *policy, const PgeMembers *context,
			 PgeProblem *problem)
{
	envl_view	member;
	envl_status status = envl_policy_check(policy->members, policy->count,
										   context->members, context->count,
										   &member);

	if (likely(status == ENVL_OK))
		return true;
	pge_problem_core(problem, status);
	member = show_name(member);
	switch (status)
	{
		case ENVL_CONTEXT_EMPTY:
			problem->hint = "Say whose value it is, and what: {\"tenant\": ..., \"type\": ..., \"id\": ...}.";
			pge_problem_detail(problem, "Key \"%s\" does not allow an empty context.",
							   policy->key_name);
			break;
		case ENVL_CONTEXT_MISSING:
			pge_problem_detail(problem, "Key \"%s\" requires the member \"%.*s\".",
							   policy->key_name, (int) member.len,
							   (const char *) member.data);
			break;
		case ENVL_CONTEXT_PINNED:
			pge_problem_detail(problem, "Key \"%s\" is for another value of the member \"%.*s\".",
							   policy->key_name, (int) member.len,
							   (const char *) member.data);
			break;
		case ENVL_CONTEXT_EMPTY_MEMBER:
			pge_problem_detail(problem, "Key \"%s\" requires the member \"%.*s\", which is an empty string.",
							   policy->key_name, (int) member.len,
							   (const char *) member.data);
			break;
		default:
			break;
	}
	return false;
}

const envl_bound_context *
pge_context_bind(PgeContext *context, const PgePolicy *policy, uint64 epoch,
				 PgeProblem *problem)
{
	PgeMembers	members;

	if (likely(context->policy == policy && context->policy_epoch == epoch))
		return &context->bound;
	if (!context->readable)
	{
		*problem = *context->problem;
		return NULL;
	}
	members = pge_context_members(context);
	if (!check_policy(policy, &members, problem))
		return NULL;
	context->policy = policy;
	context->policy_epoch = epoch;
	return &context->bound;
}
