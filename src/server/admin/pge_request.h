/*
 * pge_request.h
 *	  Dual control: which acts a second person approves, and requests.
 *
 * A function that does something irreversible, or lets more roles read, calls
 * pge_request_instead once it knows that it would do so.  On a key under dual
 * control that files a request, and the function returns without acting.
 * pgenvelope.approve (pge_approval.c) calls the function again, with the same
 * arguments.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REQUEST_H
#define PGE_REQUEST_H

#include "fmgr.h"

#include "catalog/pge_catalog.h"
#include "rights/pge_entitlement.h"

/* An act that may need approval. */
typedef struct PgeControlled
{
	const char *function;		/* its name in SQL */
	PgePrivilege privilege;		/* what both persons must hold; none: that
								 * depends on the privilege to be granted */
	const char *subject;		/* statement: what the arguments mean now */
} PgeControlled;

/*
 * The person behind a session: the current user, which SET ROLE and SECURITY
 * DEFINER functions change; the session user, which SET SESSION AUTHORIZATION
 * changes; and the role that logged in.
 *
 * Two sessions belong to two persons if they share none of these roles, and if
 * their clients have not authenticated as the same identity (a map in
 * pg_ident.conf lets one certificate or system user log in as several roles).
 */
typedef struct PgePerson
{
	Oid			role;
	Oid			session;
	Oid			login;
	char	   *identity;		/* of the client; NULL: did not authenticate */
} PgePerson;

extern void pge_person_now(PgePerson *person);

/*
 * Whether a call must wait for a second person.  If true, a request has been
 * filed (or is there already), and a NOTICE and the audit say so; the caller
 * must return.  Pointers into the catalog are then no longer valid.
 */
extern bool pge_request_instead(FunctionCallInfo fcinfo, uint64 key_id);

/* Whether it would: for a caller that has to end something before. */
extern bool pge_request_needed(FunctionCallInfo fcinfo, uint64 key_id);

/*
 * The same, for a call that concerns all keys.  In the request, this key is
 * the argument of that number.
 */
extern bool pge_request_instead_for(FunctionCallInfo fcinfo, int argument,
									const PgeKey *key);

/* A call that has this node as its context needs no further approval. */
extern Node pge_request_approved;

/* A request's key; raises 40001 if it has gone. */
extern PgeKey *pge_request_key(uint64 key_id);

/* The act of that name; raises XX001 if there is none. */
extern const PgeControlled *pge_request_act(const char *function);

/* What the arguments mean now (jsonb, as text). */
extern char *pge_request_subject(const PgeControlled *act, uint64 key_id,
								 Datum arguments);

/* What both persons must hold, to approve an act with these arguments. */
extern PgePrivilege pge_request_privilege(const PgeControlled *act,
										  Datum arguments);

/* Notifies listeners of a request's new state. */
extern void pge_request_notify(int64 id, const char *state);

/* Writes to the audit, as the caller's role. */
extern void pge_request_audit(const char *function, int64 id,
							  const PgeControlled *act, uint64 key_id,
							  const char *key_name, const char *state);

#endif							/* PGE_REQUEST_H */
