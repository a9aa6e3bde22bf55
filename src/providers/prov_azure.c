/*
 * prov_azure.c
 *	  Root keys in Azure Key Vault and Managed HSM.
 *
 * wrapKey, unwrapKey and get of a key, api-version 7.4.  Vaults wrap with RSA
 * (RSA-OAEP-256), a managed HSM with AES (A256KW).  Neither takes additional
 * data: what is sealed is bound to its key by what is in it, which the caller
 * checks.
 *
 * A version of a key opens only what it has sealed itself, so it is kept with
 * it.  The sealed bytes are "azurekv:v1:ALGORITHM:VERSION:" and the wrapped
 * bytes in base64url.  That may come from somebody who can write the catalog,
 * who gains nothing by it: the key's name is the URI's.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "prov_azure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kms_services.h"
#include "prov_cloud.h"
#include "prov_json.h"

#define API_VERSION "7.4"
#define SEALED_PREFIX "azurekv:v1:"
#define RSA_OAEP "RSA-OAEP-256"
#define AES_WRAP "A256KW"

#define PREFIX_SIZE (sizeof(SEALED_PREFIX) + 16 + PROV_AZURE_VERSION_SIZE)
#define REQUEST_SIZE (2 * PROV_SEALED_MAX)

/* Of a reply: what it says of the key that it used. */
typedef struct key_answer
{
	prov_http_reply reply;
	prov_json  *json;
	char		version[PROV_AZURE_VERSION_SIZE];
} key_answer;

static prov_category azure_open(const prov_uri *uri, void **state,
								prov_failure *failure);
static prov_category take_key(prov_azure *azure, prov_failure *failure);
static prov_category take_cloud(prov_azure *azure, prov_failure *failure);
static bool is_word(envl_view part, size_t size);
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
static bool version_of(const prov_azure *azure, const char *kid,
					   char *version);
static void name_root_key(const prov_azure *azure, const char *version,
						  char *root_key);
static prov_category call(prov_azure *azure, const char *version,
						  const char *verb, envl_view body,
						  key_answer *answer, prov_failure *failure);
static prov_category call_once(prov_azure *azure, const char *version,
							   const char *verb, envl_view body,
							   prov_http_reply *reply,
							   prov_failure *failure);
static void end_answer(key_answer *answer);
static prov_category classify(const prov_http_reply *reply);
static void error_code(const prov_http_reply *reply, char *code, size_t size);
static prov_category fail_reply(prov_failure *failure, const char *verb,
								const prov_http_reply *reply);
static prov_category fail_rubbish(prov_failure *failure,
								  const prov_http_reply *reply);

static const char *const wanted_headers[] = {"x-ms-request-id", NULL};

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

/* The inner code goes before the outer one: "Forbidden" may be many things. */
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
		!is_word(parts[2], sizeof(azure->name)) ||
		(count == 4 && !is_word(parts[3], sizeof(azure->version))))
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
 * Whom tokens are for, and who gives them, by the domain of the host: it is
 * never taken from what a server says, which might be another's.
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
	size_t		found = 0;
	size_t		len;

	for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++)
	{
		if (domain != NULL && strcasecmp(domain + 1, clouds[i].domain) == 0)
			found = i;
	}
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
	snprintf(azure->authority, sizeof(azure->authority), "%s%s",
			 strstr(authority, "://") == NULL ? "https://" : "", authority);
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

/* Letters, digits and hyphens, with room for a NUL in size. */
static bool
is_word(envl_view part, size_t size)
{
	if (part.len == 0 || part.len >= size)
		return false;
	for (size_t i = 0; i < part.len; i++)
	{
		uint8_t		c = part.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
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
	key_answer	answer;
	envl_view	body;
	size_t		len;
	prov_category category;

	(void) key;
	prov_http_begin(azure->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "alg", azure->algorithm);
	prov_json_put_base64(&writer, "value", ENVL_BASE64_URL, bytes);
	if (prov_json_end(&writer, &body))
		category = call(azure, azure->version, "/wrapkey", body, &answer,
						failure);
	else
		category = prov_cloud_too_long(failure);
	envl_wipe(request, sizeof(request));
	if (category != PROV_OK)
		return category;

	snprintf(prefix, sizeof(prefix), SEALED_PREFIX "%s:%s:",
			 azure->algorithm, answer.version);
	if (answer.version[0] == '\0' ||
		!prov_json_base64(answer.json, "value", ENVL_BASE64_URL, wrapped,
						  sizeof(wrapped), &len) ||
		!prov_cloud_write_sealed(sealed, prefix, ENVL_BASE64_URL,
								 (envl_view) {wrapped, len}))
		category = fail_rubbish(failure, &answer.reply);
	else
		name_root_key(azure, answer.version, sealed->root_key);
	end_answer(&answer);
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
	key_answer	answer;
	envl_view	body;
	size_t		len;
	prov_category category;

	(void) key;
	if (!read_prefix(sealed, prefix, algorithm, version) ||
		!prov_cloud_read_sealed(sealed, prefix, ENVL_BASE64_URL, wrapped,
								&len))
		return prov_cloud_not_ours(failure);
	prov_http_begin(azure->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "alg", algorithm);
	prov_json_put_base64(&writer, "value", ENVL_BASE64_URL,
						 (envl_view) {wrapped, len});
	if (prov_json_end(&writer, &body))
		category = call(azure, version, "/unwrapkey", body, &answer, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	if (!prov_json_has(answer.json, "value"))
		category = fail_rubbish(failure, &answer.reply);
	else if (!prov_json_base64(answer.json, "value", ENVL_BASE64_URL,
							   plaintext, ENVL_SEALED_PLAINTEXT_LEN, &len) ||
			 len != ENVL_SEALED_PLAINTEXT_LEN)
		category = prov_cloud_wrong_length(failure);
	end_answer(&answer);
	return category;
}

/* Takes apart azurekv:v1:ALGORITHM:VERSION: and writes it again. */
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
		!is_word(parts[1], PROV_AZURE_VERSION_SIZE))
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
	key_answer	answer;
	prov_category category;

	prov_http_begin(azure->http);
	category = call(azure, azure->version, "", (envl_view) {NULL, 0}, &answer,
					failure);
	if (category != PROV_OK)
		return category;
	if (answer.version[0] == '\0')
		category = fail_rubbish(failure, &answer.reply);
	else
		category = check_key(azure, answer.json, check, failure);
	if (category == PROV_OK)
	{
		name_root_key(azure, answer.version, check->root_key);
		snprintf(check->credential, sizeof(check->credential), "%s",
				 azure->token.kind);
		check->expires = azure->token.expires;
	}
	end_answer(&answer);
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
				 "The root key has expired: it opens, and may not seal.");
	return PROV_OK;
}

