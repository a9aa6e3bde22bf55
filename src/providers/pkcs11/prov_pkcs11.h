/*
 * prov_pkcs11.h
 *	  Root keys in PKCS#11 tokens: hardware security modules, smart cards.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_H
#define PROV_PKCS11_H

#include "providers/serve/prov_serve.h"

extern const prov_service prov_pkcs11_service;

#endif							/* PROV_PKCS11_H */
