/*
 * prov_gcp.h
 *	  What the files of the Google Cloud provider share.
 *
 *		gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[?WORD=VALUE..]
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_GCP_H
#define PROV_GCP_H

#include "providers/http/prov_oauth.h"

typedef struct prov_gcp
{
	prov_uri	uri;
	prov_http  *http;
	char		name[512];		/* of the key: projects/../cryptoKeys/K */
	const char *short_name;		/* within name, its last part */
	char		endpoint[512];	/* without "/" at its end */
	char		quota_project[128]; /* billed; "": the credential's */
	prov_oauth_token token;
} prov_gcp;

#endif							/* PROV_GCP_H */
