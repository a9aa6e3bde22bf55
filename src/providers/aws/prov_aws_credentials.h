/*
 * prov_aws_credentials.h
 *	  Finding AWS credentials where users of AWS expect them to be found.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_CREDENTIALS_H
#define PROV_AWS_CREDENTIALS_H

#include "providers/aws/prov_aws.h"

/*
 * Finds credentials.  prov_aws_credentials.c has the order; the others are
 * its sources, each of which fills in all of *out or fails.
 */
extern prov_category prov_aws_find_credentials(prov_aws *aws,
											   prov_aws_credentials *out,
											   prov_failure *failure);

#endif							/* PROV_AWS_CREDENTIALS_H */
