/*
 * pge_value_sql.c
 *	  env_encrypt, env_decrypt and their relatives.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_getarg.h"
#include "base/pge_shared.h"
#include "base/pge_use.h"
#include "value/pge_value.h"
#include "value/pge_value_settings.h"

PG_FUNCTION_INFO_V1(pgenvelope_encrypt_text);
PG_FUNCTION_INFO_V1(pgenvelope_encrypt_bytea);
PG_FUNCTION_INFO_V1(pgenvelope_decrypt_text);
PG_FUNCTION_INFO_V1(pgenvelope_decrypt_bytea);
PG_FUNCTION_INFO_V1(pgenvelope_try_decrypt);
PG_FUNCTION_INFO_V1(pgenvelope_verify);
PG_FUNCTION_INFO_V1(pgenvelope_reencrypt);
PG_FUNCTION_INFO_V1(pgenvelope_rebind);

/* A detoasted argument, or NULL. */
/* ---------------------------------------------------------------- */
/* Encrypting                                                       */
/* ---------------------------------------------------------------- */

/* env_encrypt and env_encrypt_bytea. */
static Datum
encrypt_value(FunctionCallInfo fcinfo, uint8 flags)
{
	const struct varlena *given = pge_getarg_varlena(fcinfo, 0);
	const text *name = pge_getarg_varlena(fcinfo, 2);
	PgeContext *context;
	const envl_bound_context *bound;
	envl_view	plaintext;
	struct varlena *value;
	PgeKeyVersion *version;
	PgeProblem	problem;

	pge_require_preload();
	if (given == NULL)
		PG_RETURN_NULL();
	pge_use_begin(PGE_USE_ENCRYPT);
	pge_catalog_begin();
	context = pge_context_read(pge_getarg_varlena(fcinfo, 1));
	version = pge_encrypting_version(name, context, &problem);
	bound = version != NULL ?
		pge_key_bind(version->key, context, &problem) :
		NULL;
	if (bound == NULL)
		pge_raise(&problem);

	plaintext = pge_varlena_view(given);
	if ((flags & ENVL_FLAG_TEXT) &&
		!pge_to_utf8(plaintext, &plaintext, &problem))
		pge_raise(&problem);
	value = pge_seal(version, flags, plaintext, bound, &problem);
	if (plaintext.data != (const uint8 *) VARDATA_ANY(given))
		envl_wipe(unconstify(uint8 *, plaintext.data), plaintext.len);
	if (value == NULL)
		pge_raise(&problem);
	pge_use_end(PGE_OK);
	PG_RETURN_POINTER(value);
}

static Datum
encrypt_text(PG_FUNCTION_ARGS)
{
	return encrypt_value(fcinfo, ENVL_FLAG_TEXT);
}

static Datum
encrypt_bytea(PG_FUNCTION_ARGS)
{
	return encrypt_value(fcinfo, 0);
}

/* ---------------------------------------------------------------- */
/* Decrypting                                                       */
/* ---------------------------------------------------------------- */

/*
 * Refuses to decrypt in ANALYZE of an expression, REFRESH MATERIALIZED VIEW
 * and CREATE INDEX.  They write the result to disk, where this extension must
 * not let plaintexts go.
 */
static void
refuse_maintenance(void)
{
	if (likely(!InSecurityRestrictedOperation()) ||
		pge_allow_maintenance_decrypt)
		return;
	pge_use_end(PGE_NOT_ENTITLED);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot decrypt within a security-restricted operation"),
			 errdetail("ANALYZE, REFRESH MATERIALIZED VIEW and CREATE INDEX would store the plaintext."),
			 errhint("A superuser can set pgenvelope.allow_maintenance_decrypt."),
			 errhidestmt(true), errhidecontext(true)));
}

/* There was nothing to open and no key was used. */
static Datum
return_null(FunctionCallInfo fcinfo)
{
	pge_use_none();
	PG_RETURN_NULL();
}

/* Opens the first argument in the context of the second. */
static bool
open_arguments(FunctionCallInfo fcinfo, PgeOpened *opened, PgeProblem *problem)
{
	const struct varlena *value = pge_getarg_varlena(fcinfo, 0);
	const struct varlena *context = pge_getarg_varlena(fcinfo, 1);
	const text *expected = pge_getarg_varlena(fcinfo, 2);

	pge_catalog_begin();
	return pge_open_to_show(value, pge_context_read(context), expected, opened,
							problem);
}

/* Returns the plaintext as text in the database's encoding, or raises. */
static Datum
show_text(PgeOpened *opened)
{
	envl_view	utf8;
	envl_view	converted;
	text	   *result;
	PgeProblem	problem;

	if (!(opened->flags & ENVL_FLAG_TEXT))
	{
		pge_opened_discard(opened);
		pge_problem(&problem, PGE_WRONG_PAYLOAD, "Use env_decrypt_bytea.",
					"value holds bytes, not text");
		pge_raise(&problem);
	}
	utf8 = pge_varlena_view(opened->plaintext);
	if (!pge_from_utf8(utf8, &converted, &problem))
	{
		pge_opened_discard(opened);
		pge_raise(&problem);
	}
	pge_use_end(PGE_OK);
	if (converted.data == utf8.data)
		PG_RETURN_TEXT_P(opened->plaintext);
	result = cstring_to_text_with_len((const char *) converted.data,
									  (int) converted.len);
	envl_wipe(unconstify(uint8 *, converted.data), converted.len);
	pge_opened_discard(opened);
	PG_RETURN_TEXT_P(result);
}

