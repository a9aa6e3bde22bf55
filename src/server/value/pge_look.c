/*
 * pge_look.c
 *	  What needs no key: env_inspect, env_key and env_key_version, and values
 *	  as JWEs, env_to_jwe and env_from_jwe.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "base/pge_getarg.h"
#include "core/envl_jwe.h"
#include "value/pge_value.h"
#include "value/pge_value_settings.h"

PG_FUNCTION_INFO_V1(pgenvelope_inspect);
PG_FUNCTION_INFO_V1(pgenvelope_key);
PG_FUNCTION_INFO_V1(pgenvelope_key_version);
PG_FUNCTION_INFO_V1(pgenvelope_to_jwe);
PG_FUNCTION_INFO_V1(pgenvelope_from_jwe);

/* Raises an error unless a stored value's status is ENVL_OK. */
static void
check_status(envl_status status)
{
	PgeProblem	problem;

	if (unlikely(!pge_problem_core(&problem, status)))
		pge_raise(&problem);
}

/* Parses the header of a value; detoasts only that much. */
static void
parse_header(Datum datum, envl_envelope *envelope)
{
	struct varlena *slice = PG_DETOAST_DATUM_SLICE(datum, 0, ENVL_HEADER_LEN);

	check_status(envl_header_parse(pge_varlena_view(slice), envelope));
}

Datum
pgenvelope_key_version(PG_FUNCTION_ARGS)
{
	envl_envelope envelope;

	parse_header(PG_GETARG_DATUM(0), &envelope);
	PG_RETURN_INT32(envelope.key_version);
}

Datum
pgenvelope_key(PG_FUNCTION_ARGS)
{
	envl_envelope envelope;
	PgeKey	   *key;

	parse_header(PG_GETARG_DATUM(0), &envelope);
	pge_catalog_begin();
	key = pge_key_by_id(envelope.key_id);
	if (key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(key->name));
}

/* ---------------------------------------------------------------- */
/* JSON                                                             */
/* ---------------------------------------------------------------- */

static void
append_member(StringInfo json, const char *name, envl_view value)
{
	if (json->data[json->len - 1] != '{')
		appendStringInfoChar(json, ',');
	escape_json(json, name);
	appendStringInfoChar(json, ':');
	escape_json(json, pnstrdup((const char *) value.data, value.len));
}

static void
append_cstring(StringInfo json, const char *name, const char *value)
{
	append_member(json, name, pge_cstring_view(value));
}

/* Makes a jsonb of the text; PostgreSQL raises 54000 if it is too long. */
static Datum
finish_json(StringInfo json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json->data));
}

static void
append_hex(StringInfo json, const char *name, envl_view bytes)
{
	char	   *hex = palloc(bytes.len * 2 + 1);

	for (size_t i = 0; i < bytes.len; i++)
		sprintf(hex + 2 * i, "%02x", bytes.data[i]);
	hex[bytes.len * 2] = '\0';
	append_cstring(json, name, hex);
}

/* Whether canonical JSON contains U+0000, which no jsonb can hold. */
static bool
holds_nul(envl_view json)
{
	const envl_view nul = ENVL_LITERAL("\\u0000");

	for (size_t i = 0; i + nul.len <= json.len; i++)
	{
		if (json.data[i] != '\\')
			continue;
		if (memcmp(json.data + i, nul.data, nul.len) == 0)
			return true;
		i++;					/* skip the escaped character */
	}
	return false;
}

/*
 * Shows the stored context, and marks it as stored: any writer of the row may
 * have made it up.  If it is no jsonb of this database, shows null, so that no
 * row makes a census fail.
 */
static void
append_stored_context(StringInfo json, envl_view context)
{
	envl_view	text = ENVL_LITERAL("null");
	envl_view	converted;
	PgeProblem	problem;

	if (context.data == NULL)
		return;
	if (!holds_nul(context) && pge_from_utf8(context, &converted, &problem))
		text = converted;
	appendStringInfo(json, ",\"stored_context\":%.*s,\"stored_context_verified\":false",
					 (int) text.len, (const char *) text.data);
}

