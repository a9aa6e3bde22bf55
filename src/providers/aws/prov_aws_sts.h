/*
 * prov_aws_sts.h
 *	  Asking AWS's token service (STS) for a role's credentials.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_AWS_STS_H
#define PROV_AWS_STS_H

#include "providers/aws/prov_aws.h"

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

#endif							/* PROV_AWS_STS_H */
