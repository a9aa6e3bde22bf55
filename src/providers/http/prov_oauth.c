/*
 * prov_oauth.c
 *	  Bearer tokens (OAuth 2.0).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_oauth.h"

#include <stdio.h>
#include <string.h>

#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"
#include "providers/serve/prov_serve.h"

/*
 * A token is replaced this long before it expires, and no longer used this
 * long before.
 */
#define REFRESH_AHEAD_S 300
#define UNUSABLE_S 10

/* Assumed if the service names no expiry: no token lasts less. */
#define LIFETIME_S 600

/* No token lasts longer; a longer lifetime is not believed. */
#define LONGEST_S (2 * 86400)

static prov_category keep_fresh(const prov_oauth_client *client,
								prov_failure *failure);
static void error_code(const prov_http_reply *reply, char *code, size_t size);
static prov_category classify_reply(const prov_http_reply *reply);
static int64_t clamp_seconds(int64_t seconds, int64_t longest);
static bool take_token(const prov_http_reply *reply, prov_oauth_token *token);

/* RFC 6749, section 5.2, and Google's and Microsoft's additions. */
static const prov_cloud_code error_codes[] = {
	{"invalid_client", PROV_DENIED},
	{"invalid_grant", PROV_DENIED},
	{"unauthorized_client", PROV_DENIED},
	{"access_denied", PROV_DENIED},
	{"interaction_required", PROV_DENIED},
	{"server_error", PROV_UNAVAILABLE},
	{"internal_failure", PROV_UNAVAILABLE},
	{"temporarily_unavailable", PROV_UNAVAILABLE},
	{"invalid_request", PROV_MISCONFIGURED},
	{"invalid_scope", PROV_MISCONFIGURED},
	{"invalid_target", PROV_MISCONFIGURED},
	{NULL, PROV_OK},
};

prov_category
prov_oauth_call(const prov_oauth_client *client,
				const prov_http_request *request, prov_http_reply *reply,
				prov_failure *failure)
{
	for (int tries = 1;; tries++)
	{
		prov_category category = keep_fresh(client, failure);

		if (category == PROV_OK)
			category = prov_oauth_call_with(client->http, client->token,
											request, reply, failure);
		if (category != PROV_OK || reply->status != 401 || tries > 1)
			return category;
		envl_wipe(client->token, sizeof(*client->token));
	}
}

static prov_category
keep_fresh(const prov_oauth_client *client, prov_failure *failure)
{
	prov_oauth_token *token = client->token;
	int64_t		left = token->expires - prov_clock_seconds();
	bool		usable = token->text[0] != '\0' && left > UNUSABLE_S;
	prov_oauth_token kept;
	prov_cloud_part part;
	prov_category category;

	if (!usable)
		return client->get_token(client->state, failure);
	if (left > REFRESH_AHEAD_S)
		return PROV_OK;
	kept = *token;
	prov_cloud_begin_part(client->http, &part);
	category = client->get_token(client->state, failure);
	prov_cloud_end_part(client->http, &part);
	if (category != PROV_OK)
		*token = kept;
	envl_wipe(&kept, sizeof(kept));
	return PROV_OK;
}

prov_category
prov_oauth_call_with(prov_http *http, const prov_oauth_token *token,
					 const prov_http_request *request,
					 prov_http_reply *reply, prov_failure *failure)
{
	char		authorization[PROV_OAUTH_TOKEN_SIZE + 32];
	const char *headers[PROV_OAUTH_HEADERS_MAX + 2] = {authorization};
	prov_http_request asked = *request;
	prov_category category;

	for (int i = 0; i < PROV_OAUTH_HEADERS_MAX && request->headers[i] != NULL;
		 i++)
		headers[i + 1] = request->headers[i];
	asked.headers = headers;
	snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s",
			 token->text);
	category = prov_http_call(http, &asked, reply, failure);
	envl_wipe(authorization, sizeof(authorization));
	return category;
}

prov_category
prov_oauth_ask(prov_http *http, const prov_http_request *request,
			   const char *what, prov_oauth_token *token,
			   prov_failure *failure)
{
	prov_http_request asked = *request;
	prov_http_reply reply;
	char		reason[sizeof(failure->reason)];
	char		code[64];
	prov_category category;

	envl_wipe(token, sizeof(*token));
	if (asked.classify == NULL)
		asked.classify = classify_reply;
	category = prov_http_call(http, &asked, &reply, failure);
	if (category != PROV_OK)
		return category;
	if (reply.status != 200)
	{
		error_code(&reply, code, sizeof(code));
		snprintf(reason, sizeof(reason), "%s did not give a token.", what);
		category = prov_http_fail(failure,
								  prov_cloud_no_credentials(
									  asked.classify(&reply)),
								  reason, &reply, code, NULL);
	}
	else if (!take_token(&reply, token))
	{
		envl_wipe(token, sizeof(*token));
		snprintf(reason, sizeof(reason),
				 "%s gave an answer that is not understood.", what);
		category = prov_http_fail(failure, PROV_UNAVAILABLE, reason, &reply,
								  NULL, NULL);
	}
	envl_wipe(&reply, sizeof(reply));
	return category;
}

static prov_category
classify_reply(const prov_http_reply *reply)
{
	char		code[64];

	if (reply->status == 200)
		return PROV_OK;
	error_code(reply, code, sizeof(code));
	code[strcspn(code, "/")] = '\0';
	return prov_cloud_no_credentials(
		prov_cloud_category(error_codes, code, reply));
}

/* Copies the error's word and Microsoft's number for it. */
static void
error_code(const prov_http_reply *reply, char *code, size_t size)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		word[40] = "";
	int64_t		number = 0;

	if (json != NULL)
	{
		(void) prov_json_string(json, "error", word, sizeof(word));
		(void) prov_json_integer(json, "error_codes.0", &number);
	}
	if (number != 0)
		snprintf(code, size, "%s/AADSTS%lld", word, (long long) number);
	else
		snprintf(code, size, "%s", word);
	prov_json_free(json);
}

static bool
take_token(const prov_http_reply *reply, prov_oauth_token *token)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	int64_t		now = prov_clock_seconds();
	int64_t		seconds;
	bool		good;

	good = json != NULL &&
		prov_json_string(json, "access_token", token->text,
						 sizeof(token->text)) &&
		token->text[0] != '\0' &&
		strpbrk(token->text, " \t\r\n") == NULL;
	if (good && prov_json_number(json, "expires_in", &seconds))
		token->expires = now + clamp_seconds(seconds, LONGEST_S);
	else if (good && prov_json_number(json, "expires_on", &seconds))
		token->expires = clamp_seconds(seconds, now + LONGEST_S);
	else
		token->expires = now + LIFETIME_S;
	prov_json_free(json);
	return good;
}

static int64_t
clamp_seconds(int64_t seconds, int64_t longest)
{
	if (seconds < 0)
		return 0;
	return seconds < longest ? seconds : longest;
}
