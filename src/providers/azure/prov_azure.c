/*
 * prov_azure.c
 *	  Root keys in Azure Key Vault and Managed HSM.
 *
 * wrapKey, unwrapKey and get of a key, api-version 7.4.  Vaults wrap with RSA
 * (RSA-OAEP-256), a managed HSM with AES (A256KW).  Neither takes additional
 * data, so the plaintext itself holds the binding to its key, and the caller
 * checks it.
 *
 * A version of a key opens only what it sealed, so the version is stored with
 * the sealed bytes: "azurekv:v1:ALGORITHM:VERSION:" and the wrapped bytes in
 * base64url.  An attacker who can write the catalog gains nothing by changing
 * the prefix: the URI fixes the key's name, and an AES key opens nothing with
 * an older RSA version of that name.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/azure/prov_azure.h"
#include "providers/azure/prov_azure_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "providers/http/kms_services.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"

#define SEALED_PREFIX "azurekv:v1:"
#define RSA_OAEP "RSA-OAEP-256"
#define AES_WRAP "A256KW"

#define PREFIX_SIZE (sizeof(SEALED_PREFIX) + 16 + PROV_AZURE_VERSION_SIZE)
#define REQUEST_SIZE (2 * PROV_SEALED_MAX)

static prov_category azure_open(const prov_uri *uri, void **state,
								prov_failure *failure);
static prov_category take_key(prov_azure *azure, prov_failure *failure);
static prov_category take_cloud(prov_azure *azure, prov_failure *failure);
static prov_category azure_seal(void *state, const char *key,
								const uint8_t *plaintext, prov_sealed *sealed,
								prov_failure *failure);
static prov_category azure_unseal(void *state, const char *key,
								  envl_view sealed, uint8_t *plaintext,
								  prov_failure *failure);
static bool read_prefix(envl_view sealed, char *prefix, char *algorithm,
						char *version);
static prov_category azure_check(void *state, prov_check *check,
								 prov_failure *failure);
static prov_category check_key(const prov_azure *azure,
							   const prov_json *json, prov_check *check,
							   prov_failure *failure);
static void azure_close(void *state);
static void name_root_key(const prov_azure *azure, const char *version,
						  char *root_key);

static const char *const words[] = {
	"algorithm",
	"authority",
	"client-id",
	"client-secret-file",
	"federated-token-file",
	"resource",
	"tenant-id",
	NULL,
};

const prov_service prov_azure_service = {
	.scheme = "azurekv",
	.open = azure_open,
	.seal = azure_seal,
	.unseal = azure_unseal,
	.check = azure_check,
	.close = azure_close,
};

/* ---------------------------------------------------------------------- */

static prov_category
azure_open(const prov_uri *uri, void **state, prov_failure *failure)
{
	prov_azure *azure;
	prov_category category;

	category = prov_uri_only(uri, words, prov_http_words, failure);
	if (category != PROV_OK)
		return category;
	azure = calloc(1, sizeof(*azure));
	if (azure == NULL)
		return prov_cloud_no_memory(failure);
	azure->uri = *uri;
	category = take_key(azure, failure);
	if (category == PROV_OK)
		category = take_cloud(azure, failure);
	if (category == PROV_OK)
		category = prov_http_open(uri, NULL, &azure->http, failure);
	if (category != PROV_OK)
	{
		free(azure);
		return category;
	}
	*state = azure;
	return PROV_OK;
}

