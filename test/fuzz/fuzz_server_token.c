/*
 * fuzz_server_token.c
 *	  Any bytes as JSON, as a session's token, as its claims, and as a set of
 *	  keys, in fields with a NUL between them, by the server's own files and
 *	  PostgreSQL's parser.  Memory is of exactly the size that is asked for.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "core/envl_string.h"
#include "fuzz.h"
#include "context/pge_token.h"

/* ---------------------------------------------------------------- */
/* Memory, in the place of PostgreSQL's                             */
/* ---------------------------------------------------------------- */

typedef struct Chunk
{
	struct Chunk *next;
	void	   *memory;
} Chunk;

static Chunk *chunks;

void *
palloc(Size size)
{
	Chunk	   *chunk = fuzz_alloc(sizeof(Chunk));

	*chunk = (Chunk) {chunks, fuzz_alloc(size)};
	chunks = chunk;
	return chunk->memory;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

/* Nothing copies a string, as secrets would be left behind. */
char *
pstrdup(const char *in)
{
	CHECK(in == NULL);
	return NULL;
}

void *
repalloc(void *pointer, Size size)
{
	CHECK(pointer == NULL && size == 0);
	return NULL;
}

void
pfree(void *pointer)
{
	CHECK(pointer == NULL);
}

static void
free_chunks(void)
{
	while (chunks != NULL)
	{
		Chunk	   *chunk = chunks;

		chunks = chunk->next;
		free(chunk->memory);
		free(chunk);
	}
}

/* ---------------------------------------------------------------- */
/* The target                                                       */
/* ---------------------------------------------------------------- */

static uint8 *
copy_of(envl_view bytes)
{
	return memcpy(palloc(bytes.len), bytes.data, bytes.len);
}

/* Whatever was read is walked to its end: UTF-8, and no name twice. */
static void
walk(const PgeJson *value, envl_view text)
{
	int			count = 0;

	for (const PgeJson *child = value->first; child; child = child->next)
	{
		CHECK(child->text.data >= text.data &&
			  child->text.data + child->text.len <= text.data + text.len);
		CHECK(envl_utf8_valid(child->text));
		CHECK(child->name.data == NULL || envl_utf8_valid(child->name));
		for (const PgeJson *other = child->next;
			 child->name.data != NULL && other != NULL; other = other->next)
			CHECK(!envl_view_equal(other->name, child->name));
		CHECK(child->name.data == NULL || ++count <= PGE_JSON_MEMBERS_MAX);
		walk(child, text);
	}
}

static void
try_claims(envl_view payload)
{
	size_t		len = envl_base64_encoded_len(ENVL_BASE64_URL, payload.len);
	char	   *base64 = palloc(len);
	PgeToken	token = {.payload = {(const uint8 *) base64, len}};
	PgeClaims	claims;
	envl_spelled spelled[PGE_CLAIMS_MEMBERS_MAX];
	uint8	   *canonical = palloc(ENVL_CONTEXT_MAX);

	envl_base64_encode(ENVL_BASE64_URL, payload, base64);
	if (!pge_token_claims(&token, &claims))
		return;
	CHECK(claims.expires >= 0 && claims.not_before >= 0 && claims.issued >= 0);
	CHECK(claims.member_count > 0);
	(void) pge_claims_are_for(&claims, ENVL_LITERAL("app"));
	if (envl_context_encode(claims.members, claims.member_count, canonical,
							&len, spelled) == ENVL_OK)
		CHECK(envl_context_validate((envl_view) {canonical, len}) == ENVL_OK);
}

/* A kid leads to a key of a set, or to nothing; no set is half read. */
static void
try_token(envl_view text, envl_view set)
{
	PgeToken	token;
	PgeVerdict	verdict;

	if (!pge_token_parse(text, &token))
		token = (PgeToken) {.alg = ENVL_JWS_HS256, .kid = ENVL_LITERAL("a")};
	pge_token_verify(&token, copy_of(set), set.len, &verdict);
	CHECK(verdict.status == ENVL_OK || verdict.reason != NULL);
	CHECK(verdict.status != ENVL_CRYPTO_FAILED);
	CHECK(verdict.place >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};
	envl_reader reader = envl_reader_over(input);
	envl_view	token = fuzz_next_field(&reader, 0);
	envl_view	set = fuzz_next_field(&reader, 0);
	uint8	   *text = copy_of(input);
	const PgeJson *value = pge_json_read(text, size);

	if (value != NULL)
		walk(value, (envl_view) {text, size});
	try_claims(input);
	try_token(token, set);
	free_chunks();
	return 0;
}
