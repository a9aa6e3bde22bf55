/*
 * prov_aws_metadata.c
 *	  AWS credentials from the host of a container or an instance.
 *
 * Containers (ECS, EKS Pod Identity) have an address in their environment,
 * instances (EC2) a well-known one.  For instances only version 2 is used: it
 * requires a token that a forged request cannot get.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/aws/prov_aws.h"
#include "providers/aws/prov_aws_metadata.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"
#include "providers/http/prov_time.h"
#include "providers/serve/prov_serve.h"

#define INSTANCE_ENDPOINT "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"

static prov_category get_url(prov_aws *aws, const char *url,
							 const char *header, prov_http_reply *reply,
							 prov_failure *failure);
static prov_category take_json(const prov_http_reply *reply,
							   prov_aws_credentials *out,
							   prov_failure *failure);
static prov_category get_token(prov_aws *aws, const char *endpoint,
							   char *header, size_t size,
							   prov_failure *failure);
static prov_category get_role(prov_aws *aws, const char *endpoint,
							  const char *header, char *url, size_t size,
							  prov_failure *failure);
static prov_category make_authorization(char *header, size_t size,
										prov_failure *failure);
static void first_line(char *text);
static prov_category refusal_of(const prov_http_reply *reply);

prov_category
prov_aws_container(prov_aws *aws, const char *url, prov_aws_credentials *out,
				   prov_failure *failure)
{
	char		header[PROV_AWS_TOKEN_SIZE + 32];
	prov_http_reply reply;
	prov_category category;

	category = make_authorization(header, sizeof(header), failure);
	if (category == PROV_OK)
		category = get_url(aws, url, header[0] != '\0' ? header : NULL, &reply,
						   failure);
	envl_wipe(header, sizeof(header));
	if (category != PROV_OK)
		return category;
	if (reply.status != 200)
		return prov_http_fail(failure, refusal_of(&reply),
							  "The container's credentials were refused.",
							  &reply, NULL, NULL);
	category = take_json(&reply, out, failure);
	envl_wipe(&reply, sizeof(reply));
	snprintf(out->kind, sizeof(out->kind), "container");
	return category;
}

/* Reads the file each time, because EKS replaces it. */
static prov_category
make_authorization(char *header, size_t size, prov_failure *failure)
{
	const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	prov_secret *secret;
	prov_category category = PROV_OK;

	header[0] = '\0';
	if (path != NULL && *path != '\0')
	{
		secret = calloc(1, sizeof(*secret));
		if (secret == NULL)
			return prov_cloud_no_memory(failure);
		category = prov_secret_read_line(path, "The container's token file",
										 true, secret, failure);
		if (category == PROV_OK &&
			!prov_cloud_header(header, size, "Authorization", secret->text))
			category = prov_cloud_too_long(failure);
		envl_wipe(secret, sizeof(*secret));
		free(secret);
	}
	else if (token != NULL && *token != '\0' &&
			 (strpbrk(token, "\r\n") != NULL ||
			  !prov_cloud_header(header, size, "Authorization", token)))
		category = prov_cloud_too_long(failure);
	return category;
}

prov_category
prov_aws_instance(prov_aws *aws, prov_aws_credentials *out,
				  prov_failure *failure)
{
	const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char		header[PROV_AWS_TOKEN_SIZE];
	char		base[512];
	char		url[1200];
	prov_http_reply reply;
	prov_category category;
	size_t		len;

	if (endpoint == NULL || *endpoint == '\0')
		endpoint = INSTANCE_ENDPOINT;
	snprintf(base, sizeof(base), "%s", endpoint);
	len = strlen(base);
	if (len > 0 && base[len - 1] == '/')
		base[len - 1] = '\0';

	category = get_token(aws, base, header, sizeof(header), failure);
	if (category == PROV_OK)
		category = get_role(aws, base, header, url, sizeof(url), failure);
	if (category == PROV_OK)
		category = get_url(aws, url, header, &reply, failure);
	envl_wipe(header, sizeof(header));
	if (category != PROV_OK)
		return category;
	if (reply.status != 200)
		return prov_http_fail(failure, refusal_of(&reply),
							  "The instance's metadata service does not have "
							  "the role's credentials.",
							  &reply, NULL, NULL);
	category = take_json(&reply, out, failure);
	envl_wipe(&reply, sizeof(reply));
	snprintf(out->kind, sizeof(out->kind), "instance metadata");
	return category;
}

