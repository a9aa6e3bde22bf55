/*
 * pge_context_settings.c
 *	  Settings of sessions: who they may speak for.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "context/pge_context_settings.h"
#include "context/pge_session_context.h"

char	   *pge_session_key_file;
int			pge_session_token_lifetime;
int			pge_session_used_tokens;

static bool
check_absolute_path(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || **newval == '/')
		return true;
	GUC_check_errdetail("The path is not absolute.");
	return false;
}

void
pge_context_settings_init(void)
{
	DefineCustomStringVariable("pgenvelope.session_context",
							   "Says whom the session works for: a JSON object, whose members grants can refer to.",
							   "Set it with env_bind_session.",
							   &pge_session_context, "", PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   pge_check_session_context,
							   pge_assign_session_context, NULL);
	DefineCustomStringVariable("pgenvelope.session_key_file",
							   "Names the file of keys, a JWK Set, that sign the tokens of env_bind_session.",
							   NULL, &pge_session_key_file, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, check_absolute_path, NULL,
							   NULL);
	DefineCustomIntVariable("pgenvelope.session_token_lifetime",
							"Sets how long a token that binds a session may be valid for.",
							NULL, &pge_session_token_lifetime, 3600, 1,
							INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.session_used_tokens",
							"Sets how many used tokens are remembered, so that each is accepted once; 0 accepts them until they expire.",
							NULL, &pge_session_used_tokens, 0, 0, 1000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
}
