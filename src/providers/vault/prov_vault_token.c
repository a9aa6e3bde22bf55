/*
 * prov_vault_token.c
 *	  Tokens for HashiCorp Vault and OpenBao: their source and lifetime.
 *
 * A token comes from our login, or is given by a file or the environment.
 * Either is renewed after two thirds of its lease, if it is renewable.  If our
 * own is refused or has expired, we log in again.  A given one is read again,
 * and if it has changed we try once more.  Others may renew a given token as
 * well; that does no harm.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>

#include "providers/vault/prov_vault.h"

/* A failed renewal is repeated after this time. */
#define RENEW_AGAIN_MS 10000

/*
 * A policy that denies is hit every few seconds.  Each login takes a lease in
 * the server, and may use up one of the few uses of a secret id.
 */
#define BELIEVE_MS 60000

/* The longest time for work while there is no request. */
#define IDLE_CALL_MS 1000

static prov_category refresh_given(vault *self, prov_failure *failure);
static prov_category read_given(const vault_login *login, prov_secret *secret,
								prov_failure *failure);
static void look_up(vault *self);
static bool renew_token(vault *self);

prov_category
vault_token_ensure(vault *self, prov_failure *failure)
{
	vault_token *token = &self->token;
	int64_t		now = prov_clock_ms();

	if (self->login.method == VAULT_AGENT)
		return PROV_OK;
	if (self->login.method == VAULT_TOKEN)
	{
		prov_category category = refresh_given(self, failure);

		if (category != PROV_OK)
			return category;
	}
	else if (token->text[0] == '\0' ||
			 (token->end_ms != 0 && now >= token->end_ms))
		return vault_log_in(self, failure);
	if (token->renew_ms != 0 && now >= token->renew_ms)
		(void) renew_token(self);
	return PROV_OK;
}

/* Reads the given token, and looks up its lifetime if it has changed. */
static prov_category
refresh_given(vault *self, prov_failure *failure)
{
	prov_secret secret;
	prov_category category = read_given(&self->login, &secret, failure);

	if (category == PROV_OK && secret.len > VAULT_TOKEN_MAX)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The token is too long.", NULL);
	if (category == PROV_OK && strcmp(secret.text, self->token.text) != 0)
	{
		envl_wipe(&self->token, sizeof(self->token));
		memcpy(self->token.text, secret.text, secret.len + 1);
		look_up(self);
	}
	envl_wipe(&secret, sizeof(secret));
	return category;
}

static prov_category
read_given(const vault_login *login, prov_secret *secret,
		   prov_failure *failure)
{
	const char *value;

	if (login->token_file[0] != '\0')
		return prov_secret_read_line(login->token_file, "The token's file",
									 false, secret, failure);
	value = getenv("VAULT_TOKEN");
	if (value == NULL || value[0] == '\0')
		value = getenv("BAO_TOKEN");
	secret->len = value != NULL ? strlen(value) : 0;
	if (secret->len == 0)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "There is no token: the URI has neither token-file "
						 "nor auth, and VAULT_TOKEN is not set.",
						 NULL);
	if (secret->len > VAULT_TOKEN_MAX || strpbrk(value, "\r\n") != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The variable VAULT_TOKEN does not hold a token.",
						 NULL);
	memcpy(secret->text, value, secret->len + 1);
	return PROV_OK;
}

/*
 * Asks how long a given token lasts.  The token may not be allowed to ask;
 * then it is used until it is refused.
 */
static void
look_up(vault *self)
{
	prov_http_reply reply;
	prov_failure ignored;
	prov_json  *json;
	int64_t		ttl;
	bool		renewable;

	if (vault_send(self, "GET", "auth/token/lookup-self", self->token.text,
				   (envl_view) {NULL, 0}, &reply, &ignored) == PROV_OK &&
		reply.status == 200)
	{
		json = prov_json_parse(reply.body, reply.body_len);
		if (prov_json_integer(json, "data.ttl", &ttl))
		{
			(void) prov_json_boolean(json, "data.renewable", &renewable);
			vault_take_lease(&self->token, ttl, renewable);
		}
		prov_json_free(json);
	}
	envl_wipe(&reply, sizeof(reply));
}

/*
 * False if the server refused or did not answer; the token is used as it is.
 */
static bool
renew_token(vault *self)
{
	prov_http_reply reply;
	prov_failure ignored;
	prov_json  *json = NULL;
	int64_t		seconds;
	bool		renewable;
	bool		good = false;

	reply.status = 0;
	self->token.renew_ms = prov_clock_ms() + RENEW_AGAIN_MS;
	if (vault_send(self, "POST", "auth/token/renew-self", self->token.text,
				   ENVL_LITERAL("{}"), &reply, &ignored) == PROV_OK &&
		reply.status == 200)
	{
		json = prov_json_parse(reply.body, reply.body_len);
		good = prov_json_integer(json, "auth.lease_duration", &seconds) &&
			prov_json_boolean(json, "auth.renewable", &renewable);
		if (good)
			vault_take_lease(&self->token, seconds, renewable);
	}
	else if (reply.status == 400 || reply.status == 403)
		self->token.renew_ms = 0;
	prov_json_free(json);
	envl_wipe(&reply, sizeof(reply));
	return good;
}

void
vault_take_lease(vault_token *token, int64_t seconds, bool renewable)
{
	int64_t		now = prov_clock_ms();

	token->renewable = renewable;
	token->end_ms = token->renew_ms = 0;
	if (seconds <= 0 || seconds > INT64_MAX / 4000)
		return;
	token->end_ms = now + seconds * 1000;
	if (renewable)
		token->renew_ms = now + seconds * 2000 / 3;
}

bool
vault_token_refused(vault *self)
{
	char		before[VAULT_TOKEN_MAX + 1];
	prov_failure ignored;
	bool		changed;

	if (self->login.method == VAULT_AGENT)
		return false;
	if (self->login.method != VAULT_TOKEN)
	{
		if (prov_clock_ms() < self->refused_until_ms)
			return false;
		envl_wipe(&self->token, sizeof(self->token));
		return true;
	}
	memcpy(before, self->token.text, sizeof(before));
	changed = refresh_given(self, &ignored) == PROV_OK &&
		strcmp(before, self->token.text) != 0;
	envl_wipe(before, sizeof(before));
	return changed;
}

void
vault_token_refused_again(vault *self)
{
	self->refused_until_ms = prov_clock_ms() + BELIEVE_MS;
}

int64_t
vault_token_idle(vault *self)
{
	vault_token *token = &self->token;
	int64_t		left;

	if (token->text[0] == '\0' || token->renew_ms == 0)
		return -1;
	if (prov_clock_ms() >= token->renew_ms)
	{
		prov_http_begin_for(self->http, IDLE_CALL_MS);
		(void) renew_token(self);
	}
	if (token->renew_ms == 0)
		return -1;
	left = token->renew_ms - prov_clock_ms();
	return left > 0 ? left : 0;
}
