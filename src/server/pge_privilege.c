/*
 * pge_privilege.c
 *	  Who may do what with a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "pge_catalog.h"
#include "pge_compat.h"

static const struct
{
	const char *name;
	uint32		bit;
} privileges[] = {
	{"encrypt", PGE_ENCRYPT},
	{"decrypt", PGE_DECRYPT},
	{"rewrap", PGE_REWRAP},
	{"admin", PGE_ADMIN},
};

uint32
pge_privilege_parse(const char *name)
{
	for (int i = 0; i < (int) lengthof(privileges); i++)
	{
		if (strcmp(name, privileges[i].name) == 0)
			return privileges[i].bit;
	}
	return 0;
}

static const char *
privilege_name(uint32 bit)
{
	for (int i = 0; i < (int) lengthof(privileges); i++)
	{
		if (privileges[i].bit == bit)
			return privileges[i].name;
	}
	return "?";
}

/*
 * Whether a role has what was granted to another.  For a superuser the usual
 * test would say yes to everything, so it is asked of memberships alone.
 */
static bool
role_has(Oid role, Oid grantee)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grantee)))
		return false;
	if (superuser_arg(role))
		return is_member_of_role_nosuper(role, grantee);
	return has_privs_of_role(role, grantee);
}

bool
pge_key_permits(PgeKey *key, uint32 privilege)
{
	Oid			role = GetUserId();

	if (unlikely(key->role != role))
	{
		uint32		held = 0;

		for (int i = 0; i < key->grant_count; i++)
		{
			if ((held & key->grants[i].privilege) == 0 &&
				role_has(role, key->grants[i].grantee))
				held |= key->grants[i].privilege;
		}
		key->held = held;
		key->role = role;
	}
	return (key->held & privilege) != 0;
}

bool
pge_require_privilege(PgeKey *key, uint32 privilege, PgeProblem *problem)
{
	if (likely(pge_key_permits(key, privilege)))
		return true;
	pge_problem(problem, PGE_NOT_ENTITLED,
				"An administrator of the key can grant it with env_grant.",
				"permission denied for key \"%s\"", key->name);
	pge_problem_detail(problem, "Role \"%s\" lacks the privilege \"%s\".",
					   GetUserNameFromId(GetUserId(), true),
					   privilege_name(privilege));
	return false;
}
