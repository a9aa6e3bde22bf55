/*
 * pge_person.c
 *	  Telling two persons apart by the roles of their sessions.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"

#include "admin/pge_person.h"
#include "base/pge_compat.h"

void
pge_person_now(Oid role, PgePerson *person)
{
	person->role = role;
	person->session = GetSessionUserId();
	person->login = GetAuthenticatedUserId();
	person->role_name = GetUserNameFromId(person->role, false);
	person->session_name = GetUserNameFromId(person->session, false);
	person->login_name = GetUserNameFromId(person->login, false);
	person->identity = pge_client_identity();
}

static bool
has_role(const PgePerson *person, Oid role)
{
	return person->role == role || person->session == role ||
		person->login == role;
}

bool
pge_same_person(const PgePerson *one, const PgePerson *other)
{
	return has_role(one, other->role) || has_role(one, other->session) ||
		has_role(one, other->login) ||
		(one->identity != NULL && other->identity != NULL &&
		 strcmp(one->identity, other->identity) == 0);
}

static bool
is_still(Oid role, const char *name)
{
	char	   *now = GetUserNameFromId(role, true);

	return now != NULL && strcmp(now, name) == 0;
}

bool
pge_person_exists(const PgePerson *person)
{
	return is_still(person->role, person->role_name) &&
		is_still(person->session, person->session_name) &&
		is_still(person->login, person->login_name);
}
