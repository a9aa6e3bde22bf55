/*
 * pge_entitlement.c
 *	  What a role may do with a key, and in which encryption contexts.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "context/pge_session_context.h"
#include "rights/pge_entitlement.h"

/*
 * Identities remembered for each key: that of the session and that of a
 * SECURITY DEFINER function often take turns, row by row.
 */
#define KEPT 2

#define HINT_GRANT \
	"Whoever holds \"grant\" on the key can grant it with pgenvelope.grant_key; pgenvelope.why_denied says what is missing."
#define HINT_ADMIN \
	"Whoever holds \"admin\" on the key can grant it with pgenvelope.grant_key."

/* Which of a key's grants an identity holds. */
typedef struct PgeRights
{
	PgeIdentity identity;
	uint64		epoch;			/* pge_rights_epoch; 0: nothing here */
	uint64		stamp;			/* of this finding; never used again */
	const PgeGrant *whole[PGE_PRIVILEGES];	/* in every context, or NULL */
	int			limited_count;
	const PgeGrant **limited;	/* with a pattern; room for all grants */
	int			held_count;
	const PgeGrant **held;		/* all that it holds; room for all */
	const PgeGrant **matching;	/* what pge_entitled_all returned */
	PgeSpelledRole current_user;
	PgeSpelledRole session_user;
} PgeRights;

/* ---------------------------------------------------------------- */
/* Holding                                                          */
/* ---------------------------------------------------------------- */

/*
 * Whether a role has what was granted to another.  The usual test would say
 * yes to everything for a superuser, so only memberships are tested.
 */
static bool
role_has(Oid role, Oid grantee)
{
	if (superuser_arg(role))
		return is_member_of_role_nosuper(role, grantee);
	return has_privs_of_role(role, grantee);
}

/*
 * A grant that is not for SECURITY DEFINER functions depends on their caller:
 * the role that was set outside must hold it, too, and the session user must
 * be able to set such a role.
 */
PgeHolding
pge_grant_holding(const PgeGrant *grant, const PgeIdentity *identity)
{
	/* A role that was dropped. */
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grant->grantee)))
		return PGE_NOT_A_MEMBER;
	if (!role_has(identity->user, grant->grantee))
		return pge_can_set_role(identity->user, grant->grantee) ?
			PGE_NOT_INHERITED :
			PGE_NOT_A_MEMBER;
	if (!grant->definer &&
		(!role_has(identity->outer, grant->grantee) ||
		 !is_member_of_role_nosuper(identity->session, grant->grantee)))
		return PGE_NOT_OF_SESSION;
	return PGE_HELD;
}

PgeIdentity
pge_identity(void)
{
	return (PgeIdentity) {GetUserId(), GetOuterUserId(), GetSessionUserId()};
}

void
pge_spell_role(Oid role, PgeSpelledRole *spelled)
{
	char	   *name = GetUserNameFromId(role, true);
	envl_member member = {.type = ENVL_MEMBER_STRING};
	envl_spelled parts;
	uint8		object[ENVL_CONTEXT_MAX];
	size_t		len;
	PgeProblem	ignored;

	spelled->len = 0;
	if (name == NULL ||
		!pge_to_utf8(pge_cstring_view(name), &member.string, &ignored) ||
		envl_context_encode(&member, 1, object, &len, &parts) != ENVL_OK ||
		parts.value.len > PGE_SPELLED_ROLE_MAX)
		return;
	memcpy(spelled->bytes, parts.value.data, parts.value.len);
	spelled->len = parts.value.len;
}

