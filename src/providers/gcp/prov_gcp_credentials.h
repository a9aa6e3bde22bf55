/*
 * prov_gcp_credentials.h
 *	  Tokens of Google Cloud: application default credentials.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_GCP_CREDENTIALS_H
#define PROV_GCP_CREDENTIALS_H

#include "providers/gcp/prov_gcp.h"

/*
 * Gets a new token into gcp->token, by what GOOGLE_APPLICATION_CREDENTIALS or
 * the URI names (a service account's key, or a workload identity's
 * configuration), or else from the metadata server.  On failure the token is
 * wiped.
 */
extern prov_category prov_gcp_get_token(prov_gcp *gcp, prov_failure *failure);

#endif							/* PROV_GCP_CREDENTIALS_H */
