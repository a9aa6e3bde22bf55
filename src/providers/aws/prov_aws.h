/*
 * prov_aws.h
 *	  What the files of the AWS provider share: settings and credentials.
 *
 * awskms:arn:aws:kms:REGION:ACCOUNT:key/ID[?WORD=VALUE...]
 *
 * Credentials are found in the order of AWS's own tools, by the same variables
 * and files (docs/providers.md).  Credentials that expire are kept and
 * replaced in time; others are read again for each use.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_H
#define PROV_AWS_H

#include "providers/http/prov_http.h"

#define PROV_AWS_KEY_SIZE 256
#define PROV_AWS_TOKEN_SIZE 8192

/* What a request is signed with.  The owner wipes it. */
typedef struct prov_aws_credentials
{
	char		access_key[PROV_AWS_KEY_SIZE];
	char		secret_key[PROV_AWS_KEY_SIZE];
	char		session_token[PROV_AWS_TOKEN_SIZE]; /* "" without one */
	int64_t		expires;		/* seconds since 1970; 0: never */
	char		kind[96];		/* the source: "environment" */
} prov_aws_credentials;

typedef struct prov_aws
{
	prov_uri	uri;
	prov_http  *http;
	char		arn[PROV_LOCATION_SIZE];
	const char *key_id;			/* within arn, its last part */
	char		partition[16];
	char		region[32];
	char		endpoint[512];	/* of the key service, ends with "/" */
	prov_aws_credentials credentials;	/* the kept ones; access_key "" if
										 * none */
} prov_aws;

#endif							/* PROV_AWS_H */