static void
find_rights(const PgeKey *key, const PgeIdentity *identity, PgeRights *rights)
{
	static uint64 stamps = 0;

	rights->epoch = 0;
	memset(rights->whole, 0, sizeof(rights->whole));
	rights->limited_count = rights->held_count = 0;
	for (int i = 0; i < key->grant_count; i++)
	{
		const PgeGrant *grant = &key->grants[i];

		if (pge_grant_holding(grant, identity) != PGE_HELD)
			continue;
		rights->held[rights->held_count++] = grant;
		if (grant->pattern != NULL)
		{
			rights->limited[rights->limited_count++] = grant;
			continue;
		}
		for (int wanted = 1; wanted < PGE_PRIVILEGES; wanted++)
		{
			if (rights->whole[wanted] == NULL &&
				pge_privilege_implies(grant->privilege,
									  (PgePrivilege) wanted))
				rights->whole[wanted] = grant;
		}
	}
	if (rights->limited_count > 0)
	{
		pge_spell_role(identity->user, &rights->current_user);
		pge_spell_role(identity->session, &rights->session_user);
	}
	rights->identity = *identity;
	rights->stamp = ++stamps;
	rights->epoch = pge_rights_epoch;
}

static bool
is_about(const PgeRights *rights, const PgeIdentity *identity)
{
	return rights->epoch == pge_rights_epoch &&
		rights->identity.user == identity->user &&
		rights->identity.outer == identity->outer &&
		rights->identity.session == identity->session;
}

static PgeRights *
make_room(const PgeKey *key)
{
	MemoryContext memory = pge_catalog_memory();
	PgeRights  *rights = MemoryContextAllocZero(memory,
												KEPT * sizeof(PgeRights));
	Size		room = (key->grant_count + 1) * sizeof(PgeGrant *);

	for (int i = 0; i < KEPT; i++)
	{
		rights[i].limited = MemoryContextAlloc(memory, room);
		rights[i].held = MemoryContextAlloc(memory, room);
		rights[i].matching = MemoryContextAlloc(memory, room);
	}
	return rights;
}

/* What the current user holds; the last one asked for comes first. */
static PgeRights *
rights_of(PgeKey *key)
{
	PgeIdentity identity = pge_identity();
	PgeRights	moving;

	if (unlikely(key->rights == NULL))
		key->rights = make_room(key);
	if (likely(is_about(&key->rights[0], &identity)))
		return &key->rights[0];
	moving = key->rights[KEPT - 1];
	memmove(&key->rights[1], &key->rights[0], (KEPT - 1) * sizeof(PgeRights));
	key->rights[0] = moving;
	if (!is_about(&key->rights[0], &identity))
		find_rights(key, &identity, &key->rights[0]);
	return &key->rights[0];
}

/* ---------------------------------------------------------------- */
/* Asking                                                           */
/* ---------------------------------------------------------------- */

/* Whether a context matches a limited grant. */
static bool
matches(const PgeRights *rights, const PgeGrant *grant,
		const PgeContext *context)
{
	PgeMembers	members = pge_context_members(context);
	PgeWho		who = {
		{rights->current_user.bytes, rights->current_user.len},
		{rights->session_user.bytes, rights->session_user.len}};

	return pge_pattern_mismatch(grant->pattern, &members, &who) == NULL;
}

/* The oldest limited grant of a privilege that a context matches. */
static const PgeGrant *
matching(const PgeRights *rights, PgePrivilege privilege,
		 const PgeContext *context)
{
	for (int i = 0; i < rights->limited_count; i++)
	{
		const PgeGrant *grant = rights->limited[i];

		if (grant->privilege == privilege && matches(rights, grant, context))
			return grant;
	}
	return NULL;
}

/* The same, remembered beside the context. */
static const PgeGrant *
find_limited(const PgeRights *rights, PgePrivilege privilege,
			 PgeContext *context)
{
	PgeEntitled *entitled = &context->entitled;

	if (entitled->rights != rights->stamp ||
		entitled->session != pge_session_generation)
	{
		memset(entitled, 0, sizeof(*entitled));
		entitled->rights = rights->stamp;
		entitled->session = pge_session_generation;
	}
	else if (entitled->privilege == privilege)
		return entitled->grant;
	entitled->privilege = privilege;
	entitled->grant = matching(rights, privilege, context);
	return entitled->grant;
}

