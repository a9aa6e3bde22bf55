/*
 * pge_session_context.h
 *	  The setting pgenvelope.session_context: facts about the user for which a
 *	  session acts.
 *
 * A JSON object of strings, integers and booleans, which grants may refer to
 * ({"session": "tenant"}).  Its value decides which rows can be decrypted.  So
 * only superusers and the function that verifies a token can set it; SQL that
 * runs as the application's role cannot.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SESSION_CONTEXT_H
#define PGE_SESSION_CONTEXT_H

#include "utils/guc.h"

#include "core/envl_context.h"

extern char *pge_session_context;

/* Changes whenever the setting does. */
extern uint64 pge_session_generation;

/*
 * The value of a member of the setting, name and value spelled as in a
 * context; a view without bytes if there is none.  An empty string counts as
 * none, since applications use it for an unknown value.
 */
extern envl_view pge_session_member(envl_view name);

/* The setting's hooks. */
extern bool pge_check_session_context(char **newval, void **extra,
									  GucSource source);
extern void pge_assign_session_context(const char *newval, void *extra);

#endif							/* PGE_SESSION_CONTEXT_H */
