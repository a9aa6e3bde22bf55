/*
 * pge_session.c
 *	  env_bind_session and env_unbind_session: which user a pooled connection
 *	  acts for.
 *
 * The application's role cannot set pgenvelope.session_context.  A token
 * carries its value, signed with a key from the file that the setting
 * pgenvelope.session_key_file names.  The file is read for each token and no
 * key is kept.  So a key that is removed from the file is no longer accepted,
 * and a session's memory holds no keys.
 *
 * A bound context is an ordinary value of that setting, set as SET LOCAL would
 * set it.  So PostgreSQL itself ends it with the transaction, rolls it back
 * with a subtransaction and passes it to parallel workers.
 *
 * A transaction can be bound only once.  An attacker who can only append to a
 * statement cannot continue its transaction under a token of their own.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>
#include <stdlib.h>

#include "access/detoast.h"
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_report.h"
#include "base/pge_secret.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "context/pge_context_settings.h"
#include "context/pge_replay.h"
#include "context/pge_subject.h"
#include "context/pge_token.h"
#include "providers/prov_secret.h"

PG_FUNCTION_INFO_V1(pgenvelope_bind_session);
PG_FUNCTION_INFO_V1(pgenvelope_unbind_session);

/* The most seconds that another machine's clock may be ahead. */
#define LEEWAY 10

#define CONTEXT_SETTING "pgenvelope.session_context"

/* The subtransaction in which the transaction was bound, if it was. */
static SubTransactionId bound_in = InvalidSubTransactionId;

pg_noreturn static void refuse_unknown(const char *reason);
pg_noreturn static void refuse_signed(const char *reason);
pg_noreturn static void refuse_keys(const char *reason, const char *detail);

/* ---------------------------------------------------------------- */
/* Refusing                                                         */
/* ---------------------------------------------------------------- */

/*
 * The token has no valid signature, so its bearer is a stranger.  The client
 * always gets the same message; only the server's log has the reason.
 */
