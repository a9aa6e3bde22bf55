/*
 * pge_approval.c
 *	  pgenvelope.require_approval, pgenvelope.approve and pgenvelope.reject: a
 *	  second person decides.
 *
 * Approving checks everything again, then performs the act in the approver's
 * transaction, with the approver's rights and the request's arguments.  If the
 * act fails, so does the approval, and the request stays pending.
 *
 * The key's name is locked before the request's row, in the same order as when
 * a request is filed.  If two persons decide at once, the second finds the
 * request decided.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "admin/pge_admin.h"
#include "admin/pge_arguments.h"
#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "base/pge_getarg.h"
#include "catalog/pge_spi.h"

PG_FUNCTION_INFO_V1(pgenvelope_require_approval);
PG_FUNCTION_INFO_V1(pgenvelope_may_decide);
PG_FUNCTION_INFO_V1(pgenvelope_approve);
PG_FUNCTION_INFO_V1(pgenvelope_reject);

#define REASON_MAX 1000

typedef struct Request
{
	int64		id;
	uint64		key_id;
	char	   *key_name;
	const PgeControlled *act;
	Oid			function;		/* the extension's own of that name */
	Datum		arguments;		/* jsonb */
	char	   *subject;		/* jsonb, as text */
	char	   *state;
	char	   *decided_by;		/* name; NULL: not decided */
	char	   *expires_at;
	bool		is_expired;		/* or would be, if it is not pending */
	PgeIdentity requester;
	char	   *requested_by;	/* name */
	bool		is_orphan;		/* a role of the requester's is gone */
	char	   *own;			/* why it is the caller's; NULL: it is not */
} Request;

/* ---------------------------------------------------------------- */
/* Dual control                                                     */
/* ---------------------------------------------------------------- */

static void
set_required(uint64 key_id, bool required)
{
	PgeWriter	writer = pge_write_begin();

	if (pge_run("UPDATE pgenvelope.key SET dual_control = $2"
				" WHERE key_id = $1",
				pge_bigint((int64) key_id), pge_boolean(required)) != 1)
		pge_snapshot_is_older();
	pge_write_end(&writer);
}

/*
 * One person may put a key under dual control.  From then on, everything that
 * could end dual control asks for approval, this function included.
 */
Datum
pgenvelope_require_approval(PG_FUNCTION_ARGS)
{
	PgeKey	   *key;
	uint64		key_id;
	char	   *name;
	bool		required;

	pge_require_writable("pgenvelope.require_approval()");
	pge_refuse_null(PG_ARGISNULL(0) || PG_ARGISNULL(1), "key and required");
	required = PG_GETARG_BOOL(1);
	key = pge_key_to_administer(PG_GETARG_TEXT_PP(0), PGE_ADMIN);
	key_id = key->key_id;
	name = pstrdup(key->name);
	if (key->dual_control == required)
	{
		pge_acting_end();
		PG_RETURN_BOOL(false);
	}
	if (pge_request_instead(fcinfo, key_id))
		PG_RETURN_BOOL(false);
	set_required(key_id, required);
	pge_audit_act("require_approval", key_id, name, 0,
				  pge_act_details("required", required ? "true" : "false"));
	PG_RETURN_BOOL(true);
}

Datum
pgenvelope_may_decide(PG_FUNCTION_ARGS)
{
	char	   *function = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PgePrivilege privilege = pge_request_privilege(pge_request_act(function),
												   PG_GETARG_DATUM(2));
	PgeKey	   *key;

	pge_catalog_begin();
	key = pge_key_by_id((uint64) PG_GETARG_INT64(0));
	PG_RETURN_BOOL(key != NULL &&
				   (superuser() || pge_key_permits(key, privilege) != NULL));
}

/* ---------------------------------------------------------------- */
/* Finding the request                                              */
/* ---------------------------------------------------------------- */

/*
 * In a SECURITY DEFINER function or an index expression, the rights that
 * decide are not those of the role that logged in, which may not even know.
 */
static void
require_person(const char *function)
{
	if (InLocalUserIdChange() || InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s cannot be called by the rights of another role",
						function),
				 errhint("Call it as yourself, not in a SECURITY DEFINER function.")));
}

static void
lock_key_of(int64 id)
{
	char	   *name;

	if (pge_run("SELECT k.name FROM pgenvelope.request r"
				" JOIN pgenvelope.key k USING (key_id)"
				" WHERE r.request_id = $1",
				pge_bigint(id)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("request " INT64_FORMAT " does not exist", id),
				 errhint("The view pgenvelope.requests lists the requests.")));
	name = pge_row_text(0, 1);
	pge_acting_key(name);
	pge_lock_key_name((envl_view) {(const uint8 *) name, strlen(name)});
}