Datum
pgenvelope_inspect(PG_FUNCTION_ARGS)
{
	envl_view	bytes = pge_varlena_view(PG_GETARG_VARLENA_PP(0));
	envl_envelope envelope;
	PgeKey	   *key;
	StringInfoData json;

	check_status(envl_envelope_parse(bytes, &envelope));
	pge_catalog_begin();
	key = pge_key_by_id(envelope.key_id);

	initStringInfo(&json);
	appendStringInfo(&json, "{\"format\":%d", 1);
	append_cstring(&json, "suite", envelope.suite->name);
	if (key != NULL)
		append_cstring(&json, "key", key->name);
	else
		appendStringInfoString(&json, ",\"key\":null");
	appendStringInfo(&json, ",\"key_id\":\"%012llx\"",
					 (unsigned long long) envelope.key_id);
	appendStringInfo(&json, ",\"key_version\":%u", envelope.key_version);
	append_cstring(&json, "payload",
				   envelope.flags & ENVL_FLAG_TEXT ? "text" : "bytea");
	appendStringInfo(&json, ",\"padded\":%s",
					 envelope.flags & ENVL_FLAG_PADDED ? "true" : "false");
	append_hex(&json, "nonce", (envl_view) {envelope.nonce, ENVL_NONCE_LEN});
	appendStringInfo(&json, ",\"length\":%zu,\"ciphertext_length\":%zu",
					 bytes.len, envelope.ciphertext.len);
	append_stored_context(&json, envelope.context);
	appendStringInfoChar(&json, '}');
	return finish_json(&json);
}

/* ---------------------------------------------------------------- */
/* JWE                                                              */
/* ---------------------------------------------------------------- */

/* Appends the recipient's members, the only ones that a rewrap changes. */
static void
append_recipient(StringInfo json, const envl_jwe *jwe)
{
	appendStringInfoString(json, "\"header\":{");
	append_member(json, "alg", jwe->alg);
	append_member(json, "kid", jwe->kid);
	appendStringInfoChar(json, '}');
	append_member(json, "encrypted_key", jwe->encrypted_key);
}

static Datum
jwe_to_jsonb(const envl_jwe *jwe, bool general)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_member(&json, "protected", jwe->protected_header);
	appendStringInfoString(&json, general ? ",\"recipients\":[{" : ",");
	append_recipient(&json, jwe);
	if (general)
		appendStringInfoString(&json, "}]");
	append_member(&json, "aad", jwe->aad);
	append_member(&json, "iv", jwe->iv);
	append_member(&json, "ciphertext", jwe->ciphertext);
	append_member(&json, "tag", jwe->tag);
	appendStringInfoChar(&json, '}');
	return finish_json(&json);
}

Datum
pgenvelope_to_jwe(PG_FUNCTION_ARGS)
{
	envl_view	bytes;
	envl_envelope envelope;
	const envl_bound_context *bound;
	char		kid[ENVL_KID_SIZE];
	char	   *buffer;
	size_t		buffer_len;
	PgeKey	   *key;
	envl_jwe	jwe;
	PgeProblem	problem;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	bytes = pge_varlena_view(PG_GETARG_VARLENA_PP(0));
	check_status(envl_envelope_parse(bytes, &envelope));
	pge_catalog_begin();
	key = pge_key_by_id(envelope.key_id);
	if (key == NULL)
	{
		pge_problem(&problem, PGE_KEY_NOT_FOUND, NULL,
					"the value's key does not exist in this database");
		pge_problem_detail(&problem, "Its id is %012llx.",
						   (unsigned long long) envelope.key_id);
		pge_raise(&problem);
	}
	bound = pge_key_bind(key, pge_context_read(pge_getarg_varlena(fcinfo, 1)),
						 &problem);
	if (bound == NULL)
		pge_raise(&problem);
	envl_kid_format(key->name, envelope.key_id, envelope.key_version, kid);
	buffer_len = envl_jwe_buffer_len(&envelope, bound);
	if (!AllocSizeIsValid(buffer_len))
	{
		pge_problem(&problem, PGE_LIMIT, NULL,
					"value is too long to be written as JSON");
		pge_raise(&problem);
	}
	buffer = palloc(buffer_len);
	check_status(envl_jwe_from_envelope(&envelope, bound,
										pge_cstring_view(kid), buffer,
										&jwe));
	return jwe_to_jsonb(&jwe, pge_getarg_bool(fcinfo, 2, false));
}