static void
refuse_unknown(const char *reason)
{
	pge_use_end(PGE_TOKEN);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("token is not accepted"),
			 errdetail_log("%s", reason),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/*
 * The signature is valid: the bearer may learn what is wrong with the token.
 */
static void
refuse_signed(const char *reason)
{
	pge_use_end(PGE_TOKEN);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("%s", reason),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/* Only the server's log may show where the key file is and what is in it. */
static void
refuse_keys(const char *reason, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("keys of session tokens cannot be read"),
			 errdetail_log("%s %s", reason, detail),
			 errhint("The server's log says why."),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/* ---------------------------------------------------------------- */
/* Signature                                                        */
/* ---------------------------------------------------------------- */

/* Files in the data directory are in every base backup. */
static bool
is_in_data_directory(const char *path)
{
	char		directory[PATH_MAX];
	size_t		len;

	if (realpath(DataDir, directory) == NULL)
		return true;
	len = strlen(directory);
	return strncmp(path, directory, len) == 0 &&
		(path[len] == '/' || path[len] == '\0');
}

/* Reads the key file.  If it raises, the keys are wiped first. */
static void
read_keys(prov_secret *keys)
{
	char		path[PATH_MAX];
	prov_failure failure;

	if (pge_session_key_file[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sessions cannot be bound"),
				 errhint("The administrator of the server has to set pgenvelope.session_key_file."),
				 errhidestmt(true),
				 errhidecontext(true)));
	if (realpath(pge_session_key_file, path) == NULL)
		refuse_keys("The key file cannot be found:", strerror(errno));
	if (is_in_data_directory(path))
		refuse_keys("The key file is in the data directory,",
					"where every base backup would take it along.");
	if (prov_secret_read(path, "The key file", false, keys, &failure) !=
		PROV_OK)
		refuse_keys(failure.reason, failure.detail);
}

/*
 * Verifies the signature, or raises.  The keys are wiped on every path. Before
 * that, only a lack of memory or stack can raise.
 */
static void
verify_signature(const PgeToken *token)
{
	static prov_secret *keys;
	PgeVerdict	verdict;
	char		which[64] = "";

	if (keys == NULL)
		keys = pge_secret_new(sizeof(prov_secret));
	read_keys(keys);
	PG_TRY();
	{
		pge_token_verify(token, (uint8 *) keys->text, keys->len, &verdict);
	}
	PG_FINALLY();
	{
		envl_wipe(keys, sizeof(prov_secret));
	}
	PG_END_TRY();

	if (verdict.status == ENVL_AUTHENTICATION)
		refuse_unknown(verdict.reason);
	if (verdict.status == ENVL_CRYPTO_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("cryptographic library failed"),
				 errhint("See the server's OpenSSL configuration.")));
	if (verdict.place > 0)
		snprintf(which, sizeof(which), "It is key %d of the file.",
				 verdict.place);
	if (verdict.status != ENVL_OK)
		refuse_keys(verdict.reason, which);
}

/* ---------------------------------------------------------------- */
/* Claims                                                           */
/* ---------------------------------------------------------------- */

/* Raises unless the token is for this database. */
static void
check_audience(const PgeClaims *claims)
{
	const char *database = get_database_name(MyDatabaseId);
	envl_view	name = {(const uint8 *) database, strlen(database)};
	PgeProblem	problem;

	if (!pge_to_utf8(name, &name, &problem))
		pge_raise(&problem);
	if (!pge_claims_are_for(claims, name))
		refuse_signed("token is for another database");
}

static void
check_times(const PgeClaims *claims, int64 now)
{
	if (claims->expires <= now)
		refuse_signed("token has expired");
	if (claims->not_before > now + LEEWAY || claims->issued > now + LEEWAY)
		refuse_signed("token is not valid yet");
	if (claims->expires - now > pge_session_token_lifetime)
		refuse_signed("token is valid for longer than pgenvelope.session_token_lifetime allows");
}

/*
 * Makes sure that a token is used once, if the server is configured so.  A
 * restart forgets the used tokens, so the token must be younger than the
 * server's start.
 */
static void
check_replay(const PgeToken *token, const PgeClaims *claims, int64 now)
{
	uint8		digest[ENVL_JWS_DIGEST_LEN];

	if (pge_session_used_tokens == 0)
		return;
	if (!claims->is_issued)
		refuse_signed("token does not say when it was issued");
	if (claims->issued < timestamptz_to_time_t(pge_shared->started_at))
		refuse_signed("token was issued before the server started");
	if (envl_jws_digest(token->signed_part, digest) != ENVL_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("cryptographic library failed")));
	switch (pge_replay_note(digest, claims->expires, now))
	{
		case PGE_TOKEN_NEW:
			break;
		case PGE_TOKEN_USED:
			refuse_signed("token has been used before");
			break;
		case PGE_TOKENS_FULL:
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("too many tokens are in use"),
					 errhint("Let tokens expire sooner, or raise pgenvelope.session_used_tokens."),
					 errhidestmt(true),
					 errhidecontext(true)));
	}
}

/*
 * Makes the setting's value: canonical JSON in the database's encoding.  Also
 * passes the audit what it may show of it.
 */
static char *
make_context_text(PgeClaims *claims)
{
	char	   *subject = palloc(PGE_SUBJECT_MAX);
	size_t		count = claims->member_count;
	uint8	   *canonical = palloc(ENVL_CONTEXT_MAX);
	envl_spelled spelled[PGE_CLAIMS_MEMBERS_MAX];
	envl_view	text = {canonical, 0};
	PgeProblem	problem;

	if (envl_context_encode(claims->members, count, canonical, &text.len,
							spelled) != ENVL_OK ||
		!pge_from_utf8(text, &text, &problem))
		refuse_signed("token's claims are not as they should be");
	pge_use_subject(subject, pge_subject_write(spelled, count, subject));
	return pnstrdup((const char *) text.data, text.len);
}

/* ---------------------------------------------------------------- */
/* Binding                                                          */
/* ---------------------------------------------------------------- */

