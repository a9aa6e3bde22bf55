/*
 * prov_azure_credentials.c
 *	  Tokens of Microsoft Entra ID, found as Azure's own libraries find them.
 *
 *	  1. a client secret: AZURE_TENANT_ID, AZURE_CLIENT_ID and
 *		 client-secret-file or AZURE_CLIENT_SECRET
 *	  2. a federated token (workload identity): the same two and
 *		 AZURE_FEDERATED_TOKEN_FILE
 *	  3. a managed identity: of App Service if IDENTITY_ENDPOINT is set, else
 *		 of the machine; client-id chooses between several
 *
 * Files are read again for each new token.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/azure/prov_azure.h"
#include "providers/azure/prov_azure_credentials.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_form.h"
#include "providers/serve/prov_serve.h"

#define ASSERTION_TYPE \
	"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define METADATA "http://169.254.169.254"

#define URL_SIZE 2048
#define BODY_SIZE 65536

static prov_category from_client(prov_azure *azure, const char *tenant,
								 const char *client, const char *path,
								 bool federated, prov_failure *failure);
static prov_category read_secret(const char *path, bool federated,
								 prov_secret *secret, prov_failure *failure);
static prov_category from_app_service(prov_azure *azure, const char *endpoint,
									  const char *client,
									  prov_failure *failure);
static prov_category from_machine(prov_azure *azure, const char *client,
								  prov_failure *failure);
static bool managed_url(const prov_azure *azure, const char *start,
						const char *version, const char *client, char *url);
static prov_category classify_machine(const prov_http_reply *reply);

prov_category
prov_azure_get_token(prov_azure *azure, prov_failure *failure)
{
	const prov_uri *uri = &azure->uri;
	const char *tenant = prov_uri_setting_of(uri, "tenant-id",
											 "AZURE_TENANT_ID");
	const char *client = prov_uri_setting_of(uri, "client-id",
											 "AZURE_CLIENT_ID");
	const char *secret_file = prov_uri_word(uri, "client-secret-file");
	const char *secret = prov_uri_setting_of(uri, NULL,
											 "AZURE_CLIENT_SECRET");
	const char *federated = prov_uri_setting_of(uri, "federated-token-file",
												"AZURE_FEDERATED_TOKEN_FILE");
	const char *app_service = prov_uri_setting_of(uri, NULL,
												  "IDENTITY_ENDPOINT");
	prov_category category;

	if (secret_file != NULL || secret != NULL || federated != NULL)
	{
		if (tenant == NULL || client == NULL)
			category = prov_fail(failure, PROV_MISCONFIGURED,
								 "A client secret or a federated token needs "
								 "tenant-id and client-id.",
								 NULL);
		else if (secret_file != NULL || secret != NULL)
			category = from_client(azure, tenant, client, secret_file, false,
								   failure);
		else
			category = from_client(azure, tenant, client, federated, true,
								   failure);
	}
	else if (app_service != NULL)
		category = from_app_service(azure, app_service, client, failure);
	else
		category = from_machine(azure, client, failure);
	if (category != PROV_OK)
		envl_wipe(&azure->token, sizeof(azure->token));
	return category;
}

/*
 * RFC 6749, section 4.4, with a secret or, if federated, with another issuer's
 * token as an assertion (RFC 7523).  Without a path the secret comes from the
 * environment.
 */
static prov_category
from_client(prov_azure *azure, const char *tenant, const char *client,
			const char *path, bool federated, prov_failure *failure)
{
	prov_secret *secret = calloc(1, sizeof(*secret));
	char	   *buffer = calloc(1, BODY_SIZE);
	char		encoded[256];
	char		scope[sizeof(azure->resource) + 16];
	char		url[URL_SIZE];
	const char *const headers[] = {PROV_FORM_TYPE, NULL};
	prov_http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
	};
	prov_form	form;
	prov_category category;

	if (secret == NULL || buffer == NULL)
		category = prov_cloud_no_memory(failure);
	else
		category = read_secret(path, federated, secret, failure);
	if (category == PROV_OK &&
		!prov_uri_encode(tenant, encoded, sizeof(encoded)))
		category = prov_cloud_too_long(failure);
	if (category == PROV_OK)
	{
		snprintf(url, sizeof(url), "%s/%s/oauth2/v2.0/token",
				 azure->authority, encoded);
		snprintf(scope, sizeof(scope), "%s/.default", azure->resource);
		prov_form_begin(&form, buffer, BODY_SIZE);
		prov_form_put(&form, "grant_type", "client_credentials");
		prov_form_put(&form, "client_id", client);
		prov_form_put(&form, "scope", scope);
		if (federated)
			prov_form_put(&form, "client_assertion_type", ASSERTION_TYPE);
		prov_form_put(&form,
					  federated ? "client_assertion" : "client_secret",
					  secret->text);
		if (prov_form_end(&form, &request.body))
			category = prov_oauth_ask(azure->http, &request,
									  "Microsoft Entra ID", &azure->token,
									  failure);
		else
			category = prov_cloud_too_long(failure);
		snprintf(azure->token.kind, sizeof(azure->token.kind), "%s",
				 federated ? "federated token" : "client secret");
	}
	if (secret != NULL)
		envl_wipe(secret, sizeof(*secret));
	if (buffer != NULL)
		envl_wipe(buffer, BODY_SIZE);
	free(secret);
	free(buffer);
	return category;
}

