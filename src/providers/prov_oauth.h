/*
 * prov_oauth.h
 *	  Bearer tokens (OAuth 2.0), as two of the clouds hand them out.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_OAUTH_H
#define PROV_OAUTH_H

#include "prov_http.h"

#define PROV_OAUTH_TOKEN_SIZE 16384

/* Whoever holds one wipes it. */
typedef struct prov_oauth_token
{
	char		text[PROV_OAUTH_TOKEN_SIZE];	/* "" if there is none */
	int64_t		expires;		/* seconds since 1970 */
	char		kind[96];		/* how it was come by: "service account" */
} prov_oauth_token;

/* Gets another token into the one that the state has. */
typedef prov_category (*prov_oauth_getter)(void *state,
										   prov_failure *failure);

/*
 * Has the token replaced if it is about to end, or is none.  If no other is to
 * be had just then, in a part of the time that there is, the old one serves to
 * its end.
 */
extern prov_category prov_oauth_keep_fresh(prov_oauth_token *token,
										   prov_http *http,
										   prov_oauth_getter getter,
										   void *state,
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

/* Writes the header; false if it does not fit. */
extern bool prov_oauth_header(const prov_oauth_token *token, char *out,
							  size_t size) ENVL_MUST_CHECK;

#endif							/* PROV_OAUTH_H */
