/*
 * prov_vault_login.c
 *	  Logging in to HashiCorp Vault and OpenBao.
 *
 * The secrets of a login are read from their files for each login and are not
 * kept.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/vault/prov_vault.h"

#define KUBERNETES_TOKEN \
	"/var/run/secrets/kubernetes.io/serviceaccount/token"

/* Room for any issuer's token in JSON. */
#define LOGIN_BODY_SIZE 20480
#define JWT_MAX 16384

const char *const vault_login_words[] = {
	"auth", "auth-path", "role", "role-id", "role-id-file", "secret-id-file",
	"jwt-file", "token-file", NULL};

static const struct
{
	const char *word;
	vault_method method;
	const char *described;
} methods[] = {
	{"token", VAULT_TOKEN, "token"},
	{"approle", VAULT_APPROLE, "AppRole login"},
	{"jwt", VAULT_JWT, "JWT login"},
	{"kubernetes", VAULT_JWT, "Kubernetes login"},
	{"cert", VAULT_CERT, "TLS certificate login"},
	{"agent", VAULT_AGENT, "the agent's"},
};

static bool take_setting(const prov_uri *uri, const char *word, char *out,
						 size_t size);
static prov_category check_login(const prov_uri *uri, vault_login *login,
								 prov_failure *failure);
static prov_category make_login(const vault_login *login, char *buffer,
								size_t size, envl_view *body,
								prov_failure *failure);
static prov_category put_secret(prov_json_writer *writer, const char *name,
								const char *path, const char *what,
								bool mounted, prov_failure *failure);
static prov_category take_login(vault *self, const prov_http_reply *reply,
								prov_failure *failure);
static prov_category fail_login(const prov_http_reply *reply,
								prov_failure *failure);

prov_category
vault_login_open(const prov_uri *uri, vault_login *login,
				 prov_failure *failure)
{
	const char *auth = prov_uri_word(uri, "auth");
	bool		found = false;

	memset(login, 0, sizeof(*login));
	if (auth == NULL)
		auth = "token";
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
	{
		if (strcmp(auth, methods[i].word) == 0)
		{
			login->method = methods[i].method;
			login->described = methods[i].described;
			found = true;
		}
	}
	if (!found)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The setting \"auth\" must be token, approle, jwt, "
						 "kubernetes, cert or agent.",
						 NULL);
	if (!take_setting(uri, "auth-path", login->mount, sizeof(login->mount)) ||
		!take_setting(uri, "role", login->role, sizeof(login->role)) ||
		!take_setting(uri, "role-id", login->role_id,
					  sizeof(login->role_id)) ||
		!take_setting(uri, "role-id-file", login->role_id_file,
					  sizeof(login->role_id_file)) ||
		!take_setting(uri, "secret-id-file", login->secret_id_file,
					  sizeof(login->secret_id_file)) ||
		!take_setting(uri, "jwt-file", login->jwt_file,
					  sizeof(login->jwt_file)) ||
		!take_setting(uri, "token-file", login->token_file,
					  sizeof(login->token_file)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A setting of the login is too long.", NULL);
	if (login->mount[0] == '\0')
		snprintf(login->mount, sizeof(login->mount), "%s", auth);
	if (strcmp(auth, "kubernetes") == 0 && login->jwt_file[0] == '\0')
		strcpy(login->jwt_file, KUBERNETES_TOKEN);
	return check_login(uri, login, failure);
}

static bool
take_setting(const prov_uri *uri, const char *word, char *out, size_t size)
{
	const char *value = prov_uri_word(uri, word);

	return snprintf(out, size, "%s", value != NULL ? value : "") < (int) size;
}

/* Checks that the settings a method requires are there. */
static prov_category
check_login(const prov_uri *uri, vault_login *login, prov_failure *failure)
{
	const char *missing = NULL;

	switch (login->method)
	{
		case VAULT_TOKEN:
		case VAULT_AGENT:
			break;
		case VAULT_APPROLE:
			if (login->role_id[0] == '\0' && login->role_id_file[0] == '\0')
				missing = "role-id or role-id-file";
			break;
		case VAULT_JWT:
			if (login->jwt_file[0] == '\0')
				missing = "jwt-file";
			else if (login->role[0] == '\0')
				missing = "role";
			break;
		case VAULT_CERT:
			if (prov_uri_setting_of(uri, "cert-file", "VAULT_CLIENT_CERT") ==
					NULL &&
				getenv("BAO_CLIENT_CERT") == NULL)
				missing = "cert-file";
			break;
	}
	for (const char *c = login->mount; *c != '\0'; c++)
	{
		bool		plain = (*c >= 'a' && *c <= 'z') ||
			(*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			strchr("-_./", *c) != NULL;

		if (!plain || (*c == '.' && c[1] == '.'))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The setting \"auth-path\" must be the path of "
							 "an auth method.",
							 NULL);
	}
	if (missing == NULL)
		return PROV_OK;
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "A setting that the login needs is not in the URI.",
					 "It is %s.", missing);
}

