/*
 * prov_vault.h
 *	  HashiCorp Vault and OpenBao: shared by the files of prov_vault*.c.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_VAULT_H
#define PROV_VAULT_H

#include "providers/http/prov_http.h"
#include "providers/http/prov_json.h"
#include "providers/serve/prov_serve.h"

#define VAULT_TOKEN_MAX 4096

/* How to get a token. */
typedef enum vault_method
{
	VAULT_TOKEN,				/* from a file or the environment */
	VAULT_APPROLE,
	VAULT_JWT,					/* of any issuer, or Kubernetes */
	VAULT_CERT,					/* TLS client certificate */
	VAULT_AGENT					/* no token: an agent in front of the server
								 * adds one */
} vault_method;

/* The settings of a login; "" if not given. */
typedef struct vault_login
{
	vault_method method;
	const char *described;		/* for people: "AppRole" */
	char		mount[128];		/* of the auth method */
	char		role[128];
	char		role_id[128];
	char		role_id_file[512];
	char		secret_id_file[512];
	char		jwt_file[512];
	char		token_file[512];
} vault_login;

typedef struct vault_token
{
	char		text[VAULT_TOKEN_MAX + 1];	/* "" for no token */
	bool		renewable;
	int64_t		renew_ms;		/* prov_clock_ms; 0 for never */
	int64_t		end_ms;			/* 0 for never, or unknown */
} vault_token;

typedef struct vault
{
	prov_http  *http;
	char		base[300];		/* "https://host:8200/v1/" */
	char		mount[256];		/* of the transit engine */
	char		name[101];		/* of the key */
	char		namespace[256]; /* "" for none */
	vault_login login;
	vault_token token;
	int64_t		refused_until_ms;	/* until then another login is not worth
									 * trying */
} vault;

/*
 * prov_vault_call.c: makes one call, with or without a token; body may be
 * empty.  PROV_OK: there is a reply of any status, which the caller wipes.
 */
extern prov_category vault_send(vault *self, const char *method,
								const char *path, const char *token,
								envl_view body, prov_http_reply *reply,
								prov_failure *failure);

/*
 * Makes a call with our token, and gets a new token once if it is refused.  A
 * reply that is no success is a failure.  PROV_OK: *json is the reply, which
 * the caller frees.
 */
extern prov_category vault_call(vault *self, const char *method,
								const char *path, envl_view body,
								prov_json **json, prov_failure *failure);

/* The failure for a reply to a call about the key. */
extern prov_category vault_fail(const prov_http_reply *reply,
								prov_failure *failure);

/*
 * Whether an error has the form of the server's own.  Proxies and firewalls
 * send 403 and 404 too; believing them would end the grace period of keys.
 */
extern bool vault_answered(const prov_http_reply *reply);

/* Whether one of the reply's error messages contains these words. */
extern bool vault_says(const prov_http_reply *reply, const char *words);

/* prov_vault_login.c: reads the settings of the login from the URI. */
extern const char *const vault_login_words[];
extern prov_category vault_login_open(const prov_uri *uri, vault_login *login,
									  prov_failure *failure);

/* A description for people: "AppRole login". */
extern const char *vault_login_describe(const vault_login *login);

/* Logs in and sets self->token, which is empty on failure. */
extern prov_category vault_log_in(vault *self, prov_failure *failure);

/*
 * prov_vault_token.c: makes sure that self->token can be used.  Logs in, reads
 * the token's file again, or renews the token after two thirds of its lease.
 */
extern prov_category vault_token_ensure(vault *self, prov_failure *failure);

/*
 * Call when the token was refused.  True if there may be a better one, which
 * the next vault_token_ensure gets.
 */
extern bool vault_token_refused(vault *self);

/* Call when that one was refused too: for a minute refusals are final. */
extern void vault_token_refused_again(vault *self);

/*
 * Renews the token if that is due.  Returns the milliseconds until the next
 * call, or -1.
 */
extern int64_t vault_token_idle(vault *self);

/* Sets how long a token lasts from now on; 0 seconds: for ever. */
extern void vault_take_lease(vault_token *token, int64_t seconds,
							 bool renewable);

#endif							/* PROV_VAULT_H */
