/*
 * pge_session_context.c
 *	  The setting pgenvelope.session_context: facts about the user for which a
 *	  session acts.
 *
 * A setting may be checked where nothing can be converted or looked up (no
 * transaction, no database).  So the check covers only the form of the object.
 * The members are spelled when they are first needed; if that fails, there are
 * none.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "context/pge_context.h"
#include "context/pge_pattern.h"
#include "context/pge_session_context.h"

char	   *pge_session_context;
uint64		pge_session_generation = 1;

/* The generation of the setting for which the members are spelled. */
static uint64 spelled_generation;
static envl_spelled *spelled;	/* ENVL_MEMBERS_MAX of them */
static size_t spelled_count;
static uint8 *canonical;		/* the bytes that they view */

/* ---------------------------------------------------------------- */
/* Hooks                                                            */
/* ---------------------------------------------------------------- */

static bool
is_flat_object(Jsonb *jsonb)
{
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		return false;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE &&
			(value.type == jbvNull || value.type == jbvBinary))
			return false;
	}
	return true;
}

/*
 * Whether a text is such an object.  A check hook must not raise, so errors of
 * the parser are caught; only a lack of memory remains.
 */
static bool
is_acceptable(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool acceptable = false;

	PG_TRY();
	{
		Datum		parsed = DirectFunctionCall1(jsonb_in,
												 CStringGetDatum(text));

		acceptable = is_flat_object(DatumGetJsonbP(parsed));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return acceptable;
}

bool
pge_check_session_context(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || is_acceptable(*newval))
		return true;
	GUC_check_errdetail("It is a JSON object of strings, integers and booleans, or empty.");
	return false;
}

void
pge_assign_session_context(const char *newval, void *extra)
{
	pge_session_generation++;
}

/* ---------------------------------------------------------------- */
/* Members                                                          */
/* ---------------------------------------------------------------- */

static void
spell_members(void)
{
	if (spelled == NULL)
	{
		spelled = MemoryContextAlloc(TopMemoryContext,
									 ENVL_MEMBERS_MAX * sizeof(envl_spelled));
		canonical = MemoryContextAlloc(TopMemoryContext, ENVL_CONTEXT_MAX);
	}
	spelled_count = 0;
	spelled_generation = pge_session_generation;
	if (pge_session_context[0] == '\0')
		return;
	if (!pge_canonical_from_text(pge_session_context, canonical, spelled,
								 &spelled_count))
		spelled_count = 0;
}

envl_view
pge_session_member(envl_view name)
{
	PgeMembers	members;
	envl_view	value;

	if (unlikely(spelled_generation != pge_session_generation))
		spell_members();
	members = (PgeMembers) {spelled, spelled_count};
	value = pge_member_value(&members, name);
	return envl_view_equal(value, ENVL_LITERAL("\"\"")) ?
		(envl_view) {NULL, 0} :
		value;
}