const char *
vault_login_describe(const vault_login *login)
{
	if (login->method != VAULT_TOKEN)
		return login->described;
	return login->token_file[0] != '\0' ? "token file" : "token of the environment";
}

prov_category
vault_log_in(vault *self, prov_failure *failure)
{
	char		buffer[LOGIN_BODY_SIZE];
	char		path[sizeof(self->login.mount) + 16];
	envl_view	body;
	prov_http_reply reply;
	prov_category category;

	envl_wipe(&self->token, sizeof(self->token));
	category = make_login(&self->login, buffer, sizeof(buffer), &body,
						  failure);
	if (category == PROV_OK)
	{
		snprintf(path, sizeof(path), "auth/%s/login", self->login.mount);
		category = vault_send(self, "POST", path, NULL, body, &reply,
							  failure);
		if (category == PROV_OK)
			category = take_login(self, &reply, failure);
		envl_wipe(&reply, sizeof(reply));
	}
	envl_wipe(buffer, sizeof(buffer));
	return category;
}

/* Makes the body that the method sends. */
static prov_category
make_login(const vault_login *login, char *buffer, size_t size,
		   envl_view *body, prov_failure *failure)
{
	prov_json_writer writer;
	prov_category category = PROV_OK;

	prov_json_begin(&writer, buffer, size);
	if (login->method == VAULT_APPROLE)
	{
		if (login->role_id[0] != '\0')
			prov_json_put(&writer, "role_id", login->role_id);
		else
			category = put_secret(&writer, "role_id", login->role_id_file,
								  "The role id's file", false, failure);

		/* A role may be configured without secret ids. */
		if (category == PROV_OK && login->secret_id_file[0] != '\0')
			category = put_secret(&writer, "secret_id",
								  login->secret_id_file,
								  "The secret id's file", false, failure);
	}
	else if (login->method == VAULT_JWT)
	{
		prov_json_put(&writer, "role", login->role);
		category = put_secret(&writer, "jwt", login->jwt_file,
							  "The JWT's file", true, failure);
	}
	else if (login->role[0] != '\0')
		prov_json_put(&writer, "name", login->role);

	if (!prov_json_end(&writer, body) && category == PROV_OK)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The secrets of the login are too long.", NULL);
	return category;
}

static prov_category
put_secret(prov_json_writer *writer, const char *name, const char *path,
		   const char *what, bool mounted, prov_failure *failure)
{
	prov_secret secret;
	prov_category category = prov_secret_read_line(path, what, mounted,
												   &secret, failure);

	if (category == PROV_OK && secret.len > JWT_MAX)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The secrets of the login are too long.", NULL);
	if (category == PROV_OK)
		prov_json_put(writer, name, secret.text);
	envl_wipe(&secret, sizeof(secret));
	return category;
}

static prov_category
take_login(vault *self, const prov_http_reply *reply, prov_failure *failure)
{
	prov_json  *json;
	int64_t		seconds;
	bool		renewable;
	bool		good;

	if (reply->status != 200)
		return fail_login(reply, failure);
	json = prov_json_parse(reply->body, reply->body_len);
	good = prov_json_string(json, "auth.client_token", self->token.text,
							sizeof(self->token.text)) &&
		self->token.text[0] != '\0' &&
		strpbrk(self->token.text, "\r\n") == NULL;
	if (good)
	{
		(void) prov_json_integer(json, "auth.lease_duration", &seconds);
		(void) prov_json_boolean(json, "auth.renewable", &renewable);
		vault_take_lease(&self->token, seconds, renewable);
	}
	prov_json_free(json);
	if (good)
		return PROV_OK;
	envl_wipe(&self->token, sizeof(self->token));
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "The reply to the login holds no token.", reply,
						  NULL, NULL);
}

/* The server answers 400 also to a login with wrong secrets. */
static prov_category
fail_login(const prov_http_reply *reply, prov_failure *failure)
{
	if ((reply->status == 400 || reply->status == 401 ||
		 reply->status == 403) &&
		vault_answered(reply))
		return prov_http_fail(failure, PROV_DENIED, "The login was refused.",
							  reply, NULL, NULL);
	if (reply->status == 404 || reply->status == 405)
		return prov_http_fail(failure, PROV_MISCONFIGURED,
							  "There is no such auth method.", reply, NULL,
							  NULL);
	return vault_fail(reply, failure);
}
