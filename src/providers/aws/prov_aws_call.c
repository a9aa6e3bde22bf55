/*
 * prov_aws_call.c
 *	  Calling AWS KMS: addresses, signatures, errors.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "providers/aws/prov_aws.h"
#include "providers/aws/prov_aws_call.h"
#include "providers/aws/prov_aws_credentials.h"
#include "providers/aws/prov_xml.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"
#include "providers/serve/prov_serve.h"

/*
 * Credentials are replaced this long before they expire, and no longer used
 * this long before.
 */
#define REFRESH_AHEAD_S 300
#define UNUSABLE_S 10

static prov_category call_once(prov_aws *aws, const char *operation,
							   envl_view body, prov_http_reply *reply,
							   prov_failure *failure);
static prov_category use_credentials(prov_aws *aws, prov_failure *failure);
static prov_category classify_reply(const prov_http_reply *reply);
static bool is_pending(const prov_http_reply *reply);
static void error_code(const prov_http_reply *reply, char *code, size_t size);
static prov_category fail_reply(prov_failure *failure,
								const prov_http_reply *reply);

/* Indexes of the headers that we want of every reply. */
enum
{
	HEADER_ERROR,
	HEADER_REQUEST
};

static const char *const wanted_headers[] = {
	[HEADER_ERROR] = "x-amzn-ErrorType",
	[HEADER_REQUEST] = "x-amzn-RequestId",
	NULL,
};

/* What AWS's error codes mean; for other codes the status decides. */
static const prov_cloud_code error_codes[] = {
	{"ThrottlingException", PROV_THROTTLED},
	{"Throttling", PROV_THROTTLED},
	{"ThrottledException", PROV_THROTTLED},
	{"TooManyRequestsException", PROV_THROTTLED},
	{"RequestLimitExceeded", PROV_THROTTLED},
	{"LimitExceededException", PROV_THROTTLED},
	{"KMSInternalException", PROV_UNAVAILABLE},
	{"DependencyTimeoutException", PROV_UNAVAILABLE},
	{"KeyUnavailableException", PROV_UNAVAILABLE},
	{"InternalFailure", PROV_UNAVAILABLE},
	{"ServiceUnavailable", PROV_UNAVAILABLE},
	{"ServiceUnavailableException", PROV_UNAVAILABLE},
	{"AccessDeniedException", PROV_DENIED},
	{"AccessDenied", PROV_DENIED},
	{"UnrecognizedClientException", PROV_DENIED},
	{"InvalidClientTokenId", PROV_DENIED},
	{"InvalidSignatureException", PROV_DENIED},
	{"SignatureDoesNotMatch", PROV_DENIED},
	{"IncompleteSignature", PROV_DENIED},
	{"IncompleteSignatureException", PROV_DENIED},
	{"MissingAuthenticationToken", PROV_DENIED},
	{"MissingAuthenticationTokenException", PROV_DENIED},
	{"AuthFailure", PROV_DENIED},
	{"ExpiredToken", PROV_DENIED},
	{"ExpiredTokenException", PROV_DENIED},
	{"RequestExpired", PROV_DENIED},
	{"NotAuthorized", PROV_DENIED},
	{"OptInRequired", PROV_DENIED},
	{"NotFoundException", PROV_NOT_FOUND},
	{"DisabledException", PROV_DISABLED},
	{"KMSInvalidStateException", PROV_DISABLED},
	{"InvalidCiphertextException", PROV_INTEGRITY},
	{"IncorrectKeyException", PROV_INTEGRITY},
	{NULL, PROV_OK},
};

/* Codes that reject the credentials themselves rather than their rights. */
static const char *const stale_codes[] = {
	"ExpiredToken",
	"ExpiredTokenException",
	"RequestExpired",
	"UnrecognizedClientException",
	"InvalidClientTokenId",
};

