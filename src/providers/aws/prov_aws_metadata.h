/*
 * prov_aws_metadata.h
 *	  AWS credentials that a container's or a machine's host hands out.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_METADATA_H
#define PROV_AWS_METADATA_H

#include "providers/aws/prov_aws.h"

/* prov_aws_metadata.c: what a container's or a machine's host hands out. */
extern prov_category prov_aws_container(prov_aws *aws, const char *url,
										prov_aws_credentials *out,
										prov_failure *failure);
extern prov_category prov_aws_instance(prov_aws *aws,
									   prov_aws_credentials *out,
									   prov_failure *failure);

#endif							/* PROV_AWS_METADATA_H */
