/*
 * prov_gcp_credentials.c
 *	  Tokens of Google Cloud: application default credentials.
 *
 * Google's libraries know several kinds of credentials.  These are the kinds
 * that a server has: a service account's key, the metadata server (Compute
 * Engine, and GKE with its workload identity), and workload identity
 * federation with a token in a file.  Files are read again for each new token.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/gcp/prov_gcp.h"
#include "providers/gcp/prov_gcp_credentials.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_form.h"
#include "providers/http/prov_json.h"
#include "providers/http/prov_jwt.h"
#include "providers/http/prov_time.h"
#include "providers/serve/prov_serve.h"

#define SCOPE "https://www.googleapis.com/auth/cloudkms"
#define SCOPE_PLATFORM "https://www.googleapis.com/auth/cloud-platform"
#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define METADATA "http://169.254.169.254"
#define METADATA_PATH \
	"/computeMetadata/v1/instance/service-accounts/default/token"
#define GRANT_JWT "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define GRANT_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"

#define LIFETIME_S 3600
#define URL_SIZE 1024
#define BODY_SIZE 65536

static prov_category from_file(prov_gcp *gcp, const char *path,
							   prov_failure *failure);
static prov_category from_service_account(prov_gcp *gcp, const prov_json *json,
										  prov_failure *failure);
static bool make_assertion(const prov_json *json, const char *audience,
						   char *token);
static prov_category from_external_account(prov_gcp *gcp,
										   const prov_json *json,
										   prov_failure *failure);
static prov_category read_subject(const prov_json *json, char *out,
								  size_t size, prov_failure *failure);
static prov_category exchange_token(prov_gcp *gcp, const prov_json *json,
									const char *subject, const char *scope,
									prov_failure *failure);
static prov_category get_account_token(prov_gcp *gcp, const char *url,
									   prov_failure *failure);
static prov_category post_form(prov_gcp *gcp, const char *url, envl_view body,
							   const char *what, prov_failure *failure);
static prov_category from_metadata(prov_gcp *gcp, prov_failure *failure);
static prov_category fail_file(prov_failure *failure, const char *what);

prov_category
prov_gcp_get_token(prov_gcp *gcp, prov_failure *failure)
{
	const char *path = prov_uri_setting_of(&gcp->uri, "credentials-file",
										   "GOOGLE_APPLICATION_CREDENTIALS");
	prov_category category;

	if (path != NULL)
		category = from_file(gcp, path, failure);
	else
		category = from_metadata(gcp, failure);
	if (category != PROV_OK)
		envl_wipe(&gcp->token, sizeof(gcp->token));
	return category;
}

static prov_category
from_file(prov_gcp *gcp, const char *path, prov_failure *failure)
{
	prov_secret *secret = calloc(1, sizeof(*secret));
	prov_json  *json = NULL;
	char		type[64];
	prov_category category;

	if (secret == NULL)
		return prov_cloud_no_memory(failure);
	category = prov_secret_read(path, "The Google credentials file", false,
								secret, failure);
	if (category == PROV_OK)
	{
		json = prov_json_parse(secret->text, secret->len);
		if (json == NULL ||
			!prov_json_string(json, "type", type, sizeof(type)))
			category = fail_file(failure, "is not a JSON object with a type");
		else if (strcmp(type, "service_account") == 0)
			category = from_service_account(gcp, json, failure);
		else if (strcmp(type, "external_account") == 0)
			category = from_external_account(gcp, json, failure);
		else
			category = fail_file(failure, "is neither a service account's "
										  "nor an external account's");
	}
	prov_json_free(json);
	envl_wipe(secret, sizeof(*secret));
	free(secret);
	return category;
}

/* ---------------------------------------------------------------------- */

static prov_category
from_service_account(prov_gcp *gcp, const prov_json *json,
					 prov_failure *failure)
{
	char		assertion[PROV_JWT_SIZE];
	char		url[URL_SIZE] = TOKEN_URI;
	char		buffer[PROV_JWT_SIZE + 256];
	prov_form	form;
	envl_view	body;
	prov_category category;

	if (prov_json_has(json, "token_uri") &&
		!prov_json_string(json, "token_uri", url, sizeof(url)))
		return fail_file(failure, "has a token_uri that cannot be used");
	if (!make_assertion(json, url, assertion))
		return fail_file(failure, "lacks client_email or an RSA private_key "
								  "of 2048 bits or more");
	prov_form_begin(&form, buffer, sizeof(buffer));
	prov_form_put(&form, "grant_type", GRANT_JWT);
	prov_form_put(&form, "assertion", assertion);
	if (prov_form_end(&form, &body))
		category = post_form(gcp, url, body, "Google's token service", failure);
	else
		category = prov_cloud_too_long(failure);
	envl_wipe(assertion, sizeof(assertion));
	envl_wipe(buffer, sizeof(buffer));
	snprintf(gcp->token.kind, sizeof(gcp->token.kind), "service account");
	return category;
}

