/*
 * kms_main.c
 *	  pgenvelope-kms: root keys in key services that speak HTTPS.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>

#include "providers/http/prov_memory.h"
#include "providers/http/kms_services.h"

int
main(int argc, char **argv)
{
	static const prov_service *const services[] = {
		&prov_vault, &prov_vault_http, &prov_aws_service, &prov_gcp_service,
		&prov_azure_service, NULL};

	/*
	 * If this is set, libcurl writes the keys of its TLS connections to a
	 * file.
	 */
	unsetenv("SSLKEYLOGFILE");
	prov_memory_install();
	return prov_serve_main(argc, argv, services);
}
