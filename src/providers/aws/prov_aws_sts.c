/*
 * prov_aws_sts.c
 *	  Asking AWS's token service (STS) for a role's credentials.
 *
 * The service answers in XML.  We take the texts of four elements, found by
 * name.  That is enough for the answer of one known server over TLS: none of
 * the four has attributes, children or escapes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/aws/prov_aws.h"
#include "providers/aws/prov_aws_call.h"
#include "providers/aws/prov_aws_sts.h"
#include "providers/aws/prov_xml.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_form.h"
#include "providers/http/prov_time.h"
#include "providers/serve/prov_serve.h"

#define SESSION_NAME "pgenvelope"

/* Room for a percent-encoded web identity's token and the other fields. */
#define BODY_SIZE (3 * 20000 + 4096)

static prov_category ask_sts(prov_aws *aws, envl_view body,
							 const prov_aws_credentials *source,
							 prov_aws_credentials *out, prov_failure *failure);
static prov_category take_role(const prov_http_reply *reply,
							   prov_aws_credentials *out,
							   prov_failure *failure);
static prov_category classify_sts(const prov_http_reply *reply);
static void begin_form(prov_form *form, char *buffer, const char *action,
					   const char *role, const char *session);
static const char *region_of(const prov_aws *aws);

static const prov_cloud_code error_codes[] = {
	{"Throttling", PROV_THROTTLED},
	{"ThrottlingException", PROV_THROTTLED},
	{"RequestLimitExceeded", PROV_THROTTLED},
	{"IDPCommunicationError", PROV_UNAVAILABLE},
	{"InternalFailure", PROV_UNAVAILABLE},
	{"ServiceUnavailable", PROV_UNAVAILABLE},
	{"AccessDenied", PROV_DENIED},
	{"AccessDeniedException", PROV_DENIED},
	{"ExpiredToken", PROV_DENIED},
	{"ExpiredTokenException", PROV_DENIED},
	{"IDPRejectedClaim", PROV_DENIED},
	{"InvalidIdentityToken", PROV_DENIED},
	{"InvalidClientTokenId", PROV_DENIED},
	{"SignatureDoesNotMatch", PROV_DENIED},
	{NULL, PROV_OK},
};

prov_category
prov_aws_web_identity(prov_aws *aws, const char *role, const char *session,
					  const char *token_file, prov_aws_credentials *out,
					  prov_failure *failure)
{
	prov_secret *token = calloc(1, sizeof(*token));
	char	   *buffer = calloc(1, BODY_SIZE);
	prov_form	form;
	envl_view	body;
	prov_category category;

	if (token == NULL || buffer == NULL)
		category = prov_cloud_no_memory(failure);
	else
		category = prov_secret_read_line(token_file,
										 "The web identity's token file",
										 true, token, failure);
	if (category == PROV_OK)
	{
		begin_form(&form, buffer, "AssumeRoleWithWebIdentity", role, session);
		prov_form_put(&form, "WebIdentityToken", token->text);
		if (prov_form_end(&form, &body))
			category = ask_sts(aws, body, NULL, out, failure);
		else
			category = prov_cloud_too_long(failure);
		snprintf(out->kind, sizeof(out->kind), "web identity");
	}
	if (token != NULL)
		envl_wipe(token, sizeof(*token));
	if (buffer != NULL)
		envl_wipe(buffer, BODY_SIZE);
	free(token);
	free(buffer);
	return category;
}

prov_category
prov_aws_assume_role(prov_aws *aws, const char *role, const char *session,
					 const char *external_id,
					 const prov_aws_credentials *source,
					 prov_aws_credentials *out, prov_failure *failure)
{
	char		buffer[8192];
	prov_form	form;
	envl_view	body;
	prov_category category;

	begin_form(&form, buffer, "AssumeRole", role, session);
	if (external_id != NULL)
		prov_form_put(&form, "ExternalId", external_id);
	if (prov_form_end(&form, &body))
		category = ask_sts(aws, body, source, out, failure);
	else
		category = prov_cloud_too_long(failure);
	snprintf(out->kind, sizeof(out->kind), "role, by %.72s", source->kind);
	return category;
}