static bool
has_limited(const PgeRights *rights, PgePrivilege privilege)
{
	for (int i = 0; i < rights->limited_count; i++)
	{
		if (rights->limited[i]->privilege == privilege)
			return true;
	}
	return false;
}

/* Whether a grant fails only because of the role that called a function. */
static bool
is_kept_from_function(const PgeKey *key, const PgeIdentity *identity,
					  PgePrivilege privilege)
{
	for (int i = 0; i < key->grant_count; i++)
	{
		if (pge_privilege_implies(key->grants[i].privilege, privilege) &&
			pge_grant_holding(&key->grants[i], identity) ==
				PGE_NOT_OF_SESSION)
			return true;
	}
	return false;
}

static bool
refuse(const PgeKey *key, const PgeRights *rights, PgePrivilege privilege,
	   PgeProblem *problem)
{
	const PgeIdentity *identity = &rights->identity;
	char	   *role = GetUserNameFromId(identity->user, true);
	const char *name = pge_privilege_name(privilege);

	pge_problem(problem, PGE_NOT_ENTITLED,
				pge_privilege_grantor(privilege) == PGE_ADMIN ? HINT_ADMIN :
																HINT_GRANT,
				"permission denied for key \"%s\"", key->name);
	if (has_limited(rights, privilege))
		pge_problem_detail(problem, "Role \"%s\" has the privilege \"%s\" in other contexts only.",
						   role, name);
	else if (is_kept_from_function(key, identity, privilege))
		pge_problem_detail(problem, "Role \"%s\" has the privilege \"%s\", but not in functions that others call.",
						   role, name);
	else
		pge_problem_detail(problem, "Role \"%s\" lacks the privilege \"%s\".",
						   role, name);
	return false;
}

const PgeGrant *
pge_entitled(PgeKey *key, PgePrivilege privilege, PgeContext *context,
			 PgeProblem *problem)
{
	const PgeRights *rights = rights_of(key);
	const PgeGrant *grant = rights->whole[privilege];

	if (likely(grant != NULL))
		return grant;
	if (!context->readable && has_limited(rights, privilege))
	{
		*problem = *context->problem;
		return NULL;
	}
	if (context->readable && rights->limited_count > 0)
		grant = find_limited(rights, privilege, context);
	if (grant == NULL)
		refuse(key, rights, privilege, problem);
	return grant;
}

const PgeGrant *const *
pge_entitled_all(PgeKey *key, PgePrivilege privilege, PgeContext *context,
				 int *count)
{
	const PgeRights *rights = rights_of(key);

	*count = 0;
	for (int i = 0; i < rights->held_count; i++)
	{
		const PgeGrant *grant = rights->held[i];

		if (pge_privilege_implies(grant->privilege, privilege) &&
			(grant->pattern == NULL ||
			 (context->readable && matches(rights, grant, context))))
			rights->matching[(*count)++] = grant;
	}
	return rights->matching;
}

const PgeGrant *
pge_key_permits(PgeKey *key, PgePrivilege privilege)
{
	return rights_of(key)->whole[privilege];
}

bool
pge_identity_permits(const PgeKey *key, PgePrivilege privilege,
					 const PgeIdentity *identity)
{
	for (int i = 0; i < key->grant_count; i++)
	{
		const PgeGrant *grant = &key->grants[i];

		if (grant->pattern == NULL &&
			pge_privilege_implies(grant->privilege, privilege) &&
			pge_grant_holding(grant, identity) == PGE_HELD)
			return true;
	}
	return false;
}

bool
pge_require_privilege(PgeKey *key, PgePrivilege privilege,
					  PgeProblem *problem)
{
	const PgeRights *rights = rights_of(key);

	return rights->whole[privilege] != NULL ||
		refuse(key, rights, privilege, problem);
}