static Datum
decrypt_text(PG_FUNCTION_ARGS)
{
	PgeOpened	opened;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(PGE_USE_DECRYPT);
	refuse_maintenance();
	if (PG_ARGISNULL(0))
		return return_null(fcinfo);
	if (!open_arguments(fcinfo, &opened, &problem))
		pge_raise(&problem);
	return show_text(&opened);
}

/*
 * NULL for a value that does not open in this context or whose key may not be
 * used for it.  Any other failure concerns the caller or the server rather
 * than the value, so it is an error.
 */
static Datum
try_decrypt(PG_FUNCTION_ARGS)
{
	PgeOpened	opened;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(PGE_USE_DECRYPT);
	refuse_maintenance();
	if (PG_ARGISNULL(0))
		return return_null(fcinfo);
	if (open_arguments(fcinfo, &opened, &problem))
		return show_text(&opened);
	if (problem.outcome != PGE_KEY_NOT_ALLOWED &&
		problem.outcome != PGE_AUTHENTICATION)
		pge_raise(&problem);
	pge_use_end(problem.outcome);
	PG_RETURN_NULL();
}

static Datum
decrypt_bytea(PG_FUNCTION_ARGS)
{
	PgeOpened	opened;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(PGE_USE_DECRYPT);
	refuse_maintenance();
	if (PG_ARGISNULL(0))
		return return_null(fcinfo);
	if (!open_arguments(fcinfo, &opened, &problem))
		pge_raise(&problem);
	pge_use_end(PGE_OK);
	PG_RETURN_BYTEA_P(opened.plaintext);
}

static Datum
verify_value(PG_FUNCTION_ARGS)
{
	const struct varlena *value = pge_getarg_varlena(fcinfo, 0);
	const struct varlena *context = pge_getarg_varlena(fcinfo, 1);
	PgeOpened	opened;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(PGE_USE_VERIFY);
	refuse_maintenance();
	if (value == NULL)
		return return_null(fcinfo);
	pge_catalog_begin();
	if (pge_open(value, pge_context_read(context), NULL, &opened, &problem))
	{
		pge_opened_discard(&opened);
		pge_use_end(PGE_OK);
		PG_RETURN_TEXT_P(cstring_to_text(pge_outcome_name(PGE_OK)));
	}

	/*
	 * A role that may not decrypt must not learn whether a value would open.
	 */
	if (problem.outcome == PGE_NOT_ENTITLED ||
		problem.outcome == PGE_OVER_BUDGET)
		pge_raise(&problem);
	pge_use_end(problem.outcome);
	PG_RETURN_TEXT_P(cstring_to_text(pge_outcome_name(problem.outcome)));
}

/* Seals an opened value in another context, a jsonb datum. */
static struct varlena *
seal_in(PgeOpened *opened, const struct varlena *datum, PgeProblem *problem)
{
	PgeContext *context = pge_context_read(datum);
	PgeKeyVersion *version = pge_writing_version(opened->key, context,
												 problem);
	const envl_bound_context *bound = NULL;

	if (version != NULL)
		bound = pge_key_bind(version->key, context, problem);
	return bound == NULL ?
		NULL :
		pge_seal(version, opened->flags & ENVL_FLAG_TEXT,
				 pge_varlena_view(opened->plaintext), bound, problem);
}

/*
 * Opens a value in one context and seals it again in another, both of them
 * jsonb datums, with the active version of the same key.
 */
static Datum
seal_anew(PgeOperation operation, const struct varlena *value,
		  const struct varlena *old_context, const struct varlena *new_context)
{
	PgeOpened	opened;
	struct varlena *volatile sealed = NULL;
	PgeProblem	problem;

	pge_require_preload();
	pge_use_begin(operation);
	pge_catalog_begin();
	if (!pge_open_to_show(value, pge_context_read(old_context), NULL, &opened,
						  &problem))
		pge_raise(&problem);
	pge_use_end(PGE_OK);
	pge_use_begin(PGE_USE_ENCRYPT);
	PG_TRY();
	{
		sealed = seal_in(&opened, new_context, &problem);
	}
	PG_FINALLY();
	{
		pge_opened_discard(&opened);
	}
	PG_END_TRY();
	if (sealed == NULL)
		pge_raise(&problem);
	pge_use_end(PGE_OK);
	PG_RETURN_POINTER(sealed);
}

static Datum
reencrypt_value(PG_FUNCTION_ARGS)
{
	const struct varlena *context = pge_getarg_varlena(fcinfo, 1);

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return seal_anew(PGE_USE_REENCRYPT, pge_getarg_varlena(fcinfo, 0), context,
					 context);
}

static Datum
rebind_value(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return seal_anew(PGE_USE_REBIND, PG_GETARG_VARLENA_PP(0),
					 pge_getarg_varlena(fcinfo, 1),
					 pge_getarg_varlena(fcinfo, 2));
}

/* ---------------------------------------------------------------- */
/* What SQL calls                                                   */
/* ---------------------------------------------------------------- */

Datum
pgenvelope_encrypt_text(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(encrypt_text, fcinfo);
}

Datum
pgenvelope_encrypt_bytea(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(encrypt_bytea, fcinfo);
}

Datum
pgenvelope_decrypt_text(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(decrypt_text, fcinfo);
}

Datum
pgenvelope_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(decrypt_bytea, fcinfo);
}

Datum
pgenvelope_try_decrypt(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(try_decrypt, fcinfo);
}

Datum
pgenvelope_verify(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(verify_value, fcinfo);
}

Datum
pgenvelope_reencrypt(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(reencrypt_value, fcinfo);
}

Datum
pgenvelope_rebind(PG_FUNCTION_ARGS)
{
	return pge_call_hidden(rebind_value, fcinfo);
}
