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
	char		quota_project[128]; /* who pays; "": the credential's */
	prov_oauth_token token;
} prov_gcp;

/*
 * Gets a new token into gcp->token, by what GOOGLE_APPLICATION_CREDENTIALS or
 * the URI names (a service account's key, or a workload identity's
 * configuration), or else from the metadata server.  On failure the token is
 * wiped.
 */
extern prov_category prov_gcp_get_token(prov_gcp *gcp, prov_failure *failure);

/*
 * Calls a method of the key, ":encrypt", or gets it, "", with a token that
 * lasts.  PROV_OK: the reply is a good one, and is wiped by whoever is done
 * with it.
 */
extern prov_category prov_gcp_call(prov_gcp *gcp, const char *verb,
								   envl_view body, prov_http_reply *reply,
								   prov_failure *failure);

/* The failure of a reply that is good and yet not understood. */
extern prov_category prov_gcp_rubbish(prov_failure *failure,
									  const prov_http_reply *reply);

#endif							/* PROV_GCP_H */