prov_category
prov_aws_endpoint(const prov_aws *aws, const char *service,
				  const char *region, const char *word, const char *variable,
				  char *out, size_t size, prov_failure *failure)
{
	static const struct
	{
		const char *partition;
		const char *domain;
	} domains[] = {
		{"aws", "amazonaws.com"},
		{"aws-us-gov", "amazonaws.com"},
		{"aws-cn", "amazonaws.com.cn"},
		{"aws-eusc", "amazonaws.eu"},
		{"aws-iso", "c2s.ic.gov"},
		{"aws-iso-b", "sc2s.sgov.gov"},
	};
	bool		fips;
	const char *given = prov_uri_setting_of(&aws->uri, word, NULL);
	int			len = -1;

	if (given == NULL &&
		!prov_aws_is_true(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")))
	{
		given = prov_uri_setting_of(&aws->uri, NULL, variable);
		if (given == NULL)
			given = prov_uri_setting_of(&aws->uri, NULL, "AWS_ENDPOINT_URL");
	}
	fips = prov_aws_is_true(prov_uri_setting_of(&aws->uri, "fips",
												"AWS_USE_FIPS_ENDPOINT"));

	if (given != NULL)
		len = snprintf(out, size, "%s%s", given,
					   given[strlen(given) - 1] == '/' ? "" : "/");
	for (size_t i = 0;
		 given == NULL && i < sizeof(domains) / sizeof(domains[0]); i++)
	{
		if (strcmp(aws->partition, domains[i].partition) == 0)
			len = snprintf(out, size, "https://%s%s.%s.%s/", service,
						   fips ? "-fips" : "", region, domains[i].domain);
	}
	if (len < 0 || (size_t) len >= size)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The address of AWS's service is not known: set "
						 "\"endpoint\".",
						 "The service is %s, in partition %s.", service,
						 aws->partition);
	return PROV_OK;
}

bool
prov_aws_is_true(const char *value)
{
	return value != NULL && strcasecmp(value, "true") == 0;
}

/*
 * PROV_OK: the reply is a success.  If AWS rejects the credentials as stale,
 * fetch new ones and try once more.
 */
prov_category
prov_aws_call(prov_aws *aws, const char *operation, envl_view body,
			  prov_http_reply *reply, prov_failure *failure)
{
	char		code[64];
	prov_category category;

	category = call_once(aws, operation, body, reply, failure);
	if (category != PROV_OK)
		return category;
	error_code(reply, code, sizeof(code));
	for (size_t i = 0; i < sizeof(stale_codes) / sizeof(stale_codes[0]); i++)
	{
		if (reply->status / 100 != 2 && strcmp(code, stale_codes[i]) == 0)
		{
			envl_wipe(&aws->credentials, sizeof(aws->credentials));
			category = call_once(aws, operation, body, reply, failure);
			break;
		}
	}
	if (category != PROV_OK || reply->status == 200)
		return category;
	return fail_reply(failure, reply);
}

static prov_category
call_once(prov_aws *aws, const char *operation, envl_view body,
		  prov_http_reply *reply, prov_failure *failure)
{
	char		target[64];
	char		token[PROV_AWS_TOKEN_SIZE + 32];
	char		sigv4[64];
	const char *headers[] = {
		"Content-Type: application/x-amz-json-1.1",
		"Accept: application/json",
		target,
		NULL,
		NULL,
	};
	prov_http_request request = {
		.method = "POST",
		.url = aws->endpoint,
		.headers = headers,
		.body = body,
		.wanted = wanted_headers,
		.classify = classify_reply,
		.sigv4 = sigv4,
		.access_key = aws->credentials.access_key,
		.secret_key = aws->credentials.secret_key,
	};
	prov_category category;

	category = use_credentials(aws, failure);
	if (category != PROV_OK)
		return category;
	snprintf(target, sizeof(target), "X-Amz-Target: TrentService.%s",
			 operation);
	snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:kms", aws->region);
	if (aws->credentials.session_token[0] != '\0')
	{
		snprintf(token, sizeof(token), "X-Amz-Security-Token: %s",
				 aws->credentials.session_token);
		headers[3] = token;
	}
	category = prov_http_call(aws->http, &request, reply, failure);
	envl_wipe(token, sizeof(token));
	return category;
}

/*
 * Replaces credentials shortly before they expire.  If new ones cannot be had,
 * keeps using the old ones until they expire.
 */
static prov_category
use_credentials(prov_aws *aws, prov_failure *failure)
{
	int64_t		left = aws->credentials.expires - prov_clock_seconds();
	bool		usable = aws->credentials.expires != 0 && left > UNUSABLE_S;
	prov_aws_credentials fresh = {0};
	prov_cloud_part part;
	prov_category category;

	if (usable && left > REFRESH_AHEAD_S)
		return PROV_OK;
	if (usable)
		prov_cloud_begin_part(aws->http, &part);
	category = prov_aws_find_credentials(aws, &fresh, failure);
	if (usable)
		prov_cloud_end_part(aws->http, &part);
	if (category == PROV_OK)
		aws->credentials = fresh;
	else if (usable)
		category = PROV_OK;
	else
		envl_wipe(&aws->credentials, sizeof(aws->credentials));
	envl_wipe(&fresh, sizeof(fresh));
	return category;
}

static prov_category
classify_reply(const prov_http_reply *reply)
{
	char		code[64];

	if (reply->status == 200)
		return PROV_OK;
	error_code(reply, code, sizeof(code));
	if (strcmp(code, "KMSInvalidStateException") == 0 && !is_pending(reply))
		return PROV_UNAVAILABLE;
	return prov_cloud_category(error_codes, code, reply);
}

/*
 * For a key in an invalid state: whether it is pending deletion or import. AWS
 * reports any failure of a custom key store with the same code, so only the
 * words of the message can tell.
 */
static bool
is_pending(const prov_http_reply *reply)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		message[1024];
	bool		pending;

	pending = (prov_json_string(json, "message", message, sizeof(message)) ||
			   prov_json_string(json, "Message", message, sizeof(message))) &&
		strstr(message, "pending") != NULL;
	prov_json_free(json);
	return pending;
}

