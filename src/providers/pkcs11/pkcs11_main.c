/*
 * pkcs11_main.c
 *	  pgenvelope-pkcs11: the helper program for PKCS#11 tokens.
 *
 *		pgenvelope-pkcs11 URI
 *		pgenvelope-pkcs11 --check URI
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11.h"

int
main(int argc, char **argv)
{
	static const prov_service *const services[] = {&prov_pkcs11_service,
												   NULL};

	return prov_serve_main(argc, argv, services);
}