static void
begin_form(prov_form *form, char *buffer, const char *action, const char *role,
		   const char *session)
{
	bool		long_one = strcmp(action, "AssumeRole") != 0;

	prov_form_begin(form, buffer, long_one ? BODY_SIZE : 8192);
	prov_form_put(form, "Action", action);
	prov_form_put(form, "Version", "2011-06-15");
	prov_form_put(form, "RoleArn", role);
	prov_form_put(form, "RoleSessionName",
				  session != NULL ? session : SESSION_NAME);
}

/* The region of the token service, which need not be the key's. */
static const char *
region_of(const prov_aws *aws)
{
	const char *region = prov_uri_setting_of(&aws->uri, "sts-region",
											 "AWS_REGION");

	if (region == NULL)
		region = prov_uri_setting_of(&aws->uri, NULL, "AWS_DEFAULT_REGION");
	return region != NULL ? region : aws->region;
}

/*
 * Sends the request, signed with source.  source is NULL for a web identity,
 * whose token is enough.
 */
static prov_category
ask_sts(prov_aws *aws, envl_view body, const prov_aws_credentials *source,
		prov_aws_credentials *out, prov_failure *failure)
{
	const char *region = region_of(aws);
	char		url[512];
	char		sigv4[64];
	char		token[PROV_AWS_TOKEN_SIZE + 32];
	const char *headers[] = {PROV_FORM_TYPE, NULL, NULL};
	prov_http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = body,
		.classify = classify_sts,
	};
	prov_http_reply reply;
	prov_category category;

	if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
			strlen(region) ||
		strlen(region) > 30)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The region of AWS's token service is malformed.",
						 NULL);
	category = prov_aws_endpoint(aws, "sts", region, "sts-endpoint",
								 "AWS_ENDPOINT_URL_STS", url, sizeof(url),
								 failure);
	if (category != PROV_OK)
		return category;
	if (source != NULL)
	{
		snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:sts", region);
		request.sigv4 = sigv4;
		request.access_key = source->access_key;
		request.secret_key = source->secret_key;
		if (source->session_token[0] != '\0')
		{
			snprintf(token, sizeof(token), "X-Amz-Security-Token: %s",
					 source->session_token);
			headers[1] = token;
		}
	}
	category = prov_http_call(aws->http, &request, &reply, failure);
	if (request.sigv4 != NULL)
		envl_wipe(token, sizeof(token));
	if (category != PROV_OK)
		return category;
	category = take_role(&reply, out, failure);
	envl_wipe(&reply, sizeof(reply));
	return category;
}

static prov_category
take_role(const prov_http_reply *reply, prov_aws_credentials *out,
		  prov_failure *failure)
{
	envl_view	xml = {(const uint8_t *) reply->body, reply->body_len};
	char		code[64] = "";
	char		request_id[64] = "";
	char		expiration[64];
	time_t		expires;

	memset(out, 0, sizeof(*out));
	(void) prov_xml_text(xml, "RequestId", request_id, sizeof(request_id));
	if (reply->status != 200)
	{
		(void) prov_xml_text(xml, "Code", code, sizeof(code));
		return prov_http_fail(failure, classify_sts(reply),
							  "AWS's token service did not give credentials "
							  "for the role.",
							  reply, code, request_id);
	}
	if (!prov_xml_text(xml, "AccessKeyId", out->access_key,
					   sizeof(out->access_key)) ||
		!prov_xml_text(xml, "SecretAccessKey", out->secret_key,
					   sizeof(out->secret_key)) ||
		!prov_xml_text(xml, "SessionToken", out->session_token,
					   sizeof(out->session_token)) ||
		!prov_xml_text(xml, "Expiration", expiration, sizeof(expiration)) ||
		!prov_time_parse((envl_view) {(const uint8_t *) expiration,
									 strlen(expiration)},
						 &expires))
	{
		envl_wipe(out, sizeof(*out));
		return prov_http_fail(failure, PROV_UNAVAILABLE,
							  "AWS's token service gave an answer that is not "
							  "understood.",
							  reply, NULL, request_id);
	}
	out->expires = (int64_t) expires;
	return PROV_OK;
}

static prov_category
classify_sts(const prov_http_reply *reply)
{
	envl_view	xml = {(const uint8_t *) reply->body, reply->body_len};
	char		code[64] = "";

	if (reply->status == 200)
		return PROV_OK;
	(void) prov_xml_text(xml, "Code", code, sizeof(code));
	return prov_cloud_no_credentials(
		prov_cloud_category(error_codes, code, reply));
}