/* /keys/NAME[/VERSION] */
static prov_category
take_key(prov_azure *azure, prov_failure *failure)
{
	envl_view	rest = {(const uint8_t *) azure->uri.path,
						strlen(azure->uri.path)};
	envl_view	parts[4];
	size_t		count = 0;

	while (count < 4 && prov_uri_next_part(&rest, '/', &parts[count]))
		count++;
	if (azure->uri.host[0] == '\0' || rest.data != NULL || count < 3 ||
		parts[0].len > 0 || !envl_view_equal(parts[1], ENVL_LITERAL("keys")) ||
		!prov_cloud_is_word(parts[2], sizeof(azure->name) - 1) ||
		(count == 4 &&
		 !prov_cloud_is_word(parts[3], sizeof(azure->version) - 1)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The URI of an Azure key is azurekv://HOST/keys/NAME "
						 "or azurekv://HOST/keys/NAME/VERSION.",
						 NULL);
	prov_cloud_copy(parts[2], azure->name);
	if (count == 4)
		prov_cloud_copy(parts[3], azure->version);
	if (azure->uri.port != 0)
		snprintf(azure->origin, sizeof(azure->origin), "https://%s:%u",
				 azure->uri.host, azure->uri.port);
	else
		snprintf(azure->origin, sizeof(azure->origin), "https://%s",
				 azure->uri.host);
	return PROV_OK;
}

/*
 * Finds the audience and the issuer of tokens by the domain of the host. They
 * are never taken from a server's reply, which might name an attacker's.
 */
static prov_category
take_cloud(prov_azure *azure, prov_failure *failure)
{
	static const struct
	{
		const char *domain;
		const char *authority;
		const char *algorithm;
	} clouds[] = {
		{"vault.azure.net", "https://login.microsoftonline.com", RSA_OAEP},
		{"managedhsm.azure.net", "https://login.microsoftonline.com",
		 AES_WRAP},
		{"vault.azure.cn", "https://login.chinacloudapi.cn", RSA_OAEP},
		{"managedhsm.azure.cn", "https://login.chinacloudapi.cn", AES_WRAP},
		{"vault.usgovcloudapi.net", "https://login.microsoftonline.us",
		 RSA_OAEP},
		{"managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us",
		 AES_WRAP},
	};
	const char *domain = strchr(azure->uri.host, '.');
	const char *algorithm = prov_uri_word(&azure->uri, "algorithm");
	const char *authority = prov_uri_setting_of(&azure->uri, "authority",
												"AZURE_AUTHORITY_HOST");
	const char *resource = prov_uri_word(&azure->uri, "resource");
	bool		known = false;
	size_t		found = 0;
	size_t		len;

	for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++)
	{
		if (domain != NULL && strcasecmp(domain + 1, clouds[i].domain) == 0)
		{
			known = true;
			found = i;
		}
	}
	if (!known && resource == NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The URI's host is not in a domain of Azure's key "
						 "services; if it is right, set \"resource\" to the "
						 "audience of tokens.",
						 NULL);
	azure->algorithm = clouds[found].algorithm;
	if (algorithm != NULL)
	{
		if (strcmp(algorithm, RSA_OAEP) != 0 &&
			strcmp(algorithm, AES_WRAP) != 0)
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "\"algorithm\" is " RSA_OAEP " or " AES_WRAP ".",
							 NULL);
		if (strcmp(algorithm, RSA_OAEP) == 0)
			azure->algorithm = RSA_OAEP;
		else
			azure->algorithm = AES_WRAP;
	}
	if (authority == NULL)
		authority = clouds[found].authority;
	if (snprintf(azure->authority, sizeof(azure->authority), "%s%s",
				 strstr(authority, "://") == NULL ? "https://" : "",
				 authority) >= (int) sizeof(azure->authority) ||
		(resource != NULL && strlen(resource) >= sizeof(azure->resource)))
		return prov_cloud_too_long(failure);
	len = strlen(azure->authority);
	if (azure->authority[len - 1] == '/')
		azure->authority[len - 1] = '\0';
	if (resource != NULL)
		snprintf(azure->resource, sizeof(azure->resource), "%s", resource);
	else
		snprintf(azure->resource, sizeof(azure->resource), "https://%s",
				 clouds[found].domain);
	return PROV_OK;
}

