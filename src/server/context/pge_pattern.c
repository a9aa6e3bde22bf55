/*
 * pge_pattern.c
 *	  Patterns: the encryption contexts that a grant is limited to.
 *
 * An unknown form is refused when it is granted.  If a row has one anyway, for
 * example from a later version, it grants nothing.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "base/pge_encoding.h"
#include "context/pge_context.h"
#include "context/pge_pattern.h"
#include "context/pge_session_context.h"

#define HINT \
	"Give, for example, {\"tenant\": \"acme\"}, {\"tenant\": [\"acme\", \"globex\"]}, {\"owner\": {\"is\": \"current_user\"}} or {\"tenant\": {\"session\": \"tenant\"}}."

static bool
refuse_pattern(PgeProblem *problem, const char *message)
{
	return pge_problem(problem, PGE_BAD_ARGUMENT, HINT, "%s", message);
}

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

static envl_view
copy_view(envl_view view)
{
	uint8	   *bytes = palloc(view.len + 1);

	memcpy(bytes, view.data, view.len);
	return (envl_view) {bytes, view.len};
}

static envl_view
string_view(const JsonbValue *string)
{
	return (envl_view) {
		(const uint8 *) string->val.string.val, string->val.string.len};
}

/* Spells a member's name and value as in a canonical context. */
static bool
spell_member(const envl_member *given, envl_spelled *spelled,
			 PgeProblem *problem)
{
	envl_member member = *given;
	uint8		object[ENVL_CONTEXT_MAX];
	size_t		len;
	envl_spelled parts;

	if (!pge_problem_core(problem,
						  envl_context_encode(&member, 1, object, &len,
											  &parts)))
		return false;
	spelled->name = copy_view(parts.name);
	spelled->value = copy_view(parts.value);
	return true;
}

static bool
spell_name(envl_view text, envl_view *name, PgeProblem *problem)
{
	envl_member member = {.type = ENVL_MEMBER_BOOLEAN};
	envl_spelled spelled;

	if (!pge_to_utf8(text, &member.name, problem) ||
		!spell_member(&member, &spelled, problem))
		return false;
	*name = spelled.name;
	return true;
}

static bool
spell_value(JsonbValue *value, envl_view *out, PgeProblem *problem)
{
	envl_member member = {0};
	envl_spelled spelled;

	if (value->type == jbvNull || value->type == jbvBinary)
		return refuse_pattern(problem, "a value in a grant's context is a string, a number or a boolean");
	if (!pge_member_from_jsonb(JsonbValueToJsonb(value), &member, problem) ||
		!spell_member(&member, &spelled, problem))
		return false;
	*out = spelled.value;
	return true;
}

