/*
 * pge_request.c
 *	  Dual control: which acts a second person approves, and requests.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "admin/pge_admin.h"
#include "admin/pge_admin_settings.h"
#include "admin/pge_arguments.h"
#include "admin/pge_request.h"
#include "audit/pge_act.h"
#include "base/pge_acting.h"
#include "base/pge_compat.h"
#include "catalog/pge_spi.h"

/* ---------------------------------------------------------------- */
/* Acts                                                             */
/* ---------------------------------------------------------------- */

/*
 * The subject of an act on one version, or on all: which versions exist, and
 * their states.  $1 is the key, $2 the arguments.
 */
#define VERSIONS \
	"SELECT jsonb_build_object('versions', coalesce(jsonb_agg(" \
	" jsonb_build_array(version, state, extract(epoch FROM activated_at)," \
	" extract(epoch FROM deactivated_at), extract(epoch FROM retired_at))" \
	" ORDER BY version), '[]'))::text FROM pgenvelope.key_version" \
	" WHERE key_id = $1" \
	" AND coalesce(version = ($2 ->> 'version')::integer, true)"

/* A role that was dropped or renamed is not the one the requester meant. */
#define ROLE \
	"SELECT jsonb_build_object('role'," \
	" ($2 ->> 'role')::regrole::oid::bigint)::text"

#define KEY "SELECT '{}'"

static const PgeControlled acts[] = {
	{"retire_key", PGE_RETIRE, VERSIONS},
	{"restore_key", PGE_RETIRE, VERSIONS},
	{"destroy_key", PGE_RETIRE, VERSIONS},
	{"grant_key", PGE_NO_PRIVILEGE, ROLE},
	{"reseal_keys", PGE_ADMIN, KEY},
	{"require_approval", PGE_ADMIN, KEY},
	{"limit_grant", PGE_GRANT, ROLE},
	{"unlock_grant", PGE_GRANT, ROLE},
};

/* Known by its address, which no other call can have as its context. */
Node		pge_request_approved = {T_Invalid};

const PgeControlled *
pge_request_act(const char *function)
{
	for (int i = 0; i < (int) lengthof(acts); i++)
	{
		if (strcmp(function, acts[i].function) == 0)
			return &acts[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("\"%s\" is no act that can be approved", function)));
	return NULL;
}

PgePrivilege
pge_request_privilege(const PgeControlled *act, Datum arguments)
{
	char	   *granted;

	if (act->privilege != PGE_NO_PRIVILEGE)
		return act->privilege;
	granted = pge_argument(arguments, "privilege");
	return pge_privilege_grantor(granted == NULL ?
									 PGE_NO_PRIVILEGE :
									 pge_privilege_parse(granted));
}

/*
 * These privileges show no plaintext, and do not let a role approve.  A future
 * privilege is not known to be harmless, so it needs approval.
 */
static bool
is_granted_by_one(PgePrivilege privilege)
{
	return privilege == PGE_ENCRYPT || privilege == PGE_REWRAP ||
		privilege == PGE_ROTATE || privilege == PGE_AUDIT;
}

static bool
one_person_suffices(const PgeControlled *act, FunctionCallInfo fcinfo)
{
	char	   *granted;

	if (strcmp(act->function, "grant_key") != 0)
		return false;
	granted = text_to_cstring(PG_GETARG_TEXT_PP(1));
	return is_granted_by_one(pge_privilege_parse(granted));
}

/* ---------------------------------------------------------------- */
/* Filing                                                           */
/* ---------------------------------------------------------------- */

void
pge_person_now(PgePerson *person)
{
	person->role = GetUserId();
	person->session = GetSessionUserId();
	person->login = GetAuthenticatedUserId();
	person->identity = pge_client_identity();
}

char *
pge_request_subject(const PgeControlled *act, uint64 key_id, Datum arguments)
{
	MemoryContext caller = CurrentMemoryContext;
	PgeWriter	writer = pge_write_begin();
	char	   *subject;

	if (pge_run(act->subject, pge_bigint((int64) key_id),
				pge_parameter(JSONBOID, arguments)) != 1)
		elog(ERROR, "could not tell what a request is about");
	MemoryContextSwitchTo(caller);
	subject = pge_row_text(0, 1);
	pge_write_end(&writer);
	return subject;
}

/*
 * The number of this person's request for this act: of a pending one, or else
 * of a new one.
 */
