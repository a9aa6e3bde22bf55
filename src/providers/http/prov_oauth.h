/*
 * prov_oauth.h
 *	  Bearer tokens (OAuth 2.0), as two of the clouds hand them out.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_OAUTH_H
#define PROV_OAUTH_H

#include "providers/http/prov_http.h"

#define PROV_OAUTH_TOKEN_SIZE 16384

/* Whoever holds one wipes it. */
typedef struct prov_oauth_token
{
	char		text[PROV_OAUTH_TOKEN_SIZE];	/* "" if there is none */
	int64_t		expires;		/* seconds since 1970 */
	char		kind[96];		/* how it was come by: "service account" */
} prov_oauth_token;

/* Who has a token, and how it comes by another one. */
typedef struct prov_oauth_client
{
	prov_http  *http;
	prov_oauth_token *token;
	prov_category (*get_token)(void *state, prov_failure *failure);
	void	   *state;
} prov_oauth_client;

/* Of a request's own headers. */
#define PROV_OAUTH_HEADERS_MAX 4

/*
 * prov_http_call, with the token.  One that is about to end is replaced
 * before, and one that is refused (401) is, once.  If no other is to be had
 * just then, in a part of the time that there is, the old one serves to its
 * end.
 */
extern prov_category prov_oauth_call(const prov_oauth_client *client,
									 const prov_http_request *request,
									 prov_http_reply *reply,
									 prov_failure *failure);

/* The same, with a token that is neither looked at nor replaced. */
extern prov_category prov_oauth_call_with(prov_http *http,
										  const prov_oauth_token *token,
										  const prov_http_request *request,
										  prov_http_reply *reply,
										  prov_failure *failure);

/*
 * Asks a token service; of the reply access_token and expires_in or
 * expires_on are taken.  what is for the failure, a subject: "The metadata
 * server".  On failure the token is wiped.
 */
extern prov_category prov_oauth_ask(prov_http *http,
									const prov_http_request *request,
									const char *what,
									prov_oauth_token *token,
									prov_failure *failure);

#endif							/* PROV_OAUTH_H */
