/*
 * test_claims.c
 *	  What a session's token may claim.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "core/envl_claims.h"
#include "unit.h"

static envl_claims claims;

/* A payload of exp, aud and ctx, with one of them replaced. */
static envl_status
read_with(const char *exp, const char *aud, const char *ctx,
		  const char *others)
{
	static char payload[9000];

	sprintf(payload, "{\"exp\":%s,\"aud\":%s,\"ctx\":%s%s}", exp, aud, ctx,
			others);
	return envl_claims_read(text_view(payload), &claims);
}

static void
test_good(void)
{
	envl_member *member = claims.members;

	is_status(read_with("1700000000.9", "[\"x\",\"\\u0061pp\"]",
						"{\"te\\u006eant\":\"\\u00e4\",\"id\":-7,\"a\":true,"
						"\"b\":false}",
						",\"nbf\":1,\"iat\":2.5,\"ctx_scope\":\"session\","
						"\"sub\":null"),
			  ENVL_OK, "claims");
	is(claims.expires, 1700000000, "exp");
	is(claims.not_before, 1, "nbf");
	is(claims.issued, 2, "iat");
	ok(claims.is_issued && claims.for_session, "issued, for the session");
	is((long long) claims.member_count, 4, "members");
	is_bytes(member[0].name, text_view("tenant"), "a name");
	is_bytes(member[0].string, text_view("\xc3\xa4"), "a string");
	is(member[0].type, ENVL_MEMBER_STRING, "is one");
	is(member[1].integer, -7, "an integer");
	is(member[1].type, ENVL_MEMBER_INTEGER, "is one");
	ok(member[2].boolean && !member[3].boolean, "booleans");
	is(member[3].type, ENVL_MEMBER_BOOLEAN, "are two");
	ok(envl_claims_are_for(&claims, text_view("app")), "for app");
	ok(!envl_claims_are_for(&claims, text_view("ap")), "not for ap");

	is_status(read_with("0", "\"app\"", "{\"a\":0}", ""), ENVL_OK,
			  "the least");
	ok(!claims.is_issued && !claims.for_session && claims.not_before == 0,
	   "not issued, for the transaction");
	ok(envl_claims_are_for(&claims, text_view("app")), "for app");
	ok(!envl_claims_are_for(&claims, text_view("apps")), "not for apps");
	is_status(read_with("0", "[]", "{\"a\":0}", ""), ENVL_OK,
			  "for nobody");
	ok(!envl_claims_are_for(&claims, text_view("")), "not even for \"\"");
}

static void
test_bad(void)
{
	static const char *const times[] = {
		"-1", "\"1\"", "null", "1e3", "1.5E3", "12345678901234567"};
	static const char *const audiences[] = {
		"null", "1", "{}", "[1]", "[\"a\",null]", "[[\"a\"]]"};
	static const char *const contexts[] = {
		"null", "[]", "\"a\"", "{}", "{\"a\":null}", "{\"a\":\"\"}",
		"{\"\":1}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":1.5}", "{\"a\":1e3}",
		"{\"a\":12345678901234567}", "{\"a\":\"x\\u0000\"}",
		"{\"\\u0000\":1}", "{\"a\":1,\"a\":2}"};
	static const char *const others[] = {
		",\"nbf\":\"1\"", ",\"iat\":null", ",\"ctx_scope\":\"transaction\"",
		",\"ctx_scope\":true", ",\"exp\":1", ",\"\\u0065xp\":1"};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		is_status(read_with(times[i], "\"a\"", "{\"a\":1}", ""),
				  ENVL_MALFORMED, "exp %s", times[i]);
	for (size_t i = 0; i < sizeof(audiences) / sizeof(audiences[0]); i++)
		is_status(read_with("1", audiences[i], "{\"a\":1}", ""),
				  ENVL_MALFORMED, "aud %s", audiences[i]);
	for (size_t i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++)
		is_status(read_with("1", "\"a\"", contexts[i], ""), ENVL_MALFORMED,
				  "ctx %s", contexts[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		is_status(read_with("1", "\"a\"", "{\"a\":1}", others[i]),
				  ENVL_MALFORMED, "with %s", others[i]);
}

static void
test_missing(void)
{
	static const char *const payloads[] = {
		"", "[]", "1", "{}", "{\"exp\":1}", "{\"exp\":1,\"aud\":\"a\"}",
		"{\"exp\":1,\"ctx\":{\"a\":1}}", "{\"aud\":\"a\",\"ctx\":{\"a\":1}}"};

	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
		is_status(envl_claims_read(text_view(payloads[i]), &claims),
				  ENVL_MALFORMED, "%s", payloads[i]);
}

static void
test_limits(void)
{
	static char text[ENVL_JWS_PAYLOAD_MAX + 2];
	char		context[1000] = "{";

	for (int i = 0; i < ENVL_CLAIMS_MEMBERS_MAX; i++)
		sprintf(context + strlen(context), "%s\"m%d\":0", i > 0 ? "," : "",
				i);
	strcat(context, "}");
	is_status(read_with("1", "\"a\"", context, ""), ENVL_OK,
			  "as many members as may be");
	context[strlen(context) - 1] = '\0';
	strcat(context, ",\"x\":0}");
	is_status(read_with("1", "\"a\"", context, ""), ENVL_MALFORMED,
			  "and one more");

	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, "{\"exp\":1,\"aud\":\"a\",\"ctx\":{\"a\":1}}", 33);
	is_status(envl_claims_read(text_view(text), &claims), ENVL_MALFORMED,
			  "longer than a token's payload can be");
	text[ENVL_JWS_PAYLOAD_MAX] = '\0';
	is_status(envl_claims_read(text_view(text), &claims), ENVL_OK,
			  "the longest");
}

int
main(void)
{
	test_good();
	test_bad();
	test_missing();
	test_limits();
	return done_testing();
}
