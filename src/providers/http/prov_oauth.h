/*
 * prov_oauth.h
 *	  Bearer tokens (OAuth 2.0), as Azure and Google Cloud use them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_OAUTH_H
#define PROV_OAUTH_H

#include "providers/http/prov_http.h"

#define PROV_OAUTH_TOKEN_SIZE 16384

/* The owner wipes it. */
typedef struct prov_oauth_token
{
	char		text[PROV_OAUTH_TOKEN_SIZE];	/* "" without one */
	int64_t		expires;		/* seconds since 1970 */
	char		kind[96];		/* the source: "service account" */
} prov_oauth_token;

/* The owner of a token, and how to get another one. */
typedef struct prov_oauth_client
{
	prov_http  *http;
	prov_oauth_token *token;
	prov_category (*get_token)(void *state, prov_failure *failure);
	void	   *state;
} prov_oauth_client;

/* The most headers that a request brings itself. */
#define PROV_OAUTH_HEADERS_MAX 4

/*
 * Calls prov_http_call with the token.  A token that is about to expire is
 * replaced first, and one that is refused (401) is replaced once.  Getting a
 * new token may take only part of the time; if that fails, the old one is used
 * until it expires.
 */
extern prov_category prov_oauth_call(const prov_oauth_client *client,
									 const prov_http_request *request,
									 prov_http_reply *reply,
									 prov_failure *failure);

/* As prov_oauth_call, with a token that is neither checked nor replaced. */
extern prov_category prov_oauth_call_with(prov_http *http,
										  const prov_oauth_token *token,
										  const prov_http_request *request,
										  prov_http_reply *reply,
										  prov_failure *failure);

/*
 * Asks a token service for a token, and takes access_token and expires_in or
 * expires_on from the reply.  what is the subject of a failure's sentence:
 * "The metadata server".  On failure the token is wiped.
 */
extern prov_category prov_oauth_ask(prov_http *http,
									const prov_http_request *request,
									const char *what,
									prov_oauth_token *token,
									prov_failure *failure);

#endif							/* PROV_OAUTH_H */