/* ---------------------------------------------------------------------- */

/* The version in a kid, https://HOST/keys/NAME/VERSION, of our key. */
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
	if (!is_word(view, PROV_AZURE_VERSION_SIZE))
		return false;
	prov_cloud_copy(view, version);
	return true;
}

/* NAME/VERSION; the version alone if that is too long. */
static void
name_root_key(const prov_azure *azure, const char *version, char *root_key)
{
	int			len = snprintf(root_key, PROV_ROOT_KEY_MAX, "%s/%s",
							   azure->name, version);

	if (len >= PROV_ROOT_KEY_MAX)
		snprintf(root_key, PROV_ROOT_KEY_MAX, "%s", version);
}

/*
 * Calls, and takes the answer apart; a token that is refused is replaced,
 * once.  After PROV_OK: end_answer.
 */
static prov_category
call(prov_azure *azure, const char *version, const char *verb, envl_view body,
	 key_answer *answer, prov_failure *failure)
{
	char		kid[640];
	prov_http_reply *reply = &answer->reply;
	prov_category category;

	answer->json = NULL;
	answer->version[0] = '\0';
	category = call_once(azure, version, verb, body, reply, failure);
	if (category == PROV_OK && reply->status == 401)
	{
		envl_wipe(&azure->token, sizeof(azure->token));
		category = call_once(azure, version, verb, body, reply, failure);
	}
	if (category != PROV_OK)
		return category;
	if (reply->status != 200)
		return fail_reply(failure, verb, reply);
	answer->json = prov_json_parse(reply->body, reply->body_len);
	if (answer->json == NULL)
	{
		category = fail_rubbish(failure, reply);
		end_answer(answer);
		return category;
	}
	if (prov_json_string(answer->json, verb[0] != '\0' ? "kid" : "key.kid",
						 kid, sizeof(kid)))
		(void) version_of(azure, kid, answer->version);
	return PROV_OK;
}

/* Without a body it is GET. */
static prov_category
call_once(prov_azure *azure, const char *version, const char *verb,
		  envl_view body, prov_http_reply *reply, prov_failure *failure)
{
	char		url[PROV_HTTP_URL_MAX];
	char		authorization[PROV_OAUTH_TOKEN_SIZE + 32];
	const char *const headers[] = {
		authorization,
		"Content-Type: application/json",
		"Accept: application/json",
		NULL,
	};
	prov_http_request request = {
		.method = body.len > 0 ? "POST" : "GET",
		.url = url,
		.headers = headers,
		.body = body,
		.wanted = wanted_headers,
		.classify = classify,
	};
	prov_oauth_token kept;
	prov_category category;

	if (!prov_oauth_is_fresh(&azure->token))
	{
		kept = azure->token;
		category = prov_azure_get_token(azure, failure);
		if (category != PROV_OK && prov_oauth_is_valid(&kept))
		{
			azure->token = kept;
			category = PROV_OK;
		}
		envl_wipe(&kept, sizeof(kept));
		if (category != PROV_OK)
			return category;
	}
	snprintf(url, sizeof(url), "%s/keys/%s%s%s%s?api-version=" API_VERSION,
			 azure->origin, azure->name, version[0] != '\0' ? "/" : "",
			 version, verb);
	category = prov_oauth_header(&azure->token, authorization,
								 sizeof(authorization)) ?
		prov_http_call(azure->http, &request, reply, failure) :
		prov_cloud_too_long(failure);
	envl_wipe(authorization, sizeof(authorization));
	return category;
}

static void
end_answer(key_answer *answer)
{
	prov_json_free(answer->json);
	envl_wipe(answer, sizeof(*answer));
}

static prov_category
classify(const prov_http_reply *reply)
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

/* What the service cannot unwrap is a bad parameter to it. */
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
	prov_category category = classify(reply);

	error_code(reply, code, sizeof(code));
	if (strcmp(verb, "/unwrapkey") == 0 && reply->status == 400 &&
		category == PROV_MISCONFIGURED)
		category = PROV_INTEGRITY;
	return prov_http_fail(failure, category, reasons[category], reply, code,
						  reply->headers[0]);
}

static prov_category
fail_rubbish(prov_failure *failure, const prov_http_reply *reply)
{
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "Azure Key Vault gave an answer that is not "
						  "understood.",
						  reply, NULL, reply->headers[0]);
}
