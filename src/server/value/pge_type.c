/*
 * pge_type.c
 *	  The type envelope: input, output, equality, hash, statistics.
 *
 * None of this needs a key, shared memory or the catalog, so that values can
 * be dumped, restored and replicated anywhere.  Input checks the structure and
 * never quotes its argument: someone will insert a plaintext into the wrong
 * column.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/detoast.h"
#include "commands/vacuum.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"

#include "base/pge_compat.h"
#include "base/pge_encoding.h"
#include "value/pge_type.h"
#include "value/pge_value.h"

PG_FUNCTION_INFO_V1(pgenvelope_in);
PG_FUNCTION_INFO_V1(pgenvelope_out);
PG_FUNCTION_INFO_V1(pgenvelope_recv);
PG_FUNCTION_INFO_V1(pgenvelope_send);
PG_FUNCTION_INFO_V1(pgenvelope_eq);
PG_FUNCTION_INFO_V1(pgenvelope_ne);
PG_FUNCTION_INFO_V1(pgenvelope_hash);
PG_FUNCTION_INFO_V1(pgenvelope_hash_extended);
PG_FUNCTION_INFO_V1(pgenvelope_typanalyze);

/* Which rule the input breaks, without quoting the input. */
static const char *
broken_rule(envl_status status)
{
	switch (status)
	{
		case ENVL_UNSUPPORTED:
			return "It has a format, suite or flag of a later version.";
		case ENVL_LIMIT:
			return "It is longer than the format allows.";
		default:
			return "It is not an envelope: \"env1.\" and base64url of one.";
	}
}

Datum
pgenvelope_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	size_t		len = strlen(text);
	bytea	   *value = palloc(VARHDRSZ + envl_text_decoded_max(len));
	uint8	   *bytes = (uint8 *) VARDATA(value);
	size_t		bytes_len;
	envl_envelope envelope;
	envl_status status;

	status = envl_text_decode((envl_view) {(const uint8 *) text, len}, bytes,
							  &bytes_len);
	if (status == ENVL_OK)
		status = envl_envelope_parse((envl_view) {bytes, bytes_len},
									 &envelope);
	if (status != ENVL_OK)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type envelope"),
				 errdetail_internal("%s", broken_rule(status)),
				 errhint("Encrypt with env_encrypt."),
				 errhidestmt(true), errhidecontext(true)));
	SET_VARSIZE(value, VARHDRSZ + bytes_len);
	PG_RETURN_BYTEA_P(value);
}

Datum
pgenvelope_out(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	envl_view	bytes = pge_varlena_view(value);
	size_t		len = envl_text_len(bytes.len);
	char	   *text;

	if (!AllocSizeIsValid(len + 1))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("envelope is too long for its text form"),
				 errhint("Use the binary format.")));
	text = palloc(len + 1);
	envl_text_encode(bytes, text);
	text[len] = '\0';
	PG_RETURN_CSTRING(text);
}

Datum
pgenvelope_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			len = message->len - message->cursor;
	bytea	   *value = palloc(VARHDRSZ + len);
	envl_envelope envelope;
	envl_status status;

	pq_copymsgbytes(message, VARDATA(value), len);
	status = envl_envelope_parse((envl_view) {(uint8 *) VARDATA(value), len},
								 &envelope);
	if (status != ENVL_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary format for type envelope"),
				 errdetail_internal("%s", broken_rule(status)),
				 errhidestmt(true), errhidecontext(true)));
	SET_VARSIZE(value, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(value);
}

Datum
pgenvelope_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

static bool
same_payload(FunctionCallInfo fcinfo)
{
	struct varlena *a;
	struct varlena *b;
	bool		same;

	/* Values of different length differ; do not fetch them. */
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) !=
		toast_raw_datum_size(PG_GETARG_DATUM(1)))
		return false;
	a = PG_GETARG_VARLENA_PP(0);
	b = PG_GETARG_VARLENA_PP(1);
	same = envl_sealed_equal(pge_varlena_view(a), pge_varlena_view(b));

	/* Logical replication compares a whole table in one memory context. */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return same;
}

Datum
pgenvelope_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(same_payload(fcinfo));
}

Datum
pgenvelope_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!same_payload(fcinfo));
}

/* Nonce and tag: as good as random, and unchanged by a rewrap. */
#define HASHED_LEN (ENVL_NONCE_LEN + ENVL_TAG_LEN)

static void
copy_hashed(Datum datum, uint8 *out)
{
	int32		len = (int32) toast_raw_datum_size(datum) - VARHDRSZ;
	struct varlena *nonce;
	struct varlena *tag;

	if (len < ENVL_OVERHEAD)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored envelope is damaged")));
	nonce = PG_DETOAST_DATUM_SLICE(datum, ENVL_OFFSET_NONCE, ENVL_NONCE_LEN);
	tag = PG_DETOAST_DATUM_SLICE(datum, len - ENVL_TAG_LEN, ENVL_TAG_LEN);
	memcpy(out, VARDATA_ANY(nonce), ENVL_NONCE_LEN);
	memcpy(out + ENVL_NONCE_LEN, VARDATA_ANY(tag), ENVL_TAG_LEN);

	/* A slice is always a copy, and an index build uses one memory context. */
	pfree(nonce);
	pfree(tag);
}

Datum
pgenvelope_hash(PG_FUNCTION_ARGS)
{
	uint8		bytes[HASHED_LEN];

	copy_hashed(PG_GETARG_DATUM(0), bytes);
	return hash_any(bytes, sizeof(bytes));
}

Datum
pgenvelope_hash_extended(PG_FUNCTION_ARGS)
{
	uint8		bytes[HASHED_LEN];

	copy_hashed(PG_GETARG_DATUM(0), bytes);
	return hash_any_extended(bytes, sizeof(bytes), PG_GETARG_INT64(1));
}

/*
 * All values differ, and none should be copied into pg_statistic.  What
 * remains useful is how many are null and how wide they are.
 */
static void
compute_statistics(VacAttrStatsP stats, AnalyzeAttrFetchFunc fetch,
				   int sample_rows, double total_rows)
{
	int			nulls = 0;
	double		width = 0;

	for (int i = 0; i < sample_rows; i++)
	{
		bool		isnull;
		Datum		value = fetch(stats, i, &isnull);

		vacuum_delay_point_compat();
		if (isnull)
			nulls++;
		else
			width += VARSIZE_ANY(DatumGetPointer(value));
	}
	if (sample_rows == 0)
		return;
	stats->stats_valid = true;
	stats->stanullfrac = (double) nulls / sample_rows;
	if (nulls == sample_rows)
		return;
	stats->stawidth = width / (sample_rows - nulls);
	stats->stadistinct = -1.0 * (1.0 - stats->stanullfrac);
}

Datum
pgenvelope_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	stats->compute_stats = compute_statistics;
	stats->minrows = 300;
	PG_RETURN_BOOL(true);
}
