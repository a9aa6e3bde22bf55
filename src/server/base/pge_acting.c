/*
 * pge_acting.c
 *	  The administrative act that a function is attempting.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/pge_acting.h"
#include "base/pge_line.h"

PgeActing	pge_acting;

void
pge_acting_begin(const char *function)
{
	static const char schema[] = "pgenvelope.";
	char	   *role = GetUserNameFromId(GetUserId(), true);

	strlcpy(pge_acting.role, role != NULL ? role : "",
			sizeof(pge_acting.role));
	pge_acting.key_name[0] = '\0';
	pge_acting.outcome = PGE_OK;
	pge_line_learn();
	if (strncmp(function, schema, strlen(schema)) == 0)
		function += strlen(schema);
	strlcpy(pge_acting.act, function, sizeof(pge_acting.act));
	pge_acting.act[strcspn(pge_acting.act, "(")] = '\0';
}

void
pge_acting_key(const char *key_name)
{
	strlcpy(pge_acting.key_name, key_name, sizeof(pge_acting.key_name));
}

void
pge_acting_outcome(PgeOutcome outcome)
{
	pge_acting.outcome = outcome;
}

void
pge_acting_end(void)
{
	pge_acting.act[0] = '\0';
}
