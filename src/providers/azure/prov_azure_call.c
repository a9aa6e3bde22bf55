/*
 * prov_azure_call.c
 *	  Calling Azure Key Vault, and what its errors mean.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/azure/prov_azure.h"
#include "providers/azure/prov_azure_call.h"
#include "providers/azure/prov_azure_credentials.h"
#include "providers/http/prov_cloud.h"

#define API_VERSION "7.4"

static bool version_of(const prov_azure *azure, const char *kid,
					   char *version);
static prov_category ask_vault(prov_azure *azure, const char *version,
							   const char *verb, envl_view body,
							   prov_http_reply *reply, prov_failure *failure);
static prov_category get_token(void *state, prov_failure *failure);
static prov_category classify_reply(const prov_http_reply *reply);
static void error_code(const prov_http_reply *reply, char *code, size_t size);
static prov_category fail_reply(prov_failure *failure, const char *verb,
								const prov_http_reply *reply);

static const char *const wanted_headers[] = {"x-ms-request-id", NULL};

/* The inner code counts before the outer one: "Forbidden" has many causes. */
static const prov_cloud_code error_codes[] = {
	{"KeyDisabled", PROV_DISABLED},
	{"KeyNotYetValid", PROV_DISABLED},
	{"KeyExpired", PROV_DISABLED},
	{"ObjectIsBeingDeleted", PROV_DISABLED},
	{"ObjectIsDeletedButRecoverable", PROV_DISABLED},
	{"KeyNotFound", PROV_NOT_FOUND},
	{"Throttled", PROV_THROTTLED},
	{NULL, PROV_OK},
};

/* After PROV_OK the caller calls prov_azure_end. */
prov_category
prov_azure_call(prov_azure *azure, const char *version, const char *verb,
				envl_view body, prov_azure_answer *answer,
				prov_failure *failure)
{
	char		kid[640];
	prov_http_reply *reply = &answer->reply;
	prov_category category;

	answer->json = NULL;
	answer->version[0] = '\0';
	category = ask_vault(azure, version, verb, body, reply, failure);
	if (category != PROV_OK)
		return category;
	if (reply->status != 200)
		return fail_reply(failure, verb, reply);
	answer->json = prov_json_parse(reply->body, reply->body_len);
	if (answer->json == NULL)
	{
		category = prov_azure_rubbish(failure, reply);
		prov_azure_end(answer);
		return category;
	}
	if (prov_json_string(answer->json, verb[0] != '\0' ? "kid" : "key.kid",
						 kid, sizeof(kid)))
		(void) version_of(azure, kid, answer->version);
	return PROV_OK;
}

/*
 * Takes the version from a kid, https://HOST/keys/NAME/VERSION.  False if it
 * names another key.
 */
static bool
version_of(const prov_azure *azure, const char *kid, char *version)
{
	const char *path = strstr(kid, "/keys/");
	size_t		len = strlen(azure->name);
	envl_view	view;

	version[0] = '\0';
	if (path == NULL)
		return false;
	path += sizeof("/keys/") - 1;
	if (strncasecmp(path, azure->name, len) != 0 || path[len] != '/')
		return false;
	view.data = (const uint8_t *) path + len + 1;
	view.len = strlen(path + len + 1);
	if (!prov_cloud_is_word(view, PROV_AZURE_VERSION_SIZE - 1))
		return false;
	prov_cloud_copy(view, version);
	return true;
}

/* Sends the request: GET if it has no body. */
static prov_category
ask_vault(prov_azure *azure, const char *version, const char *verb,
		  envl_view body, prov_http_reply *reply, prov_failure *failure)
{
	static const char *const headers[] = {
		"Content-Type: application/json",
		"Accept: application/json",
		NULL,
	};
	char		url[PROV_HTTP_URL_MAX];
	prov_http_request request = {
		.method = body.len > 0 ? "POST" : "GET",
		.url = url,
		.headers = headers,
		.body = body,
		.wanted = wanted_headers,
		.classify = classify_reply,
	};
	prov_oauth_client client = {azure->http, &azure->token, get_token, azure};

	snprintf(url, sizeof(url), "%s/keys/%s%s%s%s?api-version=" API_VERSION,
			 azure->origin, azure->name, version[0] != '\0' ? "/" : "",
			 version, verb);
	return prov_oauth_call(&client, &request, reply, failure);
}

void
prov_azure_end(prov_azure_answer *answer)
{
	prov_json_free(answer->json);
	envl_wipe(answer, sizeof(*answer));
}

static prov_category
get_token(void *state, prov_failure *failure)
{
	return prov_azure_get_token(state, failure);
}

static prov_category
classify_reply(const prov_http_reply *reply)
{
	char		code[64];

	if (reply->status == 200)
		return PROV_OK;
	error_code(reply, code, sizeof(code));
	return prov_cloud_category(error_codes, code, reply);
}

static void
error_code(const prov_http_reply *reply, char *code, size_t size)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);

	code[0] = '\0';
	if (json != NULL &&
		!prov_json_string(json, "error.innererror.code", code, size))
		(void) prov_json_string(json, "error.code", code, size);
	prov_json_free(json);
}

/* Azure reports what it cannot unwrap as a bad parameter. */
static prov_category
fail_reply(prov_failure *failure, const char *verb,
		   const prov_http_reply *reply)
{
	static const char *const reasons[PROV_CATEGORIES] = {
		[PROV_OK] = "",
		[PROV_UNAVAILABLE] = "Azure Key Vault is not available.",
		[PROV_THROTTLED] = "Azure Key Vault asks to be called less often.",
		[PROV_DENIED] = "Azure Key Vault denied the request.",
		[PROV_NOT_FOUND] = "Azure Key Vault does not have the key.",
		[PROV_DISABLED] = "Azure Key Vault has the key disabled or deleted.",
		[PROV_INTEGRITY] = "Azure Key Vault could not open the sealed key.",
		[PROV_MISCONFIGURED] = "Azure Key Vault refused the request.",
	};
	char		code[64];
	prov_category category = classify_reply(reply);

	error_code(reply, code, sizeof(code));
	if (strcmp(verb, "/unwrapkey") == 0 && reply->status == 400 &&
		category == PROV_MISCONFIGURED)
		category = PROV_INTEGRITY;
	return prov_http_fail(failure, category, reasons[category], reply, code,
						  reply->headers[0]);
}

prov_category
prov_azure_rubbish(prov_failure *failure, const prov_http_reply *reply)
{
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "Azure Key Vault gave an answer that is not "
						  "understood.",
						  reply, NULL, reply->headers[0]);
}
