/*
 * pge_approval.c
 *	  pgenvelope.approve and pgenvelope.reject: a second person decides.
 *
 * What was asked for is done in the transaction of whoever approves it, by
 * their rights and with the arguments of then, after everything was looked at
 * again.  If it fails, so does the approval, and the request stays pending.
 *
 * The key's name is locked before the request's row, as when one is filed: of
 * two who decide at once, the second finds it decided.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "admin/pge_arguments.h"
#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "catalog/pge_write.h"

PG_FUNCTION_INFO_V1(pgenvelope_approve);
PG_FUNCTION_INFO_V1(pgenvelope_reject);

#define REASON_MAX 1000

/* ---------------------------------------------------------------- */
/* Finding the request                                              */
/* ---------------------------------------------------------------- */

/*
 * In a SECURITY DEFINER function or an index expression the rights that decide
 * are not of who has logged in, who may not even know.
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
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(id);
	char	   *name;

	if (pge_write_run("SELECT k.name FROM pgenvelope.request r"
					  " JOIN pgenvelope.key k USING (key_id)"
					  " WHERE r.request_id = $1",
					  1, &type, &value, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("request " INT64_FORMAT " does not exist", id),
				 errhint("The view pgenvelope.requests lists the requests.")));
	name = pge_row_text(0, 1);
	pge_acting_key(name);
	pge_lock_key_name((envl_view) {(const uint8 *) name, strlen(name)});
}

static void
read_person(int column, PgePerson *person)
{
	person->role = (Oid) pge_row_int(0, column);
	person->session = (Oid) pge_row_int(0, column + 1);
	person->login = (Oid) pge_row_int(0, column + 2);
	person->role_name = pge_row_text(0, column + 3);
	person->session_name = pge_row_text(0, column + 4);
	person->login_name = pge_row_text(0, column + 5);
	person->identity = pge_row_text(0, column + 6);
}

/* Locks the key, and the request's row; by the writer's rights. */
static void
find(int64 id, PgeRequest *request)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(id);
	char	   *arguments;

	lock_key_of(id);
	if (pge_write_run("SELECT r.key_id, k.name, r.operation,"
					  " r.arguments::text, r.subject::text, r.state,"
					  " (r.expires_at <= clock_timestamp())::integer::bigint,"
					  " r.expires_at::text, r.decided_by,"
					  " r.requester::bigint, r.requester_session::bigint,"
					  " r.requester_login::bigint, r.requested_by,"
					  " r.requested_session, r.requested_login,"
					  " r.requested_identity FROM pgenvelope.request r"
					  " JOIN pgenvelope.key k USING (key_id)"
					  " WHERE r.request_id = $1 FOR UPDATE OF r",
					  1, &type, &value, NULL) == 0)
		pge_snapshot_is_older();
	request->id = id;
	request->key_id = (uint64) pge_row_int(0, 1);
	request->key_name = pge_row_text(0, 2);
	request->act = pge_request_act(pge_row_text(0, 3));
	arguments = pge_row_text(0, 4);
	request->arguments = DirectFunctionCall1(jsonb_in,
											 CStringGetDatum(arguments));
	request->subject = pge_row_text(0, 5);
	request->state = pge_row_text(0, 6);
	request->expired = pge_row_int(0, 7) != 0;
	request->expires_at = pge_row_text(0, 8);
	request->decided_by = pge_row_text(0, 9);
	read_person(10, &request->requester);
}

static PgeKey *
key_of(const PgeRequest *request)
{
	PgeKey	   *key = pge_key_by_id(request->key_id);

	if (key == NULL)
		pge_snapshot_is_older();
	return key;
}

/* ---------------------------------------------------------------- */
/* Whether it can be decided                                        */
/* ---------------------------------------------------------------- */

/* Asked as that role, since the tables' owner is the current user. */
static void
require_entitled(const PgeRequest *request, Oid role)
{
	PgePrivilege privilege = pge_request_privilege(request->act,
												   request->arguments);
	Oid			writer;
	int			context;
	PgeProblem	problem;

	if (superuser_arg(role))
		return;
	GetUserIdAndSecContext(&writer, &context);
	SetUserIdAndSecContext(role, context);
	if (!pge_require_privilege(key_of(request), privilege, &problem))
		pge_raise(&problem);
	SetUserIdAndSecContext(writer, context);
}

static void
require_pending(const PgeRequest *request)
{
	bool		decided = strcmp(request->state, "pending") != 0;

	if (decided)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " was %s by role \"%s\"",
						request->id, request->state, request->decided_by)));
	if (request->expired)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " has expired", request->id),
				 errdetail("It could be decided until %s.",
						   request->expires_at),
				 errhint("Whoever still wants it asks again.")));
}

static void
require_other_person(const PgeRequest *request, const PgePerson *approver)
{
	PgeProblem	problem;

	if (!pge_same_person(&request->requester, approver))
		return;
	pge_problem(&problem, PGE_NOT_ENTITLED,
				"Another person who is entitled to it approves it, logged in as a role of their own.",
				"request " INT64_FORMAT " cannot be approved by who has filed it",
				request->id);
	pge_problem_detail(&problem,
					   "It was filed as role \"%s\", by session user \"%s\", logged in as \"%s\"; this is role \"%s\", session user \"%s\", logged in as \"%s\".",
					   request->requester.role_name,
					   request->requester.session_name,
					   request->requester.login_name,
					   approver->role_name, approver->session_name,
					   approver->login_name);
	pge_raise(&problem);
}

