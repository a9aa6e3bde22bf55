/*
 * prov_gcp.c
 *	  Root keys in Google Cloud KMS.
 *
 * encrypt, decrypt and get of a key, over REST.  The additional authenticated
 * data says which KEK a request is for ("0123456789ab/1").  Checksums
 * (CRC-32C) go both ways: the service confirms what it received, and we
 * compare what it sends.  A damaged request or reply is repeated.
 *
 * The key's primary version seals, and the service finds the version that
 * opens.  The sealed bytes are "gcpkms:v1:" and the ciphertext in base64.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/gcp/prov_gcp.h"
#include "providers/gcp/prov_gcp_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/gcp/prov_crc32c.h"
#include "providers/http/kms_services.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"

#define SEALED_PREFIX "gcpkms:v1:"
#define ENDPOINT "https://cloudkms.googleapis.com"
#define VERSIONS "/cryptoKeyVersions/"

/* How often a request is sent if it or its reply arrives damaged. */
#define TRIES 3

#define REQUEST_SIZE (2 * PROV_SEALED_MAX)

static prov_category gcp_open(const prov_uri *uri, void **state,
							  prov_failure *failure);
static prov_category take_name(prov_gcp *gcp, prov_failure *failure);
static bool is_name_part(envl_view part);
static bool is_text(envl_view part, const char *text);
static prov_category gcp_seal(void *state, const char *key,
							  const uint8_t *plaintext, prov_sealed *sealed,
							  prov_failure *failure);
static bool take_ciphertext(const prov_gcp *gcp, const prov_json *json,
							prov_sealed *sealed, bool *damaged);
static prov_category gcp_unseal(void *state, const char *key,
								envl_view sealed, uint8_t *plaintext,
								prov_failure *failure);
static prov_category gcp_check(void *state, prov_check *check,
							   prov_failure *failure);
static void gcp_close(void *state);
static void put_checked(prov_json_writer *writer, const char *name,
						const char *crc_name, envl_view bytes);
static bool crc_matches(const prov_json *json, const char *name,
						envl_view bytes);
static bool root_key_of(const prov_gcp *gcp, const char *version,
						char *root_key);
static prov_category fail_damaged(prov_failure *failure);

static const char *const words[] = {
	"credentials-file",
	"endpoint",
	"quota-project",
	NULL,
};

const prov_service prov_gcp_service = {
	.scheme = "gcpkms",
	.open = gcp_open,
	.seal = gcp_seal,
	.unseal = gcp_unseal,
	.check = gcp_check,
	.close = gcp_close,
};

/* ---------------------------------------------------------------------- */

static prov_category
gcp_open(const prov_uri *uri, void **state, prov_failure *failure)
{
	const char *endpoint =
		prov_uri_setting_of(uri, "endpoint",
							"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS");
	const char *project = prov_uri_setting_of(uri, "quota-project",
											  "GOOGLE_CLOUD_QUOTA_PROJECT");
	prov_gcp   *gcp;
	size_t		len;
	prov_category category;

	category = prov_uri_only(uri, words, prov_http_words, failure);
	if (category != PROV_OK)
		return category;
	gcp = calloc(1, sizeof(*gcp));
	if (gcp == NULL)
		return prov_cloud_no_memory(failure);
	gcp->uri = *uri;
	if (endpoint == NULL)
		endpoint = ENDPOINT;
	snprintf(gcp->endpoint, sizeof(gcp->endpoint), "%s", endpoint);
	len = strlen(gcp->endpoint);
	if (len > 0 && gcp->endpoint[len - 1] == '/')
		gcp->endpoint[len - 1] = '\0';
	if (project != NULL)
		snprintf(gcp->quota_project, sizeof(gcp->quota_project), "%s",
				 project);
	category = take_name(gcp, failure);
	if (strlen(endpoint) >= sizeof(gcp->endpoint) ||
		(project != NULL && strlen(project) >= sizeof(gcp->quota_project)))
		category = prov_cloud_too_long(failure);
	if (category == PROV_OK)
		category = prov_http_open(uri, NULL, &gcp->http, failure);
	if (category != PROV_OK)
	{
		free(gcp);
		return category;
	}
	*state = gcp;
	return PROV_OK;
}