/*
 * RFC 7523: an assertion that the account signs for its token service, valid
 * for an hour.
 */
static bool
make_assertion(const prov_json *json, const char *audience, char *token)
{
	int64_t		now = prov_clock_seconds();
	char		header[512];
	char		claims[PROV_JWT_PART_MAX];
	char		email[320];
	char		key_id[128];
	char		private_key[16384];
	prov_json_writer writer;
	envl_view	view;
	bool		good;

	prov_json_begin(&writer, header, sizeof(header));
	prov_json_put(&writer, "alg", "RS256");
	prov_json_put(&writer, "typ", "JWT");
	if (prov_json_string(json, "private_key_id", key_id, sizeof(key_id)))
		prov_json_put(&writer, "kid", key_id);
	good = prov_json_end(&writer, &view) &&
		prov_json_string(json, "client_email", email, sizeof(email)) &&
		prov_json_string(json, "private_key", private_key,
						 sizeof(private_key));
	if (good)
	{
		prov_json_begin(&writer, claims, sizeof(claims));
		prov_json_put(&writer, "iss", email);
		prov_json_put(&writer, "scope", SCOPE);
		prov_json_put(&writer, "aud", audience);
		prov_json_put_integer(&writer, "iat", now);
		prov_json_put_integer(&writer, "exp", now + LIFETIME_S);
		good = prov_json_end(&writer, &view) &&
			prov_jwt_sign((envl_view) {(const uint8_t *) private_key,
									  strlen(private_key)},
						  header, claims, token);
		envl_wipe(private_key, sizeof(private_key));
	}
	return good;
}

/* ---------------------------------------------------------------------- */

static prov_category
from_external_account(prov_gcp *gcp, const prov_json *json,
					  prov_failure *failure)
{
	char		subject[16384];
	char		url[URL_SIZE] = "";
	prov_category category;

	if (prov_json_has(json, "service_account_impersonation_url") &&
		!prov_json_string(json, "service_account_impersonation_url", url,
						  sizeof(url)))
		return fail_file(failure, "has an impersonation URL that cannot be "
								  "used");
	category = read_subject(json, subject, sizeof(subject), failure);
	if (category == PROV_OK)
		category =
			exchange_token(gcp, json, subject,
						   url[0] != '\0' ? SCOPE_PLATFORM : SCOPE, failure);
	envl_wipe(subject, sizeof(subject));
	if (category == PROV_OK && url[0] != '\0')
		category = get_account_token(gcp, url, failure);
	snprintf(gcp->token.kind, sizeof(gcp->token.kind), "workload identity");
	return category;
}

/*
 * Reads the identity provider's token: a line of a file, or a member of its
 * JSON.
 */
static prov_category
read_subject(const prov_json *json, char *out, size_t size,
			 prov_failure *failure)
{
	prov_secret *secret;
	prov_json  *inner = NULL;
	char		path[PROV_LOCATION_SIZE];
	char		format[16] = "text";
	char		field[64];
	prov_category category;
	bool		good;

	(void) prov_json_string(json, "credential_source.format.type", format,
							sizeof(format));
	if (!prov_json_string(json, "credential_source.file", path,
						  sizeof(path)))
		return fail_file(failure, "has a credential_source that is not a "
								  "file, which is not supported");
	secret = calloc(1, sizeof(*secret));
	if (secret == NULL)
		return prov_cloud_no_memory(failure);
	category = prov_secret_read(path, "The workload identity's token file",
								true, secret, failure);
	if (category == PROV_OK)
	{
		if (strcmp(format, "json") == 0)
		{
			inner = prov_json_parse(secret->text, secret->len);
			good = inner != NULL &&
				prov_json_string(json,
								 "credential_source.format."
								 "subject_token_field_name",
								 field, sizeof(field)) &&
				prov_json_string(inner, field, out, size);
			prov_json_free(inner);
		}
		else
		{
			good = secret->len > 0 && secret->len < size;
			if (good)
				memcpy(out, secret->text, secret->len + 1);
		}
		if (!good)
			category = prov_fail(failure, PROV_MISCONFIGURED,
								 "The workload identity's token file does not "
								 "hold a token.",
								 "The file is \"%s\".", path);
	}
	envl_wipe(secret, sizeof(*secret));
	free(secret);
	return category;
}