/* Raises: the argument of env_from_jwe is not what env_to_jwe makes. */
static void
refuse_jwe(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("JWE is not one that pgenvelope makes"),
			 errdetail_internal("%s", detail),
			 errhidestmt(true), errhidecontext(true)));
}

/* Takes a member that must have a certain type, and counts it. */
static JsonbValue *
take_member(JsonbContainer *object, const char *name, int type, int *taken)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, name,
													 (int) strlen(name),
													 NULL);

	if (value == NULL || (int) value->type != type)
		refuse_jwe("A member is missing, or not of its type.");
	(*taken)++;
	return value;
}

static envl_view
take_string(JsonbContainer *object, const char *name, int *taken)
{
	JsonbValue *value = take_member(object, name, jbvString, taken);

	return (envl_view) {
		(const uint8 *) value->val.string.val, value->val.string.len};
}

/* Takes the recipient's members; *taken counts those of the object itself. */
static void
take_recipient(JsonbContainer *object, envl_jwe *jwe, int *taken)
{
	JsonbContainer *header = take_member(object, "header", jbvBinary,
										 taken)
								 ->val.binary.data;
	int			in_header = 0;

	if (!JsonContainerIsObject(header))
		refuse_jwe("Its header is not an object.");
	jwe->alg = take_string(header, "alg", &in_header);
	jwe->kid = take_string(header, "kid", &in_header);
	if ((int) JsonContainerSize(header) != in_header)
		refuse_jwe("Its header has a member too many.");
	jwe->encrypted_key = take_string(object, "encrypted_key", taken);
}

/* Takes the only recipient of the general form, or the object itself. */
static void
take_recipients(JsonbContainer *object, envl_jwe *jwe, int *taken)
{
	JsonbValue *recipients = getKeyJsonValueFromContainer(object,
														  "recipients", 10,
														  NULL);
	JsonbContainer *array;
	JsonbValue *recipient;
	int			in_recipient = 0;

	if (recipients == NULL)
	{
		take_recipient(object, jwe, taken);
		return;
	}
	(*taken)++;
	array = recipients->type == jbvBinary ? recipients->val.binary.data : NULL;
	if (array == NULL || !JsonContainerIsArray(array) ||
		JsonContainerSize(array) != 1)
		refuse_jwe("It does not have one recipient.");
	recipient = getIthJsonbValueFromContainer(array, 0);
	if (recipient->type != jbvBinary ||
		!JsonContainerIsObject(recipient->val.binary.data))
		refuse_jwe("Its recipient is not an object.");
	take_recipient(recipient->val.binary.data, jwe, &in_recipient);
	if ((int) JsonContainerSize(recipient->val.binary.data) != in_recipient)
		refuse_jwe("Its recipient has a member too many.");
}

Datum
pgenvelope_from_jwe(PG_FUNCTION_ARGS)
{
	Jsonb	   *object = PG_GETARG_JSONB_P(0);
	int			taken = 0;
	envl_jwe	jwe;
	struct varlena *value;
	size_t		len;
	envl_status status;

	if (!JB_ROOT_IS_OBJECT(object))
		refuse_jwe("It is not an object.");
	jwe.protected_header = take_string(&object->root, "protected", &taken);
	take_recipients(&object->root, &jwe, &taken);
	jwe.aad = take_string(&object->root, "aad", &taken);
	jwe.iv = take_string(&object->root, "iv", &taken);
	jwe.ciphertext = take_string(&object->root, "ciphertext", &taken);
	jwe.tag = take_string(&object->root, "tag", &taken);
	if ((int) JB_ROOT_COUNT(object) != taken)
		refuse_jwe("It has a member too many.");

	value = palloc(VARHDRSZ + envl_jwe_envelope_max(&jwe));
	status = envl_jwe_to_envelope(&jwe, pge_store_context,
								  (uint8 *) VARDATA(value), &len);
	if (status == ENVL_UNSUPPORTED)
		refuse_jwe("Its algorithms or protected header are others.");
	if (status != ENVL_OK)
		refuse_jwe("One of its members is malformed.");
	SET_VARSIZE(value, VARHDRSZ + len);
	PG_RETURN_POINTER(value);
}