/*
 * Finds the request for the caller, and locks it.  A role that was dropped or
 * renamed counts as gone: its name or number may be another role's by now.
 */
static void
find(int64 id, const PgePerson *caller, Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	PgeWriter	writer = pge_write_begin();
	char	   *arguments;

	lock_key_of(id);
	if (pge_run(
			"SELECT r.key_id, k.name, r.operation, (SELECT p.oid::bigint"
			" FROM pg_proc p JOIN pg_depend d"
			" ON (d.classid, d.objid) = ('pg_proc'::regclass, p.oid)"
			" JOIN pg_extension e ON (d.refclassid, d.refobjid)"
			" = ('pg_extension'::regclass, e.oid)"
			" WHERE d.deptype = 'e' AND e.extname = 'pgenvelope'"
			" AND p.proname = r.operation),"
			" r.arguments::text, r.subject::text, r.state, r.decided_by,"
			" r.expires_at::text,"
			" (r.expires_at <= clock_timestamp())::integer::bigint,"
			" r.requester::bigint, r.requester_session::bigint,"
			" r.requested_by,"
			" (r.requester::regrole::text <> quote_ident(r.requested_by)"
			" OR r.requester_session::regrole::text"
			" <> quote_ident(r.requested_session)"
			" OR r.requester_login::regrole::text"
			" <> quote_ident(r.requested_login))::integer::bigint,"
			" CASE WHEN ARRAY[r.requester, r.requester_session,"
			" r.requester_login] && ARRAY[$2, $3, $4]"
			" OR r.requested_identity = $5 THEN"
			" format('It was filed as role \"%s\", by session user \"%s\","
			" logged in as \"%s\"; this is role \"%s\", session user \"%s\","
			" logged in as \"%s\".', r.requested_by, r.requested_session,"
			" r.requested_login, pg_get_userbyid($2), pg_get_userbyid($3),"
			" pg_get_userbyid($4)) END"
			" FROM pgenvelope.request r JOIN pgenvelope.key k USING (key_id)"
			" WHERE r.request_id = $1 FOR UPDATE OF r",
			pge_bigint(id), pge_oid(caller->role), pge_oid(caller->session),
			pge_oid(caller->login), pge_text(caller->identity)) == 0)
		pge_snapshot_is_older();

	/* Each statement leaves SPI's memory as the current one. */
	MemoryContextSwitchTo(context);
	request->id = id;
	request->key_id = (uint64) pge_row_int(0, 1);
	request->key_name = pge_row_text(0, 2);
	request->act = pge_request_act(pge_row_text(0, 3));
	request->function = (Oid) pge_row_int(0, 4);
	arguments = pge_row_text(0, 5);
	request->arguments = DirectFunctionCall1(jsonb_in,
											 CStringGetDatum(arguments));
	request->subject = pge_row_text(0, 6);
	request->state = pge_row_text(0, 7);
	request->decided_by = pge_row_text(0, 8);
	request->expires_at = pge_row_text(0, 9);
	request->is_expired = pge_row_int(0, 10) != 0;
	request->requester.user = (Oid) pge_row_int(0, 11);
	request->requester.outer = request->requester.user;
	request->requester.session = (Oid) pge_row_int(0, 12);
	request->requested_by = pge_row_text(0, 13);
	request->is_orphan = pge_row_int(0, 14) != 0;
	request->own = pge_row_text(0, 15);
	pge_write_end(&writer);
}

/* ---------------------------------------------------------------- */
/* Whether it can be decided                                        */
/* ---------------------------------------------------------------- */

static void
require_entitled(const Request *request)
{
	PgePrivilege privilege = pge_request_privilege(request->act,
												   request->arguments);
	PgeProblem	problem;

	if (!superuser() &&
		!pge_require_privilege(pge_request_key(request->key_id), privilege,
							   &problem))
		pge_raise(&problem);
}

static void
require_pending(const Request *request)
{
	if (strcmp(request->state, "pending") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " was %s by role \"%s\"",
						request->id, request->state, request->decided_by)));
	if (request->is_expired)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " has expired", request->id),
				 errdetail("It could be decided until %s.",
						   request->expires_at),
				 errhint("Whoever still wants it asks again.")));
}

static void
require_other_person(const Request *request)
{
	PgeProblem	problem;

	if (request->own == NULL)
		return;
	pge_problem(&problem, PGE_NOT_ENTITLED,
				"Another person who is entitled to it approves it, logged in as a role of their own.",
				"request " INT64_FORMAT " cannot be approved by who has filed it",
				request->id);
	pge_problem_detail(&problem, "%s", request->own);
	pge_raise(&problem);
}

