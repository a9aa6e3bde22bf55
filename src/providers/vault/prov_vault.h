/*
 * prov_vault.h
 *	  HashiCorp Vault and OpenBao, for prov_vault*.c alone.
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

/* How a token is come by. */
typedef enum vault_method
{
	VAULT_TOKEN,				/* from a file or the environment */
	VAULT_APPROLE,
	VAULT_JWT,					/* of any issuer, or Kubernetes */
	VAULT_CERT,					/* TLS client certificate */
	VAULT_AGENT					/* none: an agent before the server has one */
} vault_method;

/* The settings of a login; "" for what is not given. */
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
	char		text[VAULT_TOKEN_MAX + 1];	/* "" for none */
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
	int64_t		refused_until_ms;	/* a new login was no help, until then */
} vault;

/*
 * prov_vault_call.c: one call, with or without token; body may be empty.
 * PROV_OK: there is a reply of whatever status.  The reply is wiped by the
 * caller.
 */
extern prov_category vault_send(vault *self, const char *method,
								const char *path, const char *token,
								envl_view body, prov_http_reply *reply,
								prov_failure *failure);

/*
 * The same with our token, got anew once if it is refused; and a reply that
 * is not a success is a failure.
 * PROV_OK: *json is the reply, to be freed.
 */
extern prov_category vault_call(vault *self, const char *method,
								const char *path, envl_view body,
								prov_json **json, prov_failure *failure);

/* The failure of a reply to a call about the key. */
extern prov_category vault_fail(const prov_http_reply *reply,
								prov_failure *failure);

/*
 * Whether an error is of the form that the server's have.  A proxy or a
 * firewall says 403 and 404 too, which must not cost keys their grace.
 */
extern bool vault_answered(const prov_http_reply *reply);

/* Whether one of the reply's error messages has these words. */
extern bool vault_says(const prov_http_reply *reply, const char *words);

/*
 * prov_vault_login.c: understands the settings of the login.
 */
extern const char *const vault_login_words[];
extern prov_category vault_login_open(const prov_uri *uri, vault_login *login,
									  prov_failure *failure);

/* For people: "AppRole login". */
extern const char *vault_login_describe(const vault_login *login);

/* Logs in; self->token is the result, and empty on failure. */
extern prov_category vault_log_in(vault *self, prov_failure *failure);

/*
 * prov_vault_token.c: sees to it that self->token can be used: logs in, reads
 * the token's file again, renews at two thirds of the lease.
 */
extern prov_category vault_token_ensure(vault *self, prov_failure *failure);

/*
 * The token was refused.  True if there may be a better one, which the next
 * vault_token_ensure gets.
 */
extern bool vault_token_refused(vault *self);

/* And so was the better one: the next refusals are believed, for a minute. */
extern void vault_token_refused_again(vault *self);

/*
 * Renews the token if that is due.  Returns the milliseconds until it should
 * be called again, or -1.
 */
extern int64_t vault_token_idle(vault *self);

/* Sets how long a token lasts from now on; 0 seconds: for ever. */
extern void vault_take_lease(vault_token *token, int64_t seconds,
							 bool renewable);

#endif							/* PROV_VAULT_H */