static void
azure_close(void *state)
{
	prov_azure *azure = state;

	prov_http_close(azure->http);
	envl_wipe(azure, sizeof(*azure));
	free(azure);
}

/* ---------------------------------------------------------------------- */

static prov_category
azure_seal(void *state, const char *key, const uint8_t *plaintext,
		   prov_sealed *sealed, prov_failure *failure)
{
	prov_azure *azure = state;
	envl_view	bytes = {plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	uint8_t		wrapped[PROV_SEALED_MAX];
	char		prefix[PREFIX_SIZE];
	char		request[512];
	prov_json_writer writer;
	prov_azure_answer answer;
	envl_view	body;
	size_t		len;
	prov_category category;

	(void) key;
	prov_http_begin(azure->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "alg", azure->algorithm);
	prov_json_put_base64(&writer, "value", ENVL_BASE64_URL, bytes);
	if (prov_json_end(&writer, &body))
		category = prov_azure_call(azure, azure->version, "/wrapkey", body,
								   &answer,
								   failure);
	else
		category = prov_cloud_too_long(failure);
	envl_wipe(request, sizeof(request));
	if (category != PROV_OK)
		return category;

	snprintf(prefix, sizeof(prefix), SEALED_PREFIX "%s:%s:",
			 azure->algorithm, answer.version);
	if (answer.version[0] == '\0' ||
		(azure->version[0] != '\0' &&
		 strcasecmp(answer.version, azure->version) != 0) ||
		!prov_json_base64(answer.json, "value", ENVL_BASE64_URL, wrapped,
						  sizeof(wrapped), &len) ||
		!prov_cloud_write_sealed(sealed, prefix, ENVL_BASE64_URL,
								 (envl_view) {wrapped, len}))
		category = prov_azure_rubbish(failure, &answer.reply);
	else
		name_root_key(azure, answer.version, sealed->root_key);
	prov_azure_end(&answer);
	return category;
}

static prov_category
azure_unseal(void *state, const char *key, envl_view sealed,
			 uint8_t *plaintext, prov_failure *failure)
{
	prov_azure *azure = state;
	uint8_t		wrapped[PROV_SEALED_MAX + 3];
	char		prefix[PREFIX_SIZE];
	char		algorithm[16];
	char		version[PROV_AZURE_VERSION_SIZE];
	char		request[REQUEST_SIZE];
	prov_json_writer writer;
	prov_azure_answer answer;
	envl_view	body;
	size_t		len;
	prov_category category;

	(void) key;
	if (!read_prefix(sealed, prefix, algorithm, version) ||
		!prov_cloud_read_sealed(sealed, prefix, ENVL_BASE64_URL, wrapped,
								&len))
		return prov_cloud_not_ours(failure);
	if (strcmp(azure->algorithm, AES_WRAP) == 0 &&
		strcmp(algorithm, AES_WRAP) != 0)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The key was sealed with RSA, which anyone with the "
						 "public key can do; the root key is an AES key.",
						 NULL);
	prov_http_begin(azure->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "alg", algorithm);
	prov_json_put_base64(&writer, "value", ENVL_BASE64_URL,
						 (envl_view) {wrapped, len});
	if (prov_json_end(&writer, &body))
		category = prov_azure_call(azure, version, "/unwrapkey", body,
								   &answer, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	if (!prov_json_has(answer.json, "value") || answer.version[0] == '\0')
		category = prov_azure_rubbish(failure, &answer.reply);
	else if (strcasecmp(answer.version, version) != 0)
		category = prov_fail(failure, PROV_INTEGRITY,
							 "Another version of the key than the requested "
							 "one opened the sealed key.",
							 NULL);
	else if (!prov_json_base64(answer.json, "value", ENVL_BASE64_URL,
							   plaintext, ENVL_SEALED_PLAINTEXT_LEN, &len) ||
			 len != ENVL_SEALED_PLAINTEXT_LEN)
		category = prov_cloud_wrong_length(failure);
	prov_azure_end(&answer);
	return category;
}

/* Parses azurekv:v1:ALGORITHM:VERSION: and writes it again. */
static bool
read_prefix(envl_view sealed, char *prefix, char *algorithm, char *version)
{
	const size_t start = sizeof(SEALED_PREFIX) - 1;
	envl_view	rest = sealed;
	envl_view	parts[2];

	if (sealed.len < start || memcmp(sealed.data, SEALED_PREFIX, start) != 0)
		return false;
	rest.data += start;
	rest.len -= start;
	if (!prov_uri_next_part(&rest, ':', &parts[0]) ||
		!prov_uri_next_part(&rest, ':', &parts[1]) ||
		!(envl_view_equal(parts[0], ENVL_LITERAL(RSA_OAEP)) ||
		  envl_view_equal(parts[0], ENVL_LITERAL(AES_WRAP))) ||
		!prov_cloud_is_word(parts[1], PROV_AZURE_VERSION_SIZE - 1))
		return false;
	prov_cloud_copy(parts[0], algorithm);
	prov_cloud_copy(parts[1], version);
	snprintf(prefix, PREFIX_SIZE, SEALED_PREFIX "%s:%s:", algorithm, version);
	return true;
}

/* ---------------------------------------------------------------------- */

static prov_category
azure_check(void *state, prov_check *check, prov_failure *failure)
{
	prov_azure *azure = state;
	prov_azure_answer answer;
	prov_category category;

	prov_http_begin(azure->http);
	category = prov_azure_call(azure, azure->version, "",
							   (envl_view) {NULL, 0}, &answer,
							   failure);
	if (category != PROV_OK)
		return category;
	if (answer.version[0] == '\0')
		category = prov_azure_rubbish(failure, &answer.reply);
	else
		category = check_key(azure, answer.json, check, failure);
	if (category == PROV_OK)
	{
		name_root_key(azure, answer.version, check->root_key);
		snprintf(check->credential, sizeof(check->credential), "%s",
				 azure->token.kind);
		check->expires = azure->token.expires;
	}
	prov_azure_end(&answer);
	return category;
}

static prov_category
check_key(const prov_azure *azure, const prov_json *json, prov_check *check,
		  prov_failure *failure)
{
	int64_t		now = prov_clock_seconds();
	int64_t		when;
	bool		enabled = true;
	char		type[16] = "";
	bool		is_rsa;

	(void) prov_json_boolean(json, "attributes.enabled", &enabled);
	(void) prov_json_string(json, "key.kty", type, sizeof(type));
	is_rsa = strncmp(type, "RSA", 3) == 0;
	if (!enabled)
		return prov_fail(failure, PROV_DISABLED, "The root key is disabled.",
						 NULL);
	if (prov_json_number(json, "attributes.nbf", &when) && when > now)
		return prov_fail(failure, PROV_DISABLED,
						 "The root key is not valid yet.", NULL);
	if (is_rsa != (strcmp(azure->algorithm, RSA_OAEP) == 0))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key is not of the kind that the algorithm "
						 "needs.",
						 "The key is %s, the algorithm %s.",
						 is_rsa ? "RSA" : "not RSA", azure->algorithm);
	if (prov_json_number(json, "attributes.exp", &when) && when <= now)
		snprintf(check->warning, sizeof(check->warning),
				 "The root key has expired: it can open, but not seal.");
	return PROV_OK;
}

/* ---------------------------------------------------------------------- */

/* NAME/VERSION, or the version alone if that is too long. */
static void
name_root_key(const prov_azure *azure, const char *version, char *root_key)
{
	int			len = snprintf(root_key, PROV_ROOT_KEY_MAX, "%s/%s",
							   azure->name, version);

	if (len >= PROV_ROOT_KEY_MAX)
		snprintf(root_key, PROV_ROOT_KEY_MAX, "%s", version);
}
