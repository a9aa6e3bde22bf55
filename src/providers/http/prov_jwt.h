/*
 * prov_jwt.h
 *	  A JSON web token signed with RSA (RS256: RFC 7515, RFC 7518), with which
 *	  a service account asks for a token.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_JWT_H
#define PROV_JWT_H

#include "core/envl_bytes.h"

/* The longest header or claims, and the longest token with its NUL. */
#define PROV_JWT_PART_MAX 2048
#define PROV_JWT_SIZE 8192

/*
 * Signs two JSON texts with a private key in PEM, RSA of at least 2048 bits.
 * token has PROV_JWT_SIZE bytes; the caller wipes it.  False, with token
 * empty, if the key is not of that kind.
 */
extern bool prov_jwt_sign(envl_view private_key, const char *header,
						  const char *claims, char *token) ENVL_MUST_CHECK;

#endif							/* PROV_JWT_H */
