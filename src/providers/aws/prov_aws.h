/*
 * prov_aws.h
 *	  What the files of the AWS provider share: its settings, credentials.
 *
 *		awskms:arn:aws:kms:REGION:ACCOUNT:key/ID[?WORD=VALUE...]
 *
 * Credentials are found in the order of AWS's own tools, with the variables
 * and files that they use (docs/providers.md).  Those that end are kept and
 * replaced before they do; all others are read again for each use.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_H
#define PROV_AWS_H

#include "providers/http/prov_http.h"

#define PROV_AWS_KEY_SIZE 256
#define PROV_AWS_TOKEN_SIZE 8192

/* What a request is signed with.  Whoever holds one wipes it. */
typedef struct prov_aws_credentials
{
	char		access_key[PROV_AWS_KEY_SIZE];
	char		secret_key[PROV_AWS_KEY_SIZE];
	char		session_token[PROV_AWS_TOKEN_SIZE]; /* "" if it has none */
	int64_t		expires;		/* seconds since 1970; 0: does not */
	char		kind[96];		/* where from: "environment" */
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
	prov_aws_credentials credentials;	/* kept ones; access_key "" if none */
} prov_aws;

/*
 * Finds credentials.  prov_aws_credentials.c has the order; the others are
 * its sources, each of which fills in all of *out or fails.
 */
extern prov_category prov_aws_find_credentials(prov_aws *aws,
											   prov_aws_credentials *out,
											   prov_failure *failure);

/* prov_aws_sts.c: a role, by a token of an identity provider in a file. */
extern prov_category prov_aws_web_identity(prov_aws *aws, const char *role,
										   const char *session,
										   const char *token_file,
										   prov_aws_credentials *out,
										   prov_failure *failure);

/* prov_aws_sts.c: a role, asked for with other credentials. */
extern prov_category prov_aws_assume_role(prov_aws *aws, const char *role,
										  const char *session,
										  const char *external_id,
										  const prov_aws_credentials *source,
										  prov_aws_credentials *out,
										  prov_failure *failure);

/* prov_aws_metadata.c: what a container's or a machine's host hands out. */
extern prov_category prov_aws_container(prov_aws *aws, const char *url,
										prov_aws_credentials *out,
										prov_failure *failure);
extern prov_category prov_aws_instance(prov_aws *aws,
									   prov_aws_credentials *out,
									   prov_failure *failure);

/*
 * The address of a service: what a word of the URI, a variable of the
 * service's own or AWS_ENDPOINT_URL says, or else the public one.
 */
extern prov_category prov_aws_endpoint(const prov_aws *aws,
									   const char *service,
									   const char *region, const char *word,
									   const char *variable, char *out,
									   size_t size, prov_failure *failure);

/*
 * Calls an operation, signed, with credentials that last.  PROV_OK: the reply
 * is a good one, and is wiped by whoever is done with it.
 */
extern prov_category prov_aws_call(prov_aws *aws, const char *operation,
								   envl_view body, prov_http_reply *reply,
								   prov_failure *failure);

/* The failure of a reply that is good and yet not understood. */
extern prov_category prov_aws_rubbish(prov_failure *failure,
									  const prov_http_reply *reply);

/* An environment variable that is "true", in any case. */
extern bool prov_aws_is_true(const char *value);

#endif							/* PROV_AWS_H */
