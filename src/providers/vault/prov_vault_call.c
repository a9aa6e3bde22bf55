/*
 * prov_vault_call.c
 *	  Calls to HashiCorp Vault and OpenBao, and what their errors mean.
 *
 * An error reply is a status and a list of messages for people.  With status
 * 400 only the messages tell a missing key from a forged ciphertext.  So we
 * search them for words that have not changed in years; we never show them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/vault/prov_vault.h"

static prov_category classify_reply(const prov_http_reply *reply);

/* What messages with status 400 mean; the first match counts. */
static const struct
{
	const char *words;
	prov_category category;
	const char *reason;
} meanings[] = {
	{"key not found", PROV_NOT_FOUND, "There is no such transit key."},
	{"message authentication failed", PROV_INTEGRITY,
	 "The sealed key does not open under the transit key."},
	{"invalid ciphertext", PROV_INTEGRITY,
	 "The sealed key is not one of this transit key's."},
	{"disallowed by policy (too old)", PROV_DISABLED,
	 "The version of the transit key that sealed the key may no longer "
	 "decrypt (min_decryption_version)."},
	{"requested version for encryption is", PROV_DISABLED,
	 "The transit key does not allow encryption with its newest version."},
	{"soft deleted", PROV_DISABLED, "The transit key is deleted softly."},
	{"soft-deleted", PROV_DISABLED, "The transit key is deleted softly."},
};

#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

prov_category
vault_send(vault *self, const char *method, const char *path,
		   const char *token, envl_view body, prov_http_reply *reply,
		   prov_failure *failure)
{
	char		url[1024];
	char		token_header[VAULT_TOKEN_MAX + 32];
	char		namespace_header[sizeof(self->namespace) + 32];
	const char *headers[5] = {"X-Vault-Request: true",
							  "Content-Type: application/json"};
	size_t		count = 2;
	prov_http_request request = {.method = method, .url = url};
	prov_category category;

	if (snprintf(url, sizeof(url), "%s%s", self->base, path) >=
		(int) sizeof(url))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI is too long.", NULL);
	if (self->namespace[0] != '\0')
	{
		snprintf(namespace_header, sizeof(namespace_header),
				 "X-Vault-Namespace: %s", self->namespace);
		headers[count++] = namespace_header;
	}
	if (token != NULL && token[0] != '\0')
	{
		snprintf(token_header, sizeof(token_header), "X-Vault-Token: %s",
				 token);
		headers[count++] = token_header;
	}
	headers[count] = NULL;
	request.headers = headers;
	request.body = body;
	request.classify = classify_reply;
	category = prov_http_call(self->http, &request, reply, failure);
	envl_wipe(token_header, sizeof(token_header));
	return category;
}

/*
 * A standby that lags behind (412) soon catches up.  A success without an
 * object was cut off.
 */
static prov_category
classify_reply(const prov_http_reply *reply)
{
	if (reply->status == 412 ||
		(reply->status == 200 && reply->body[0] != '{'))
		return PROV_UNAVAILABLE;
	return prov_http_category(reply);
}

prov_category
vault_call(vault *self, const char *method, const char *path, envl_view body,
		   prov_json **json, prov_failure *failure)
{
	prov_http_reply reply;
	prov_category category;
	bool		again = true;

	*json = NULL;
	for (;;)
	{
		category = vault_token_ensure(self, failure);
		if (category != PROV_OK)
			return category;
		category = vault_send(self, method, path, self->token.text, body,
							  &reply, failure);
		if (category != PROV_OK)
			return category;
		if (reply.status != 403 || !again || !vault_token_refused(self))
			break;
		again = false;
	}
	if (reply.status == 403 && !again)
		vault_token_refused_again(self);

	if (reply.status < 200 || reply.status >= 300)
		category = vault_fail(&reply, failure);
	else
	{
		*json = prov_json_parse(reply.body, reply.body_len);
		if (*json == NULL)
			category = prov_http_fail(failure, PROV_UNAVAILABLE,
									  "The service's reply is not JSON.",
									  &reply, NULL, NULL);
	}
	envl_wipe(&reply, sizeof(reply));
	return category;
}

prov_category
vault_fail(const prov_http_reply *reply, prov_failure *failure)
{
	const char *reason;
	prov_category category = prov_http_category(reply);

	for (size_t i = 0; i < MEANINGS; i++)
	{
		if (reply->status == 400 && vault_says(reply, meanings[i].words))
			return prov_http_fail(failure, meanings[i].category,
								  meanings[i].reason, reply, NULL, NULL);
	}
	if ((category == PROV_DENIED || category == PROV_NOT_FOUND) &&
		!vault_answered(reply))
		return prov_http_fail(failure, PROV_UNAVAILABLE,
							  "Something other than the server answered, "
							  "perhaps a proxy.",
							  reply, NULL, NULL);
	switch (reply->status)
	{
		case 403:
			reason = "The token is expired, or its policies do not allow it.";
			break;
		case 404:
			reason = "There is no such transit key, or no transit engine at "
					 "this path.";
			break;
		case 412:
		case 472:
		case 473:
			category = PROV_UNAVAILABLE;
			reason = "The server is a standby that cannot answer.";
			break;
		case 429:
			reason = "A quota is used up.";
			break;
		case 501:
			reason = "The server is not initialised.";
			break;
		case 503:
			reason = vault_says(reply, "sealed") ?
				"The server is sealed." :
				"The server is not available.";
			break;
		default:
			reason = "The service answered with an error.";
			break;
	}
	if (reply->status >= 300 && reply->status < 400)
		reason = "The service redirects to another host, which is not "
				 "followed: name that host in the URI.";
	return prov_http_fail(failure, category, reason, reply, NULL, NULL);
}

bool
vault_answered(const prov_http_reply *reply)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	bool		has_errors = prov_json_has(json, "errors");

	prov_json_free(json);
	return has_errors;
}

bool
vault_says(const prov_http_reply *reply, const char *words)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		message[1024];
	bool		found = false;

	for (int i = 0; i < 8 && !found; i++)
	{
		char		path[24];

		snprintf(path, sizeof(path), "errors.%d", i);
		if (!prov_json_string(json, path, message, sizeof(message)))
			break;
		found = strcasestr(message, words) != NULL;
	}
	prov_json_free(json);
	return found;
}
