/*
 * pge_lifecycle_settings.c
 *	  Settings of the life of keys.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "lifecycle/pge_lifecycle_settings.h"

char	   *pge_required_context;
int			pge_proof_max_age;
int			pge_destroy_after;

void
pge_lifecycle_settings_init(void)
{
	DefineCustomStringVariable("pgenvelope.required_context",
							   "Sets the required context, a JSON object, of keys created without one.",
							   NULL, &pge_required_context,
							   "{\"tenant\": null, \"type\": null}",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.proof_max_age",
							"Sets how old the proof that no value needs a key version may be when the version is retired.",
							NULL, &pge_proof_max_age, 86400, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.destroy_after",
							"Sets how long a key version must have been retired before it may be destroyed.",
							NULL, &pge_destroy_after, 30 * 86400, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
}
