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
	char		version[PROV_AZURE_VERSION_SIZE];	/* "": the newest
													 * version */
	const char *algorithm;		/* to seal with: "RSA-OAEP-256" */
	char		resource[256];	/* the audience of tokens */
	char		authority[256]; /* the issuer of tokens, without a trailing
								 * "/" */
	prov_oauth_token token;
} prov_azure;

/*
 * Gets a new token into azure->token, by a client secret, a federated token or
 * a managed identity.  On failure the token is wiped.
 */
extern prov_category prov_azure_get_token(prov_azure *azure,
										  prov_failure *failure);

/* A reply, and which version of the key it used. */
typedef struct prov_azure_answer
{
	prov_http_reply reply;
	prov_json  *json;
	char		version[PROV_AZURE_VERSION_SIZE];
} prov_azure_answer;

/*
 * Calls an operation of a version of the key, such as "/wrapkey", or gets the
 * key if verb is "", with a valid token.  After PROV_OK, and only then, the
 * caller wipes the answer with prov_azure_end.
 */
extern prov_category prov_azure_call(prov_azure *azure, const char *version,
									 const char *verb, envl_view body,
									 prov_azure_answer *answer,
									 prov_failure *failure);
extern void prov_azure_end(prov_azure_answer *answer);

/* The failure for a successful reply that we cannot parse. */
extern prov_category prov_azure_rubbish(prov_failure *failure,
										const prov_http_reply *reply);

#endif							/* PROV_AZURE_H */
