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

/*
 * Gets a new token into gcp->token.  It uses the file that the URI or
 * GOOGLE_APPLICATION_CREDENTIALS names (a service account's key, or a workload
 * identity's configuration), else the metadata server.  On failure the token
 * is wiped.
 */
extern prov_category prov_gcp_get_token(prov_gcp *gcp, prov_failure *failure);

/*
 * Calls a method of the key, such as ":encrypt", or gets the key if verb is
 * "", with a valid token.  PROV_OK: the reply is a success, and the caller
 * wipes it.
 */
extern prov_category prov_gcp_call(prov_gcp *gcp, const char *verb,
								   envl_view body, prov_http_reply *reply,
								   prov_failure *failure);

/* The failure for a successful reply that we cannot parse. */
extern prov_category prov_gcp_rubbish(prov_failure *failure,
									  const prov_http_reply *reply);

#endif							/* PROV_GCP_H */
