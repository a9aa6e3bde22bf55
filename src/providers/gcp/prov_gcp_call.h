/*
 * prov_gcp_call.h
 *	  Calling Google Cloud KMS, and what its errors mean.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_GCP_CALL_H
#define PROV_GCP_CALL_H

#include "providers/gcp/prov_gcp.h"

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

#endif							/* PROV_GCP_CALL_H */