/*
 * Takes the code from "com.amazonaws.kms#NotFoundException" or
 * "NotFoundException:http://...".
 */
static void
error_code(const prov_http_reply *reply, char *code, size_t size)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		text[256] = "";
	const char *start = text;
	const char *hash;

	if (json == NULL ||
		(!prov_json_string(json, "__type", text, sizeof(text)) &&
		 !prov_json_string(json, "code", text, sizeof(text))))
		snprintf(text, sizeof(text), "%.255s", reply->headers[HEADER_ERROR]);
	prov_json_free(json);

	/* A gateway that rejects the signature may answer in XML. */
	if (text[0] == '\0')
		(void) prov_xml_text((envl_view) {(const uint8_t *) reply->body,
										 reply->body_len},
							 "Code", text, sizeof(text));
	hash = strrchr(text, '#');
	if (hash != NULL)
		start = hash + 1;
	snprintf(code, size, "%.*s", (int) strcspn(start, ":"), start);
}

static prov_category
fail_reply(prov_failure *failure, const prov_http_reply *reply)
{
	static const char *const reasons[PROV_CATEGORIES] = {
		[PROV_UNAVAILABLE] = "AWS KMS is not available.",
		[PROV_THROTTLED] = "AWS KMS asks to be called less often.",
		[PROV_DENIED] = "AWS KMS denied the request.",
		[PROV_NOT_FOUND] = "AWS KMS does not have the key.",
		[PROV_DISABLED] = "AWS KMS has the key disabled or about to go.",
		[PROV_INTEGRITY] = "AWS KMS could not open the sealed key.",
		[PROV_MISCONFIGURED] = "AWS KMS refused the request.",
	};
	char		code[64];
	prov_category category = classify_reply(reply);

	error_code(reply, code, sizeof(code));
	return prov_http_fail(failure, category, reasons[category], reply, code,
						  reply->headers[HEADER_REQUEST]);
}

prov_category
prov_aws_rubbish(prov_failure *failure, const prov_http_reply *reply)
{
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "AWS KMS gave an answer that is not understood.",
						  reply, NULL, reply->headers[HEADER_REQUEST]);
}
