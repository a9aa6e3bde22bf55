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

/*
 * Finds credentials in the order of prov_aws_credentials.c.  The functions
 * below are its sources; each fills in all of *out or fails.
 */
extern prov_category prov_aws_find_credentials(prov_aws *aws,
											   prov_aws_credentials *out,
											   prov_failure *failure);

/* prov_aws_sts.c: a role, by an identity provider's token in a file. */
extern prov_category prov_aws_web_identity(prov_aws *aws, const char *role,
										   const char *session,
										   const char *token_file,
										   prov_aws_credentials *out,
										   prov_failure *failure);

/* prov_aws_sts.c: a role, requested with the credentials of source. */
extern prov_category prov_aws_assume_role(prov_aws *aws, const char *role,
										  const char *session,
										  const char *external_id,
										  const prov_aws_credentials *source,
										  prov_aws_credentials *out,
										  prov_failure *failure);

/* prov_aws_metadata.c: from the host of a container or an instance. */
extern prov_category prov_aws_container(prov_aws *aws, const char *url,
										prov_aws_credentials *out,
										prov_failure *failure);
extern prov_category prov_aws_instance(prov_aws *aws,
									   prov_aws_credentials *out,
									   prov_failure *failure);

/*
 * Finds the address of a service: from the URI's word, the service's own
 * variable or AWS_ENDPOINT_URL, else the public address.
 */
extern prov_category prov_aws_endpoint(const prov_aws *aws,
									   const char *service,
									   const char *region, const char *word,
									   const char *variable, char *out,
									   size_t size, prov_failure *failure);

/*
 * Calls an operation, signed with valid credentials.  PROV_OK: the reply is a
 * success, and the caller wipes it.
 */
extern prov_category prov_aws_call(prov_aws *aws, const char *operation,
								   envl_view body, prov_http_reply *reply,
								   prov_failure *failure);

/* The failure for a successful reply that we cannot parse. */
extern prov_category prov_aws_rubbish(prov_failure *failure,
									  const prov_http_reply *reply);

/* Whether a variable's value is "true", in any case. */
extern bool prov_aws_is_true(const char *value);

#endif							/* PROV_AWS_H */