static int
compare_views(const void *a, const void *b)
{
	const envl_view *x = a;
	const envl_view *y = b;
	int			order = memcmp(x->data, y->data, Min(x->len, y->len));

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static bool
read_list(JsonbContainer *list, PgeCondition *condition, PgeProblem *problem)
{
	condition->count = (int) JsonContainerSize(list);
	if (condition->count == 0)
		return refuse_pattern(problem, "a list in a grant's context is empty");
	condition->values = palloc(condition->count * sizeof(envl_view));
	for (int i = 0; i < condition->count; i++)
	{
		if (!spell_value(getIthJsonbValueFromContainer(list, i),
						 &condition->values[i], problem))
			return false;
	}
	qsort(condition->values, condition->count, sizeof(envl_view),
		  compare_views);
	return true;
}

/* {"is": "current_user"}, {"is": "session_user"} or {"session": "member"} */
static bool
read_reference(JsonbContainer *object, PgeCondition *condition,
			   PgeProblem *problem)
{
	int			count = (int) JsonContainerSize(object);
	JsonbValue	is;
	JsonbValue	session;
	bool		has_is = getKeyJsonValueFromContainer(object, "is", 2, &is);
	bool		has_session = getKeyJsonValueFromContainer(object, "session",
														   7, &session);

	if (count == 1 && has_is && is.type == jbvString)
	{
		condition->kind = PGE_IS_CURRENT_USER;
		if (envl_view_equal(string_view(&is), ENVL_LITERAL("current_user")))
			return true;
		condition->kind = PGE_IS_SESSION_USER;
		if (envl_view_equal(string_view(&is), ENVL_LITERAL("session_user")))
			return true;
	}
	if (count == 1 && has_session && session.type == jbvString)
	{
		condition->kind = PGE_IS_SESSION_MEMBER;
		return spell_name(string_view(&session), &condition->session_name,
						  problem);
	}
	return refuse_pattern(problem, "an object in a grant's context is not understood");
}

static bool
read_condition(JsonbValue *name, JsonbValue *value, PgeCondition *condition,
			   PgeProblem *problem)
{
	memset(condition, 0, sizeof(*condition));
	condition->kind = PGE_ONE_OF;
	if (!spell_name(string_view(name), &condition->name, problem))
		return false;
	if (value->type == jbvBinary)
		return JsonContainerIsArray(value->val.binary.data) ?
			read_list(value->val.binary.data, condition, problem) :
			read_reference(value->val.binary.data, condition, problem);
	condition->count = 1;
	condition->values = palloc(sizeof(envl_view));
	return spell_value(value, condition->values, problem);
}

PgePattern *
pge_pattern_read(Jsonb *pattern, PgeProblem *problem)
{
	JsonbIterator *iterator;
	JsonbValue	name;
	JsonbValue	value;
	PgePattern *read;
	int			count;

	if (!JB_ROOT_IS_OBJECT(pattern) || JB_ROOT_COUNT(pattern) == 0)
	{
		refuse_pattern(problem, "the context of a grant is a JSON object with at least one member");
		return NULL;
	}
	count = (int) JB_ROOT_COUNT(pattern);
	if (count > ENVL_MEMBERS_MAX)
	{
		pge_problem_core(problem, ENVL_CONTEXT_TOO_LONG);
		return NULL;
	}
	read = palloc0(offsetof(PgePattern, conditions) +
				   count * sizeof(PgeCondition));
	iterator = JsonbIteratorInit(&pattern->root);
	(void) JsonbIteratorNext(&iterator, &name, true);
	while (JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (!read_condition(&name, &value, &read->conditions[read->count++],
							problem))
			return NULL;
	}
	return read;
}

/* ---------------------------------------------------------------- */
/* Matching                                                         */
/* ---------------------------------------------------------------- */

envl_view
pge_member_value(const PgeMembers *context, envl_view name)
{
	for (size_t i = 0; i < context->count; i++)
	{
		if (envl_view_equal(context->members[i].name, name))
			return context->members[i].value;
	}
	return (envl_view) {NULL, 0};
}

static bool
is_met(const PgeCondition *condition, envl_view value, const PgeWho *who)
{
	envl_view	wanted = {NULL, 0};

	switch (condition->kind)
	{
		case PGE_ONE_OF:
			return bsearch(&value, condition->values, condition->count,
						   sizeof(envl_view), compare_views) != NULL;
		case PGE_IS_CURRENT_USER:
			wanted = who->current_user;
			break;
		case PGE_IS_SESSION_USER:
			wanted = who->session_user;
			break;
		case PGE_IS_SESSION_MEMBER:
			wanted = pge_session_member(condition->session_name);
			break;
	}
	return wanted.len > 0 && envl_view_equal(wanted, value);
}

const PgeCondition *
pge_pattern_mismatch(const PgePattern *pattern, const PgeMembers *context,
					 const PgeWho *who)
{
	for (int i = 0; i < pattern->count; i++)
	{
		const PgeCondition *condition = &pattern->conditions[i];
		envl_view	value = pge_member_value(context, condition->name);

		if (value.len == 0 || !is_met(condition, value, who))
			return condition;
	}
	return NULL;
}
