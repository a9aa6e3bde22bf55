/*
 * prov_aws_call.h
 *	  Calling AWS KMS: addresses, signatures, errors.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_CALL_H
#define PROV_AWS_CALL_H

#include "providers/aws/prov_aws.h"

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

#endif							/* PROV_AWS_CALL_H */