static prov_category
read_secret(const char *path, bool federated, prov_secret *secret,
			prov_failure *failure)
{
	const char *value = getenv("AZURE_CLIENT_SECRET");

	if (path != NULL)
		return prov_secret_read_line(path,
									 federated ? "The federated token's file" : "The client secret's file",
									 federated, secret, failure);
	secret->len = strlen(value);
	if (secret->len > PROV_SECRET_MAX)
		return prov_cloud_too_long(failure);
	memcpy(secret->text, value, secret->len + 1);
	return PROV_OK;
}

/* ---------------------------------------------------------------------- */

static prov_category
from_app_service(prov_azure *azure, const char *endpoint, const char *client,
				 prov_failure *failure)
{
	const char *secret = prov_uri_setting_of(&azure->uri, NULL,
											 "IDENTITY_HEADER");
	char		url[URL_SIZE];
	char		header[1024];
	const char *const headers[] = {header, NULL};
	prov_http_request request = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.metadata = true,
	};
	prov_category category;

	if (secret == NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "IDENTITY_ENDPOINT is set, and IDENTITY_HEADER is "
						 "not.",
						 NULL);
	if (strpbrk(secret, "\r\n") != NULL ||
		!prov_cloud_header(header, sizeof(header), "X-IDENTITY-HEADER",
						   secret) ||
		!managed_url(azure, endpoint, "2019-08-01", client, url))
		return prov_cloud_too_long(failure);
	category = prov_oauth_ask(azure->http, &request,
							  "The App Service's identity endpoint",
							  &azure->token, failure);
	envl_wipe(header, sizeof(header));
	snprintf(azure->token.kind, sizeof(azure->token.kind),
			 "managed identity of App Service");
	return category;
}

static prov_category
from_machine(prov_azure *azure, const char *client, prov_failure *failure)
{
	const char *host = prov_uri_setting_of(&azure->uri, NULL,
										   "AZURE_POD_IDENTITY_AUTHORITY_HOST");
	char		start[512];
	char		url[URL_SIZE];
	const char *const headers[] = {"Metadata: true", NULL};
	prov_http_request request = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.metadata = true,
		.classify = classify_machine,
	};
	prov_category category;
	size_t		len;

	if (host == NULL)
		host = METADATA;
	len = strlen(host);
	snprintf(start, sizeof(start), "%.400s%smetadata/identity/oauth2/token",
			 host, len > 0 && host[len - 1] == '/' ? "" : "/");
	if (!managed_url(azure, start, "2018-02-01", client, url))
		return prov_cloud_too_long(failure);
	category = prov_oauth_ask(azure->http, &request,
							  "The machine's identity endpoint (no other "
							  "credential is set)",
							  &azure->token, failure);
	snprintf(azure->token.kind, sizeof(azure->token.kind),
			 "managed identity");
	return category;
}

static bool
managed_url(const prov_azure *azure, const char *start, const char *version,
			const char *client, char *url)
{
	char		resource[3 * sizeof(azure->resource)];
	char		encoded[256] = "";
	int			len;

	if (!prov_uri_encode(azure->resource, resource, sizeof(resource)) ||
		(client != NULL &&
		 !prov_uri_encode(client, encoded, sizeof(encoded))))
		return false;
	len = snprintf(url, URL_SIZE, "%s?api-version=%s&resource=%s%s%s", start,
				   version, resource, client != NULL ? "&client_id=" : "",
				   encoded);
	return len > 0 && len < URL_SIZE;
}

/*
 * As documented, the service returns these codes while it starts or updates.
 */
static prov_category
classify_machine(const prov_http_reply *reply)
{
	if (reply->status == 200)
		return PROV_OK;
	if (reply->status == 404 || reply->status == 410)
		return PROV_UNAVAILABLE;
	return prov_cloud_refusal(reply);
}