/* The URI's host is the first part of the key's name. */
static prov_category
take_name(prov_gcp *gcp, prov_failure *failure)
{
	static const char *const fixed[] = {
		"projects",
		NULL,
		"locations",
		NULL,
		"keyRings",
		NULL,
		"cryptoKeys",
		NULL,
	};
	const size_t count = sizeof(fixed) / sizeof(fixed[0]);
	envl_view	rest = {(const uint8_t *) gcp->name, 0};
	envl_view	part;
	size_t		i = 0;
	int			len;

	len = snprintf(gcp->name, sizeof(gcp->name), "%s%s", gcp->uri.host,
				   gcp->uri.path);
	if (gcp->uri.host[0] != '\0' && gcp->uri.port == 0 && len > 0 &&
		(size_t) len < sizeof(gcp->name))
	{
		rest.len = (size_t) len;
		while (i < count && prov_uri_next_part(&rest, '/', &part))
		{
			if (fixed[i] == NULL ?
					!is_name_part(part) :
					!is_text(part, fixed[i]))
				break;
			gcp->short_name = (const char *) part.data;
			i++;
		}
		if (i == count && rest.data == NULL)
			return PROV_OK;
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "The URI of a Google key is gcpkms://projects/PROJECT/"
					 "locations/LOCATION/keyRings/RING/cryptoKeys/KEY.",
					 NULL);
}

/* A project's name may have a domain and a colon. */
static bool
is_name_part(envl_view part)
{
	if (part.len == 0 || part.len > 100 || part.data[0] == '.')
		return false;
	for (size_t i = 0; i < part.len; i++)
	{
		uint8_t		c = part.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
			  c == ':'))
			return false;
	}
	return true;
}

static bool
is_text(envl_view part, const char *text)
{
	return part.len == strlen(text) &&
		memcmp(part.data, text, part.len) == 0;
}

static void
gcp_close(void *state)
{
	prov_gcp   *gcp = state;

	prov_http_close(gcp->http);
	envl_wipe(gcp, sizeof(*gcp));
	free(gcp);
}

/* ---------------------------------------------------------------------- */

static prov_category
gcp_seal(void *state, const char *key, const uint8_t *plaintext,
		 prov_sealed *sealed, prov_failure *failure)
{
	prov_gcp   *gcp = state;
	envl_view	bytes = {plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	envl_view	aad = {(const uint8_t *) key, strlen(key)};
	char		request[1024];
	prov_json_writer writer;
	prov_http_reply reply;
	prov_json  *json;
	envl_view	body;
	bool		damaged = true;
	prov_category category = PROV_OK;

	prov_http_begin(gcp->http);
	prov_json_begin(&writer, request, sizeof(request));
	put_checked(&writer, "plaintext", "plaintextCrc32c", bytes);
	put_checked(&writer, "additionalAuthenticatedData",
				"additionalAuthenticatedDataCrc32c", aad);
	if (!prov_json_end(&writer, &body))
		category = prov_cloud_too_long(failure);
	for (int i = 0; i < TRIES && damaged && category == PROV_OK; i++)
	{
		category = prov_gcp_call(gcp, ":encrypt", body, &reply, failure);
		if (category != PROV_OK)
			break;
		json = prov_json_parse(reply.body, reply.body_len);
		if (json == NULL || !take_ciphertext(gcp, json, sealed, &damaged))
			category = prov_gcp_rubbish(failure, &reply);
		prov_json_free(json);
	}
	envl_wipe(request, sizeof(request));
	if (category == PROV_OK && damaged)
		category = fail_damaged(failure);
	return category;
}

/*
 * False: the reply is not valid.  *damaged: the request or the reply was
 * damaged in transit.
 */
static bool
take_ciphertext(const prov_gcp *gcp, const prov_json *json,
				prov_sealed *sealed, bool *damaged)
{
	uint8_t		ciphertext[PROV_SEALED_MAX];
	char		name[sizeof(gcp->name) + 64];
	envl_view	view = {ciphertext, 0};
	bool		got_plaintext = false;
	bool		got_aad = false;

	if (!prov_json_string(json, "name", name, sizeof(name)) ||
		!root_key_of(gcp, name, sealed->root_key) ||
		!prov_json_base64(json, "ciphertext", ENVL_BASE64_STANDARD,
						  ciphertext, sizeof(ciphertext), &view.len) ||
		!prov_cloud_write_sealed(sealed, SEALED_PREFIX, ENVL_BASE64_STANDARD,
								 view))
		return false;
	(void) prov_json_boolean(json, "verifiedPlaintextCrc32c", &got_plaintext);
	(void) prov_json_boolean(json, "verifiedAdditionalAuthenticatedDataCrc32c",
							 &got_aad);
	*damaged = !got_plaintext || !got_aad ||
		!crc_matches(json, "ciphertextCrc32c", view);
	return true;
}

static prov_category
gcp_unseal(void *state, const char *key, envl_view sealed,
		   uint8_t *plaintext, prov_failure *failure)
{
	prov_gcp   *gcp = state;
	envl_view	aad = {(const uint8_t *) key, strlen(key)};
	envl_view	opened = {plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	uint8_t		ciphertext[PROV_SEALED_MAX + 3];
	envl_view	view = {ciphertext, 0};
	char		request[REQUEST_SIZE];
	prov_json_writer writer;
	prov_http_reply reply;
	prov_json  *json;
	envl_view	body;
	size_t		len;
	bool		damaged = true;
	prov_category category = PROV_OK;

	if (!prov_cloud_read_sealed(sealed, SEALED_PREFIX, ENVL_BASE64_STANDARD,
								ciphertext, &view.len))
		return prov_cloud_not_ours(failure);
	prov_http_begin(gcp->http);
	prov_json_begin(&writer, request, sizeof(request));
	put_checked(&writer, "ciphertext", "ciphertextCrc32c", view);
	put_checked(&writer, "additionalAuthenticatedData",
				"additionalAuthenticatedDataCrc32c", aad);
	if (!prov_json_end(&writer, &body))
		return prov_cloud_too_long(failure);
	for (int i = 0; i < TRIES && damaged && category == PROV_OK; i++)
	{
		category = prov_gcp_call(gcp, ":decrypt", body, &reply, failure);
		if (category != PROV_OK)
			return category;
		json = prov_json_parse(reply.body, reply.body_len);
		if (json == NULL || !prov_json_has(json, "plaintext"))
			category = prov_gcp_rubbish(failure, &reply);
		else if (!prov_json_base64(json, "plaintext", ENVL_BASE64_STANDARD,
								   plaintext, ENVL_SEALED_PLAINTEXT_LEN,
								   &len) ||
				 len != ENVL_SEALED_PLAINTEXT_LEN)
			category = prov_cloud_wrong_length(failure);
		else
			damaged = !crc_matches(json, "plaintextCrc32c", opened);
		prov_json_free(json);
		envl_wipe(&reply, sizeof(reply));
	}
	if (category == PROV_OK && damaged)
		category = fail_damaged(failure);
	if (category != PROV_OK)
		envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
	return category;
}

static prov_category
gcp_check(void *state, prov_check *check, prov_failure *failure)
{
	prov_gcp   *gcp = state;
	char		name[sizeof(gcp->name) + 64];
	char		key_state[32] = "";
	char		purpose[32];
	prov_http_reply reply;
	prov_json  *json;
	prov_category category;

	prov_http_begin(gcp->http);
	category = prov_gcp_call(gcp, "", (envl_view) {NULL, 0}, &reply, failure);
	if (category != PROV_OK)
		return category;
	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_string(json, "purpose", purpose, sizeof(purpose)))
		category = prov_gcp_rubbish(failure, &reply);
	else if (strcmp(purpose, "ENCRYPT_DECRYPT") != 0)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The root key's purpose is not symmetric "
							 "encryption (ENCRYPT_DECRYPT).",
							 NULL);
	else if (!prov_json_string(json, "primary.state", key_state,
							   sizeof(key_state)) ||
			 strcmp(key_state, "ENABLED") != 0)
		category = prov_fail(failure, PROV_DISABLED,
							 "The root key has no primary version that is "
							 "enabled.",
							 NULL);
	else if (!prov_json_string(json, "primary.name", name, sizeof(name)) ||
			 !root_key_of(gcp, name, check->root_key))
		category = prov_gcp_rubbish(failure, &reply);
	prov_json_free(json);
	if (category != PROV_OK)
		return category;
	snprintf(check->credential, sizeof(check->credential), "%s",
			 gcp->token.kind);
	check->expires = gcp->token.expires;
	return PROV_OK;
}

