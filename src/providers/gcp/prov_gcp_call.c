/*
 * prov_gcp_call.c
 *	  Calling Google Cloud KMS, and what its errors mean.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/gcp/prov_gcp.h"
#include "providers/gcp/prov_gcp_call.h"
#include "providers/gcp/prov_gcp_credentials.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"

static prov_category get_token(void *state, prov_failure *failure);
static prov_category classify_reply(const prov_http_reply *reply);
static void error_status(const prov_http_reply *reply, char *status,
						 size_t size);
static prov_category fail_reply(prov_failure *failure, const char *verb,
								const prov_http_reply *reply);

/* google.rpc.Code, where it says more than the HTTP status. */
static const prov_cloud_code error_codes[] = {
	{"RESOURCE_EXHAUSTED", PROV_THROTTLED},
	{"UNAVAILABLE", PROV_UNAVAILABLE},
	{"INTERNAL", PROV_UNAVAILABLE},
	{"UNKNOWN", PROV_UNAVAILABLE},
	{"ABORTED", PROV_UNAVAILABLE},
	{"CANCELLED", PROV_UNAVAILABLE},
	{"DEADLINE_EXCEEDED", PROV_UNAVAILABLE},
	{"PERMISSION_DENIED", PROV_DENIED},
	{"UNAUTHENTICATED", PROV_DENIED},
	{"NOT_FOUND", PROV_NOT_FOUND},
	{"FAILED_PRECONDITION", PROV_DISABLED},
	{"INVALID_ARGUMENT", PROV_MISCONFIGURED},
	{NULL, PROV_OK},
};

/* GET if there is no body. */
prov_category
prov_gcp_call(prov_gcp *gcp, const char *verb, envl_view body,
			  prov_http_reply *reply, prov_failure *failure)
{
	char		url[PROV_HTTP_URL_MAX];
	char		project[sizeof(gcp->quota_project) + 32];
	const char *const headers[] = {
		"Content-Type: application/json",
		gcp->quota_project[0] != '\0' ? project : NULL,
		NULL,
	};
	prov_http_request request = {
		.method = body.len > 0 ? "POST" : "GET",
		.url = url,
		.headers = headers,
		.body = body,
		.classify = classify_reply,
	};
	prov_oauth_client client = {gcp->http, &gcp->token, get_token, gcp};
	prov_category category;

	snprintf(url, sizeof(url), "%s/v1/%s%s", gcp->endpoint, gcp->name, verb);
	snprintf(project, sizeof(project), "x-goog-user-project: %s",
			 gcp->quota_project);
	category = prov_oauth_call(&client, &request, reply, failure);
	if (category != PROV_OK || reply->status == 200)
		return category;
	return fail_reply(failure, verb, reply);
}

static prov_category
get_token(void *state, prov_failure *failure)
{
	return prov_gcp_get_token(state, failure);
}

static prov_category
classify_reply(const prov_http_reply *reply)
{
	char		status[40];

	if (reply->status == 200)
		return PROV_OK;
	error_status(reply, status, sizeof(status));
	return prov_cloud_category(error_codes, status, reply);
}

static void
error_status(const prov_http_reply *reply, char *status, size_t size)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);

	status[0] = '\0';
	if (json != NULL)
		(void) prov_json_string(json, "error.status", status, size);
	prov_json_free(json);
}

/* Google reports what it cannot decrypt as an invalid argument. */
static prov_category
fail_reply(prov_failure *failure, const char *verb,
		   const prov_http_reply *reply)
{
	static const char *const reasons[PROV_CATEGORIES] = {
		[PROV_OK] = "",
		[PROV_UNAVAILABLE] = "Google Cloud KMS is not available.",
		[PROV_THROTTLED] = "Google Cloud KMS asks to be called less often.",
		[PROV_DENIED] = "Google Cloud KMS denied the request.",
		[PROV_NOT_FOUND] = "Google Cloud KMS does not have the key.",
		[PROV_DISABLED] = "Google Cloud KMS has no version of the key enabled.",
		[PROV_INTEGRITY] = "Google Cloud KMS could not open the sealed key.",
		[PROV_MISCONFIGURED] = "Google Cloud KMS refused the request.",
	};
	char		status[40];
	prov_category category = classify_reply(reply);

	error_status(reply, status, sizeof(status));
	if (strcmp(verb, ":decrypt") == 0 &&
		strcmp(status, "INVALID_ARGUMENT") == 0)
		category = PROV_INTEGRITY;
	return prov_http_fail(failure, category, reasons[category], reply, status,
						  NULL);
}

prov_category
prov_gcp_rubbish(prov_failure *failure, const prov_http_reply *reply)
{
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "Google Cloud KMS gave an answer that is not "
						  "understood.",
						  reply, NULL, NULL);
}
