/*
 * prov_azure_call.h
 *	  Calling Azure Key Vault, and what its errors mean.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AZURE_CALL_H
#define PROV_AZURE_CALL_H

#include "providers/azure/prov_azure.h"

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

#endif							/* PROV_AZURE_CALL_H */
