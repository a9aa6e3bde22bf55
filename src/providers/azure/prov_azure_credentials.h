/*
 * prov_azure_credentials.h
 *	  Tokens of Microsoft Entra ID, as Azure's own libraries come by them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AZURE_CREDENTIALS_H
#define PROV_AZURE_CREDENTIALS_H

#include "providers/azure/prov_azure.h"

/*
 * Gets a new token into azure->token: with a client secret, with a federated
 * token, or of a managed identity.  On failure the token is wiped.
 */
extern prov_category prov_azure_get_token(prov_azure *azure,
										  prov_failure *failure);

#endif							/* PROV_AZURE_CREDENTIALS_H */
