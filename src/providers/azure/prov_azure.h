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

/* Of a reply: what it says of the key that it used. */
typedef struct prov_azure_answer
{
	prov_http_reply reply;
	prov_json  *json;
	char		version[PROV_AZURE_VERSION_SIZE];
} prov_azure_answer;

#endif							/* PROV_AZURE_H */