/* Refuses if the requester is gone, or may not ask for this any longer. */
static void
require_requester(const Request *request)
{
	PgePrivilege privilege = pge_request_privilege(request->act,
												   request->arguments);

	if (request->is_orphan)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " is void", request->id),
				 errdetail("A role of the session that filed it was dropped or renamed since.")));
	if (!superuser_arg(request->requester.user) &&
		!pge_identity_permits(pge_request_key(request->key_id), privilege,
							  &request->requester))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " is void", request->id),
				 errdetail("Role \"%s\", which filed it, is not entitled to it any longer.",
						   request->requested_by)));
}

static void
require_unchanged(const Request *request)
{
	char	   *now = pge_request_subject(request->act, request->key_id,
										  request->arguments);

	/* Both are the text of a jsonb, which has one spelling. */
	if (strcmp(now, request->subject) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("what request " INT64_FORMAT " is about has changed since it was filed",
					request->id),
			 errhint("Whoever still wants it asks again.")));
}

/* ---------------------------------------------------------------- */
/* Deciding                                                         */
/* ---------------------------------------------------------------- */

/* Records what was decided; reason and result (jsonb) may be null. */
static void
record(const Request *request, const PgePerson *person, const char *state,
	   const char *reason, Datum result)
{
	PgeWriter	writer = pge_write_begin();

	if (pge_run("UPDATE pgenvelope.request SET state = $2,"
				" decided_at = clock_timestamp(),"
				" decided_by = pg_get_userbyid($3),"
				" decided_session = pg_get_userbyid($4),"
				" decided_login = pg_get_userbyid($5),"
				" decided_identity = $6, reason = $7, result = $8"
				" WHERE request_id = $1 AND state = 'pending'",
				pge_bigint(request->id), pge_text(state),
				pge_oid(person->role), pge_oid(person->session),
				pge_oid(person->login), pge_text(person->identity),
				pge_text(reason),
				pge_unless(result == (Datum) 0,
						   pge_parameter(JSONBOID, result))) != 1)
		pge_snapshot_is_older();
	pge_write_end(&writer);
	pge_request_notify(request->id, state);
}

Datum
pgenvelope_approve(PG_FUNCTION_ARGS)
{
	Request		request;
	PgePerson	approver;
	Datum		subject;
	Datum		result;

	pge_require_writable("pgenvelope.approve()");
	require_person("pgenvelope.approve()");
	pge_person_now(&approver);
	find(PG_GETARG_INT64(0), &approver, &request);
	require_entitled(&request);
	require_pending(&request);
	require_other_person(&request);
	require_requester(&request);
	require_unchanged(&request);

	/* The subject holds a role's number, which replaces its name. */
	subject = DirectFunctionCall1(jsonb_in, CStringGetDatum(request.subject));
	subject = DirectFunctionCall2(jsonb_concat, request.arguments, subject);
	result = pge_arguments_call(request.function, subject,
								&pge_request_approved);
	record(&request, &approver, "approved", NULL, result);
	pge_request_audit("approve", request.id, request.act, request.key_id,
					  request.key_name, "approved");
	PG_RETURN_DATUM(result);
}

static char *
reason_argument(FunctionCallInfo fcinfo)
{
	char	   *reason = pge_getarg_cstring(fcinfo, 1);
	PgeProblem	problem;

	pge_refuse_null(PG_ARGISNULL(0), "the number of a request");
	if (reason == NULL || strlen(reason) <= REASON_MAX)
		return reason;
	pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
				"a reason has at most %d bytes", REASON_MAX);
	pge_raise(&problem);
}

/* Withdrawing one's own request needs no privilege. */
Datum
pgenvelope_reject(PG_FUNCTION_ARGS)
{
	Request		request;
	PgePerson	person;
	const char *state;
	char	   *reason;

	pge_require_writable("pgenvelope.reject()");
	require_person("pgenvelope.reject()");
	reason = reason_argument(fcinfo);
	pge_person_now(&person);
	find(PG_GETARG_INT64(0), &person, &request);
	state = request.own != NULL ? "withdrawn" : "rejected";
	if (request.own == NULL)
		require_entitled(&request);
	require_pending(&request);
	record(&request, &person, state, reason, (Datum) 0);
	pge_request_audit("reject", request.id, request.act, request.key_id,
					  request.key_name, state);
	PG_RETURN_VOID();
}