static bool
is_still_entitled(const PgeRequest *request)
{
	const PgePerson *requester = &request->requester;
	PgePrivilege privilege = pge_request_privilege(request->act,
												   request->arguments);
	PgeIdentity identity = {requester->role, requester->role,
							requester->session};

	return superuser_arg(requester->role) ||
		pge_identity_permits(key_of(request), privilege, &identity);
}

/* Whoever filed it has left, or may not ask for it any longer. */
static void
require_requester(const PgeRequest *request)
{
	if (!pge_person_exists(&request->requester))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " is void", request->id),
				 errdetail("A role of the session that filed it was dropped or renamed since.")));
	if (!is_still_entitled(request))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " is void", request->id),
				 errdetail("Role \"%s\", which filed it, is not entitled to it any longer.",
						   request->requester.role_name)));
}

static void
require_unchanged(const PgeRequest *request)
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

/*
 * The function of this extension's by that name, whatever else there is of
 * the name; by the writer's rights.
 */
static Oid
function_of(const PgeControlled *act)
{
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(act->function);

	if (pge_write_run("SELECT p.oid::bigint FROM pg_proc p JOIN pg_depend d"
					  " ON d.classid = 'pg_proc'::regclass"
					  " AND d.objid = p.oid AND d.deptype = 'e'"
					  " JOIN pg_extension e"
					  " ON d.refclassid = 'pg_extension'::regclass"
					  " AND d.refobjid = e.oid"
					  " WHERE e.extname = 'pgenvelope' AND p.proname = $1",
					  1, &type, &value, NULL) != 1)
		elog(ERROR, "could not find function %s", act->function);
	return (Oid) pge_row_int(0, 1);
}

/* Records what was decided; reason and result (jsonb, as text) may be NULL. */
static void
record(const PgeRequest *request, const PgePerson *person, const char *state,
	   const char *reason, const char *result)
{
	Oid			types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID,
						   TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	const char *texts[] = {state, person->role_name, person->session_name,
						   person->login_name, person->identity, reason,
						   result};
	Datum		values[lengthof(texts) + 1];
	char		nulls[lengthof(texts) + 1];

	values[0] = Int64GetDatum(request->id);
	nulls[0] = ' ';
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		nulls[i + 1] = texts[i] == NULL ? 'n' : ' ';
		values[i + 1] = texts[i] == NULL ? (Datum) 0 :
										   CStringGetTextDatum(texts[i]);
	}
	if (pge_write_run("UPDATE pgenvelope.request SET state = $2,"
					  " decided_at = clock_timestamp(), decided_by = $3,"
					  " decided_session = $4, decided_login = $5,"
					  " decided_identity = $6, reason = $7,"
					  " result = $8::jsonb"
					  " WHERE request_id = $1 AND state = 'pending'",
					  lengthof(types), types, values, nulls) != 1)
		pge_snapshot_is_older();
	pge_request_notify(request->id, state);
}

/* Everything that must hold when it is approved; by the writer's rights. */
static void
check(int64 id, const PgePerson *approver, PgeRequest *request)
{
	find(id, request);
	require_entitled(request, approver->role);
	require_pending(request);
	require_other_person(request, approver);
	require_requester(request);
	require_unchanged(request);
}

Datum
pgenvelope_approve(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	PgeRequest	request;
	PgePerson	approver;
	PgeWriter	writer;
	Oid			function;
	Datum		subject;
	char	   *result;

	pge_require_writable("pgenvelope.approve()");
	require_person("pgenvelope.approve()");
	pge_person_now(GetUserId(), &approver);

	/* What is found is needed when SPI's memory has gone. */
	writer = pge_write_begin();
	MemoryContextSwitchTo(caller);
	check(PG_GETARG_INT64(0), &approver, &request);
	function = function_of(request.act);
	pge_write_end(&writer);

	/* The act is done by the rights of who approves it. */
	subject = DirectFunctionCall1(jsonb_in, CStringGetDatum(request.subject));
	result = pge_arguments_call(function, request.arguments, subject);

	writer = pge_write_begin();
	record(&request, &approver, "approved", NULL, result);
	pge_write_end(&writer);
	pge_request_audit("approve", request.id, request.act, request.key_id,
					  request.key_name, "approved");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(result));
}

static char *
reason_argument(FunctionCallInfo fcinfo)
{
	PgeProblem	problem;

	if (PG_ARGISNULL(0))
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"the number of a request must not be null");
	else if (PG_ARGISNULL(1))
		return NULL;
	else if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) <= REASON_MAX)
		return text_to_cstring(PG_GETARG_TEXT_PP(1));
	else
		pge_problem(&problem, PGE_BAD_ARGUMENT, NULL,
					"a reason has at most %d bytes", REASON_MAX);
	pge_raise(&problem);
	return NULL;
}

/* Nobody has to be entitled to take back what they have asked for. */
Datum
pgenvelope_reject(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	PgeRequest	request;
	PgePerson	person;
	PgeWriter	writer;
	const char *state;
	char	   *reason;

	pge_require_writable("pgenvelope.reject()");
	require_person("pgenvelope.reject()");
	reason = reason_argument(fcinfo);
	pge_person_now(GetUserId(), &person);
	writer = pge_write_begin();
	MemoryContextSwitchTo(caller);
	find(PG_GETARG_INT64(0), &request);
	if (pge_same_person(&request.requester, &person))
		state = "withdrawn";
	else
	{
		require_entitled(&request, person.role);
		state = "rejected";
	}
	require_pending(&request);
	record(&request, &person, state, reason, NULL);
	pge_write_end(&writer);
	pge_request_audit("reject", request.id, request.act, request.key_id,
					  request.key_name, state);
	PG_RETURN_VOID();
}