static int64
find_or_insert(const PgeControlled *act, uint64 key_id, Datum arguments,
			   bool *found)
{
	char	   *subject = pge_request_subject(act, key_id, arguments);
	PgePerson	person;
	PgeWriter	writer;
	int64		id;

	pge_person_now(&person);
	writer = pge_write_begin();
	*found = pge_run("SELECT request_id FROM pgenvelope.request"
					 " WHERE key_id = $1 AND operation = $2"
					 " AND arguments = $3 AND subject = $4::jsonb"
					 " AND requester = $5 AND requester_session = $6"
					 " AND requester_login = $7 AND state = 'pending'"
					 " AND expires_at > clock_timestamp()"
					 " ORDER BY request_id LIMIT 1",
					 pge_bigint((int64) key_id), pge_text(act->function),
					 pge_parameter(JSONBOID, arguments), pge_text(subject),
					 pge_oid(person.role), pge_oid(person.session),
					 pge_oid(person.login)) > 0;
	if (!*found)
		pge_run("INSERT INTO pgenvelope.request (key_id, operation, arguments,"
				" subject, requester, requester_session, requester_login,"
				" requested_by, requested_session, requested_login,"
				" requested_identity, requested_at, expires_at)"
				" SELECT $1, $2, $3, $4::jsonb, $5, $6, $7,"
				" pg_get_userbyid($5), pg_get_userbyid($6),"
				" pg_get_userbyid($7), $8, now,"
				" now + make_interval(secs => $9)"
				" FROM clock_timestamp() AS now RETURNING request_id",
				pge_bigint((int64) key_id), pge_text(act->function),
				pge_parameter(JSONBOID, arguments), pge_text(subject),
				pge_oid(person.role), pge_oid(person.session),
				pge_oid(person.login), pge_text(person.identity),
				pge_integer(pge_approval_timeout));
	id = pge_row_int(0, 1);
	pge_write_end(&writer);
	return id;
}

/* Any role may listen, so the payload says only where to look. */
void
pge_request_notify(int64 id, const char *state)
{
	Async_Notify("pgenvelope_request",
				 psprintf("{\"request\": " INT64_FORMAT ", \"state\": \"%s\"}",
						  id, state));
}

void
pge_request_audit(const char *function, int64 id, const PgeControlled *act,
				  uint64 key_id, const char *key_name, const char *state)
{
	pge_audit_act(function, key_id, key_name, 0,
				  pge_act_details("request", psprintf(INT64_FORMAT, id),
								  "operation", act->function,
								  "state", state));
}

static void
tell_requester(int64 id, bool found, const char *key_name)
{
	ereport(NOTICE,
			(found ?
				 errmsg("request " INT64_FORMAT " already asks for this",
						id) :
				 errmsg("request " INT64_FORMAT " was filed, nothing else was done",
						id),
			 errdetail("Key \"%s\" is under dual control.", key_name),
			 errhint("Somebody else who is entitled calls pgenvelope.approve(" INT64_FORMAT ").",
					 id)));
}

static void
file(const PgeControlled *act, uint64 key_id, const char *key_name,
	 Datum arguments)
{
	bool		found;
	int64		id = find_or_insert(act, key_id, arguments, &found);

	if (found)
		pge_acting_end();
	else
	{
		pge_request_notify(id, "pending");
		pge_request_audit("request", id, act, key_id, key_name, "pending");
	}
	tell_requester(id, found, key_name);
}

static bool
needs_approval(FunctionCallInfo fcinfo, const PgeKey *key,
			   const PgeControlled **act)
{
	if (!key->dual_control || fcinfo->context == &pge_request_approved)
		return false;
	*act = pge_request_act(get_func_name(fcinfo->flinfo->fn_oid));
	return !one_person_suffices(*act, fcinfo);
}

PgeKey *
pge_request_key(uint64 key_id)
{
	PgeKey	   *key = pge_key_by_id(key_id);

	if (key == NULL)
		pge_snapshot_is_older();
	return key;
}

bool
pge_request_instead(FunctionCallInfo fcinfo, uint64 key_id)
{
	const PgeKey *key = pge_request_key(key_id);
	const PgeControlled *act;

	if (!needs_approval(fcinfo, key, &act))
		return false;
	file(act, key_id, pstrdup(key->name), pge_arguments_pack(fcinfo));
	return true;
}

bool
pge_request_needed(FunctionCallInfo fcinfo, uint64 key_id)
{
	const PgeControlled *act;

	return needs_approval(fcinfo, pge_request_key(key_id), &act);
}

bool
pge_request_instead_for(FunctionCallInfo fcinfo, int argument,
						const PgeKey *key)
{
	NullableDatum was = fcinfo->args[argument];
	bool		filed;

	fcinfo->args[argument].value = CStringGetTextDatum(key->name);
	fcinfo->args[argument].isnull = false;
	filed = pge_request_instead(fcinfo, key->key_id);
	fcinfo->args[argument] = was;
	return filed;
}