/* Outside AWS nothing answers at this address: there are no credentials. */
static prov_category
get_token(prov_aws *aws, const char *endpoint, char *header, size_t size,
		  prov_failure *failure)
{
	char		url[1024];
	const char *const headers[] = {
		"X-aws-ec2-metadata-token-ttl-seconds: 60",
		NULL,
	};
	prov_http_request request = {
		.method = "PUT",
		.url = url,
		.headers = headers,
		.metadata = true,
	};
	prov_http_reply reply;
	prov_category category;

	header[0] = '\0';
	snprintf(url, sizeof(url), "%s/latest/api/token", endpoint);
	category = prov_http_call(aws->http, &request, &reply, failure);
	if (category == PROV_UNAVAILABLE)
	{
		char		detail[sizeof(failure->detail)];

		memcpy(detail, failure->detail, sizeof(detail));
		return prov_fail(failure, category,
						 "There are no AWS credentials in the environment, a "
						 "profile or a container, and no instance metadata "
						 "service answers.",
						 "%s", detail);
	}
	if (category != PROV_OK)
		return category;
	if (reply.status == 200)
		first_line(reply.body);
	if (reply.status != 200 || reply.body[0] == '\0' ||
		!prov_cloud_header(header, size, "X-aws-ec2-metadata-token",
						   reply.body))
		category = prov_http_fail(failure,
								  reply.status == 200 ?
									  PROV_UNAVAILABLE :
									  refusal_of(&reply),
								  "The instance's metadata service did not "
								  "give a token.",
								  &reply, NULL, NULL);
	envl_wipe(&reply, sizeof(reply));
	return category;
}

/* Finds the address of the credentials of the instance's role. */
static prov_category
get_role(prov_aws *aws, const char *endpoint, const char *header, char *url,
		 size_t size, prov_failure *failure)
{
	char		role[512];
	prov_http_reply reply;
	prov_category category;

	snprintf(url, size, "%s%s", endpoint, ROLES);
	category = get_url(aws, url, header, &reply, failure);
	if (category != PROV_OK)
		return category;
	first_line(reply.body);
	if (reply.status == 200 && reply.body[0] != '\0' &&
		prov_uri_encode(reply.body, role, sizeof(role)))
	{
		snprintf(url, size, "%s%s%s", endpoint, ROLES, role);
		return PROV_OK;
	}
	return prov_http_fail(failure,
						  reply.status == 404 || reply.status == 200 ?
							  PROV_MISCONFIGURED :
							  refusal_of(&reply),
						  "The instance has no role with credentials.",
						  &reply, NULL, NULL);
}

/*
 * Cuts a text at the end of its first line or at its first unprintable byte.
 */
static void
first_line(char *text)
{
	while (*text > 0x20 && *text < 0x7F)
		text++;
	*text = '\0';
}

static prov_category
refusal_of(const prov_http_reply *reply)
{
	return prov_cloud_no_credentials(prov_cloud_refusal(reply));
}

static prov_category
get_url(prov_aws *aws, const char *url, const char *header,
		prov_http_reply *reply, prov_failure *failure)
{
	const char *const headers[] = {header, NULL};
	prov_http_request request = {
		.method = "GET",
		.url = url,
		.headers = header != NULL ? headers : NULL,
		.metadata = true,
	};

	return prov_http_call(aws->http, &request, reply, failure);
}

static prov_category
take_json(const prov_http_reply *reply, prov_aws_credentials *out,
		  prov_failure *failure)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		expiration[64];
	time_t		expires = 0;
	bool		good;

	memset(out, 0, sizeof(*out));
	good = json != NULL &&
		prov_json_string(json, "AccessKeyId", out->access_key,
						 sizeof(out->access_key)) &&
		prov_json_string(json, "SecretAccessKey", out->secret_key,
						 sizeof(out->secret_key)) &&
		prov_json_string(json, "Token", out->session_token,
						 sizeof(out->session_token)) &&
		prov_json_string(json, "Expiration", expiration,
						 sizeof(expiration)) &&
		prov_time_parse((envl_view) {(const uint8_t *) expiration,
									strlen(expiration)},
						&expires);
	prov_json_free(json);
	if (!good)
	{
		envl_wipe(out, sizeof(*out));
		return prov_http_fail(failure, PROV_UNAVAILABLE,
							  "The metadata service's reply holds no "
							  "credentials.",
							  reply, NULL, NULL);
	}
	out->expires = (int64_t) expires;
	return PROV_OK;
}