/* Exchanges the subject's token (RFC 8693). */
static prov_category
exchange_token(prov_gcp *gcp, const prov_json *json, const char *subject,
			   const char *scope, prov_failure *failure)
{
	char		url[URL_SIZE];
	char		audience[512];
	char		type[128];
	char	   *buffer;
	prov_form	form;
	envl_view	body;
	prov_category category;

	if (!prov_json_string(json, "token_url", url, sizeof(url)) ||
		!prov_json_string(json, "audience", audience, sizeof(audience)) ||
		!prov_json_string(json, "subject_token_type", type, sizeof(type)))
		return fail_file(failure, "lacks token_url, audience or "
								  "subject_token_type");
	buffer = calloc(1, BODY_SIZE);
	if (buffer == NULL)
		return prov_cloud_no_memory(failure);
	prov_form_begin(&form, buffer, BODY_SIZE);
	prov_form_put(&form, "grant_type", GRANT_EXCHANGE);
	prov_form_put(&form, "audience", audience);
	prov_form_put(&form, "scope", scope);
	prov_form_put(&form, "requested_token_type", ACCESS_TOKEN);
	prov_form_put(&form, "subject_token", subject);
	prov_form_put(&form, "subject_token_type", type);
	if (prov_form_end(&form, &body))
		category = post_form(gcp, url, body, "Google's token exchange", failure);
	else
		category = prov_cloud_too_long(failure);
	envl_wipe(buffer, BODY_SIZE);
	free(buffer);
	return category;
}

/*
 * Asks for the service account's token, which is all that an exchanged token
 * is good for.
 */
static prov_category
get_account_token(prov_gcp *gcp, const char *url, prov_failure *failure)
{
	const char *const headers[] = {"Content-Type: application/json", NULL};
	prov_http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = ENVL_LITERAL("{\"scope\":[\"" SCOPE "\"]}"),
	};
	prov_http_reply reply;
	prov_json  *json = NULL;
	char		expire[64];
	time_t		expires = 0;
	prov_category category;

	category = prov_oauth_call_with(gcp->http, &gcp->token, &request, &reply,
									failure);
	envl_wipe(&gcp->token, sizeof(gcp->token));
	if (category != PROV_OK)
		return category;
	if (reply.status == 200)
		json = prov_json_parse(reply.body, reply.body_len);
	if (reply.status != 200)
		category = prov_http_fail(failure,
								  prov_cloud_no_credentials(
									  prov_cloud_refusal(&reply)),
								  "Google did not give a token for the service "
								  "account to be impersonated.",
								  &reply, NULL, NULL);
	else if (json == NULL ||
			 !prov_json_string(json, "accessToken", gcp->token.text,
							   sizeof(gcp->token.text)) ||
			 !prov_json_string(json, "expireTime", expire, sizeof(expire)) ||
			 !prov_time_parse((envl_view) {(const uint8_t *) expire,
										  strlen(expire)},
							  &expires))
		category = prov_http_fail(failure, PROV_UNAVAILABLE,
								  "Google's answer about the service account "
								  "to be impersonated is not understood.",
								  &reply, NULL, NULL);
	gcp->token.expires = (int64_t) expires;
	prov_json_free(json);
	envl_wipe(&reply, sizeof(reply));
	return category;
}

static prov_category
post_form(prov_gcp *gcp, const char *url, envl_view body, const char *what,
		  prov_failure *failure)
{
	const char *const headers[] = {PROV_FORM_TYPE, NULL};
	prov_http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = body,
	};

	return prov_oauth_ask(gcp->http, &request, what, &gcp->token, failure);
}

/* ---------------------------------------------------------------------- */

static prov_category
from_metadata(prov_gcp *gcp, prov_failure *failure)
{
	const char *host = getenv("GCE_METADATA_HOST");
	char		url[URL_SIZE] = METADATA METADATA_PATH;
	const char *const headers[] = {"Metadata-Flavor: Google", NULL};
	prov_http_request request = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.metadata = true,
	};
	prov_category category;

	if (host != NULL && *host != '\0')
		snprintf(url, sizeof(url), "http://%.500s%s", host, METADATA_PATH);
	category = prov_oauth_ask(gcp->http, &request,
							  "The metadata server (no credentials file is "
							  "named)",
							  &gcp->token, failure);
	snprintf(gcp->token.kind, sizeof(gcp->token.kind), "metadata server");
	return category;
}

/*
 * what completes "The Google credentials file"; it quotes nothing of the file.
 */
static prov_category
fail_file(prov_failure *failure, const char *what)
{
	char		reason[sizeof(failure->reason)];

	snprintf(reason, sizeof(reason), "The Google credentials file %s.", what);
	return prov_fail(failure, PROV_MISCONFIGURED, reason, NULL);
}