/* ---------------------------------------------------------------------- */

/* JSON spells an int64 as a string. */
static void
put_checked(prov_json_writer *writer, const char *name, const char *crc_name,
			envl_view bytes)
{
	char		decimal[16];

	snprintf(decimal, sizeof(decimal), "%u", prov_crc32c(bytes));
	prov_json_put_base64(writer, name, ENVL_BASE64_STANDARD, bytes);
	prov_json_put(writer, crc_name, decimal);
}

static bool
crc_matches(const prov_json *json, const char *name, envl_view bytes)
{
	int64_t		crc;

	return prov_json_number(json, name, &crc) &&
		crc == (int64_t) prov_crc32c(bytes);
}

/*
 * Takes KEY/NUMBER from the full name of a version.  False if it is another
 * key's.
 */
static bool
root_key_of(const prov_gcp *gcp, const char *version, char *root_key)
{
	size_t		len = strlen(gcp->name);
	const char *number = version + len + sizeof(VERSIONS) - 1;
	int			written;

	if (strncmp(version, gcp->name, len) != 0 ||
		strncmp(version + len, VERSIONS, sizeof(VERSIONS) - 1) != 0 ||
		*number == '\0' || number[strspn(number, "0123456789")] != '\0')
		return false;
	written = snprintf(root_key, PROV_ROOT_KEY_MAX, "%s/%s", gcp->short_name,
					   number);
	return written > 0 && written < PROV_ROOT_KEY_MAX;
}

static prov_category
fail_damaged(prov_failure *failure)
{
	return prov_fail(failure, PROV_UNAVAILABLE,
					 "A request to Google Cloud KMS or its reply was damaged "
					 "on the way: a checksum is missing or wrong.",
					 NULL);
}
