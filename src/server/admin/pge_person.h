/*
 * pge_person.h
 *	  Telling two persons apart by the roles of their sessions.
 *
 * A session has the role that logged in, the session user that SET SESSION
 * AUTHORIZATION changes, and the current user that SET ROLE and SECURITY
 * DEFINER functions change.  Two sessions are two persons' if none of the
 * three is any of the other's, and if the clients have not authenticated as
 * the same (a map of pg_ident.conf lets one certificate or system user log in
 * as several roles).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PERSON_H
#define PGE_PERSON_H

typedef struct PgePerson
{
	Oid			role;			/* by whose rights */
	Oid			session;
	Oid			login;
	char	   *role_name;
	char	   *session_name;
	char	   *login_name;
	char	   *identity;		/* of the client; NULL: did not authenticate */
} PgePerson;

/*
 * Who calls, with this role as current user (which the tables' owner is while
 * we write).
 */
extern void pge_person_now(Oid role, PgePerson *person);

extern bool pge_same_person(const PgePerson *one, const PgePerson *other);

/*
 * Whether each of the roles still exists under the name that it had: a role
 * that was dropped is not the one that gets its name or its number.
 */
extern bool pge_person_exists(const PgePerson *person);

#endif							/* PGE_PERSON_H */
