/*
 * prov_azure.h
 *	  What the files of the Azure provider share.
 *
 *		azurekv://HOST[:PORT]/keys/NAME[/VERSION][?WORD=VALUE...]
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AZURE_H
#define PROV_AZURE_H

#include "providers/http/prov_json.h"
#include "providers/http/prov_oauth.h"

#define PROV_AZURE_NAME_SIZE 128
#define PROV_AZURE_VERSION_SIZE 65

typedef struct prov_azure
{
	prov_uri	uri;
	prov_http  *http;
	char		origin[320];	/* https://HOST[:PORT] */
	char		name[PROV_AZURE_NAME_SIZE];
	char		version[PROV_AZURE_VERSION_SIZE];	/* "": the newest */
	const char *algorithm;		/* what seals: "RSA-OAEP-256" */
	char		resource[256];	/* whom tokens are for */
	char		authority[256]; /* who gives them, without "/" at its end */
	prov_oauth_token token;
} prov_azure;

/*
 * Gets a new token into azure->token: with a client secret, with a federated
 * token, or of a managed identity.  On failure the token is wiped.
 */
extern prov_category prov_azure_get_token(prov_azure *azure,
										  prov_failure *failure);

/* Of a reply: what it says of the key that it used. */
typedef struct prov_azure_answer
{
	prov_http_reply reply;
	prov_json  *json;
	char		version[PROV_AZURE_VERSION_SIZE];
} prov_azure_answer;

/*
 * Calls an operation of a version of the key, "/wrapkey", or gets it, "",
 * with a token that lasts.  After PROV_OK, and only then, prov_azure_end
 * wipes the answer.
 */
extern prov_category prov_azure_call(prov_azure *azure, const char *version,
									 const char *verb, envl_view body,
									 prov_azure_answer *answer,
									 prov_failure *failure);
extern void prov_azure_end(prov_azure_answer *answer);

/* The failure of a reply that is good and yet not understood. */
extern prov_category prov_azure_rubbish(prov_failure *failure,
										const prov_http_reply *reply);

#endif							/* PROV_AZURE_H */
