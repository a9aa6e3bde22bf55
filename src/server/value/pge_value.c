/*
 * pge_value.c
 *	  Sealing and opening values.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_use.h"
#include "keys/pge_kek.h"
#include "rights/pge_entitlement.h"
#include "rights/pge_honey.h"
#include "rights/pge_limit.h"
#include "value/pge_value.h"
#include "value/pge_value_settings.h"

/* ---------------------------------------------------------------- */
/* Sealing                                                          */
/* ---------------------------------------------------------------- */

/* Refuses an audit key: its KEK is only for the chain. */
static bool
seals_values(const PgeKey *key, PgeProblem *problem)
{
	return likely(!key->is_audit) ||
		pge_problem(problem, PGE_KEY_NOT_ALLOWED,
					"Create a key for values with pgenvelope.create_key.",
					"key \"%s\" is the audit's", key->name);
}

PgeKeyVersion *
pge_writing_version(PgeKey *key, PgeContext *context, PgeProblem *problem)
{
	PgeKeyVersion *version;

	pge_use_key(key->key_id, key->name);
	if (!pge_entitled(key, PGE_ENCRYPT, context, problem) ||
		!seals_values(key, problem))
		return NULL;
	version = pge_key_writer(key);
	if (likely(version != NULL))
		pge_use_version(key->key_id, (uint16) version->version);
	else
		pge_problem(problem, PGE_KEY_NOT_ALLOWED, NULL,
					"key \"%s\" has no active version", key->name);
	return version;
}

PgeKeyVersion *
pge_encrypting_version(const text *name, PgeContext *context,
					   PgeProblem *problem)
{
	envl_view	wanted = name != NULL ? pge_varlena_view(name) :
										pge_cstring_view(pge_default_key);
	PgeKey	   *key;

	if (unlikely(wanted.len == 0))
	{
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"Name a key as the last argument, or set pgenvelope.default_key.",
					"no key to encrypt with");
		return NULL;
	}
	key = pge_key_by_name((const char *) wanted.data, wanted.len);
	if (likely(key != NULL))
		return pge_writing_version(key, context, problem);

	/*
	 * Do not quote the name: someone may pass the plaintext as the last
	 * argument.
	 */
	if (name != NULL)
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"The view pgenvelope.keys lists the keys.",
					"the key that the call names does not exist");
	else
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"Create it with pgenvelope.create_key, or set pgenvelope.default_key.",
					"key \"%.*s\" does not exist",
					pge_shown_len(wanted, ENVL_KEY_NAME_MAX),
					(const char *) wanted.data);
	return NULL;
}

struct varlena *
pge_seal(PgeKeyVersion *version, uint8 flags, envl_view plaintext,
		 const envl_bound_context *context, PgeProblem *problem)
{
	PgeKek	   *kek = pge_kek_get(version, problem);
	envl_payload payload;
	struct varlena *value;
	size_t		size;
	envl_status status;

	if (unlikely(kek == NULL))
		return NULL;
	pge_kek_prepare_seal(kek);

	payload.key_id = version->key_id;
	payload.key_version = (uint16) version->version;
	payload.flags = flags | (pge_store_context ? ENVL_FLAG_CONTEXT : 0) |
		(pge_padding > 0 ? ENVL_FLAG_PADDED : 0);
	payload.padding = pge_padding;
	payload.moment_us = GetCurrentStatementStartTimestamp();
	payload.plaintext = plaintext;
	size = envl_value_size(&payload, context);
	if (unlikely(size == 0))
	{
		pge_problem_core(problem, ENVL_LIMIT);
		return NULL;
	}
	value = palloc(VARHDRSZ + size);
	SET_VARSIZE(value, VARHDRSZ + size);
	status = envl_value_seal(pge_sealer(), &kek->kek, &kek->pool, &payload,
							 context, (uint8 *) VARDATA(value));
	if (likely(status == ENVL_OK))
		return value;
	pfree(value);
	pge_problem_core(problem, status);
	return NULL;
}

/* ---------------------------------------------------------------- */
/* Opening                                                          */
/* ---------------------------------------------------------------- */

/*
 * Checks the current user's privilege in a context or, if context is NULL, in
 * every context.
 */
static bool
check_right(PgeKey *key, PgePrivilege privilege, PgeContext *context,
			PgeProblem *problem)
{
	if (context == NULL)
		return pge_require_privilege(key, privilege, problem);
	return pge_entitled(key, privilege, context, problem) != NULL;
}