static void
at_subtransaction(SubXactEvent event, SubTransactionId mine,
				  SubTransactionId parent, void *arg)
{
	if (bound_in != mine)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		bound_in = InvalidSubTransactionId;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		bound_in = parent;
}

static void
at_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		bound_in = InvalidSubTransactionId;
}

/*
 * Remembers that this transaction is bound, until a rollback undoes the
 * binding.
 */
static void
note_bound(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_transaction, NULL);
		RegisterSubXactCallback(at_subtransaction, NULL);
		registered = true;
	}
	bound_in = GetCurrentSubTransactionId();
}

static void
set_context(const char *context, bool for_session)
{
	set_config_option(CONTEXT_SETTING, context, PGC_SUSET, PGC_S_SESSION,
					  for_session ? GUC_ACTION_SET : GUC_ACTION_LOCAL, true, 0,
					  false);
}

/*
 * Hides a token that is part of the statement's text.  pg_stat_activity shows
 * the statements of a role to all sessions of that role, which could take the
 * token from there.
 */
static void
hide_from_activity(envl_view token)
{
	if (debug_query_string != NULL &&
		memmem(debug_query_string, strlen(debug_query_string), token.data,
			   token.len) != NULL)
		pgstat_report_activity(STATE_RUNNING,
							   "<a statement with a session's token>");
}

static bool
parse_scope(text *scope)
{
	char	   *word = scope != NULL ? text_to_cstring(scope) : "";

	if (strcmp(word, "session") == 0)
		return true;
	if (strcmp(word, "transaction") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scope must be \"transaction\" or \"session\""),
				 errhidestmt(true),
				 errhidecontext(true)));
	return false;
}

static void
require_bindable(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot bind a session within a maintenance command"),
				 errhidestmt(true),
				 errhidecontext(true)));
	if (bound_in != InvalidSubTransactionId)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("session has been bound in this transaction already"),
				 errhint("Bind another context in another transaction."),
				 errhidestmt(true),
				 errhidecontext(true)));
}

/* Takes the token.  Checks its size before detoasting it. */
static envl_view
get_token(FunctionCallInfo fcinfo)
{
	text	   *argument;

	if (PG_ARGISNULL(0))
		refuse_unknown("It is null.");
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ > PGE_TOKEN_MAX)
		refuse_unknown("It is too long.");
	argument = PG_GETARG_TEXT_PP(0);
	return (envl_view) {(const uint8 *) VARDATA_ANY(argument),
					   VARSIZE_ANY_EXHDR(argument)};
}

static Datum
bind_session(PG_FUNCTION_ARGS)
{
	bool		for_session;
	envl_view	argument;
	PgeToken	token;
	PgeClaims	claims;
	int64		now = timestamptz_to_time_t(GetCurrentTimestamp());

	pge_require_preload();
	for_session = parse_scope(PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1));
	pge_use_begin(PGE_USE_BIND);
	argument = get_token(fcinfo);
	hide_from_activity(argument);
	require_bindable();

	if (!pge_token_parse(argument, &token))
		refuse_unknown("It is not a compact JWS by HS256 or EdDSA with a kid and without crit.");
	verify_signature(&token);
	if (!pge_token_claims(&token, &claims))
		refuse_signed("token's claims are not as they should be");
	check_audience(&claims);
	check_times(&claims, now);
	if (for_session && !claims.for_session)
		refuse_signed("token is not for the whole session");
	check_replay(&token, &claims, now);

	set_context(make_context_text(&claims), for_session);
	note_bound();
	pge_use_end(PGE_OK);
	if (!for_session && !IsInTransactionBlock(true))
		ereport(WARNING,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("session is bound for this statement only: there is no transaction block"),
				 errhidestmt(true)));
	PG_RETURN_VOID();
}

Datum
pgenvelope_bind_session(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(bind_session, fcinfo);
}

Datum
pgenvelope_unbind_session(PG_FUNCTION_ARGS)
{
	pge_require_preload();
	set_context("", true);
	PG_RETURN_VOID();
}
