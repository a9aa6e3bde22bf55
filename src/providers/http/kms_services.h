/*
 * kms_services.h
 *	  The services of the program pgenvelope-kms.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef KMS_SERVICES_H
#define KMS_SERVICES_H

#include "providers/serve/prov_serve.h"

/*
 * prov_vault.c: HashiCorp Vault and OpenBao, over TLS, or http to this
 * machine.
 */
extern const prov_service prov_vault;
extern const prov_service prov_vault_http;

/* The clouds' key services. */
extern const prov_service prov_aws_service;
extern const prov_service prov_gcp_service;
extern const prov_service prov_azure_service;

#endif							/* KMS_SERVICES_H */