PgeKeyVersion *
pge_version_of(const envl_envelope *envelope, PgePrivilege privilege,
			   PgeContext *context, const text *expected, PgeProblem *problem)
{
	PgeKey	   *key = pge_key_by_id(envelope->key_id);
	PgeKeyVersion *version;

	pge_use_version(envelope->key_id, envelope->key_version);
	if (key == NULL)
	{
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"The value comes from another database, or its key's rows were not restored.",
					"the value's key does not exist in this database");
		pge_problem_detail(problem, "Its id is %012llx.",
						   (unsigned long long) envelope->key_id);
		return NULL;
	}
	pge_use_key(key->key_id, key->name);
	if (privilege != PGE_NO_PRIVILEGE &&
		!check_right(key, privilege, context, problem))
		return NULL;
	if (!seals_values(key, problem))
		return NULL;
	if (expected != NULL)
	{
		if (!envl_view_equal(pge_varlena_view(expected),
							 pge_cstring_view(key->name)))
		{
			pge_problem(problem, PGE_KEY_NOT_ALLOWED, NULL,
						"value is encrypted with key \"%s\", not with the key given",
						key->name);
			return NULL;
		}
	}
	version = pge_key_version(key, envelope->key_version);
	if (version == NULL)
		pge_problem(problem, PGE_KEY_NOT_FOUND,
					"Restore the row of pgenvelope.key_version that it was encrypted with.",
					"key \"%s\" has no version %u", key->name,
					envelope->key_version);
	else if (version->state == PGE_STATE_RETIRED ||
			 version->state == PGE_STATE_DESTROYED)
	{
		pge_problem(problem, PGE_KEY_NOT_ALLOWED, NULL,
					"version %u of key \"%s\" no longer decrypts",
					envelope->key_version, key->name);
		pge_problem_detail(problem, "It is %s.",
						   version->state == PGE_STATE_RETIRED ?
							   "retired" :
							   "destroyed");
		version = NULL;
	}
	return version;
}

bool
pge_open_with(PgeKeyVersion *version, const envl_envelope *envelope,
			  const envl_bound_context *context, PgeOpened *opened,
			  PgeProblem *problem)
{
	PgeKek	   *kek = pge_kek_get(version, problem);
	size_t		len;
	envl_status status;

	if (unlikely(kek == NULL))
		return false;
	opened->plaintext = palloc(VARHDRSZ + envelope->ciphertext.len);
	status = envl_value_open(&pge_sealer()->engine, &kek->kek, envelope,
							 context, (uint8 *) VARDATA(opened->plaintext),
							 &len);
	if (unlikely(status != ENVL_OK))
	{
		pfree(opened->plaintext);
		return pge_problem_core(problem, status);
	}
	SET_VARSIZE(opened->plaintext, VARHDRSZ + len);
	opened->flags = envelope->flags;
	opened->key = version->key;
	opened->version = version;
	return true;
}

bool
pge_open(const struct varlena *value, PgeContext *context,
		 const text *expected, PgeOpened *opened, PgeProblem *problem)
{
	envl_envelope envelope;
	const envl_bound_context *bound;
	PgeKeyVersion *version;
	envl_status status;

	status = envl_envelope_parse(pge_varlena_view(value), &envelope);
	if (unlikely(status != ENVL_OK))
		return pge_problem_core(problem, status);
	version = pge_version_of(&envelope, PGE_DECRYPT, context, expected,
							 problem);
	if (unlikely(version == NULL))
		return false;
	bound = pge_key_bind(version->key, context, problem);
	if (unlikely(bound == NULL) ||
		(pge_limit_applies(version->key) &&
		 !pge_limit_admit(version->key, context, problem)))
		return false;
	return pge_open_with(version, &envelope, bound, opened, problem);
}

/* What was opened is not shown unless it is known whether it is honey. */
static bool
heed_honey(const struct varlena *value, PgeContext *context, PgeOpened *opened,
		   PgeProblem *problem)
{
	volatile bool is_heeded = false;

	PG_TRY();
	{
		is_heeded = pge_honey_heed(opened->version, pge_varlena_view(value),
								   context, problem);
	}
	PG_CATCH();
	{
		pge_opened_discard(opened);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!is_heeded)
		pge_opened_discard(opened);
	return is_heeded;
}

bool
pge_open_to_show(const struct varlena *value, PgeContext *context,
				 const text *expected, PgeOpened *opened, PgeProblem *problem)
{
	return pge_open(value, context, expected, opened, problem) &&
		(!pge_honey_applies(opened->key) ||
		 heed_honey(value, context, opened, problem));
}

void
pge_opened_discard(PgeOpened *opened)
{
	envl_wipe(VARDATA(opened->plaintext),
			  VARSIZE(opened->plaintext) - VARHDRSZ);
	pfree(opened->plaintext);
}

struct varlena *
pge_seal_opened(PgeKeyVersion *version, PgeOpened *opened,
				const envl_bound_context *context, PgeProblem *problem)
{
	struct varlena *volatile sealed = NULL;

	PG_TRY();
	{
		sealed = pge_seal(version, opened->flags & ENVL_FLAG_TEXT,
						  pge_varlena_view(opened->plaintext), context,
						  problem);
	}
	PG_CATCH();
	{
		pge_opened_discard(opened);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pge_opened_discard(opened);
	return sealed;
}
