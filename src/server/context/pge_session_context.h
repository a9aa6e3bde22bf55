/*
 * pge_session_context.h
 *	  The setting pgenvelope.session_context: what is known of whom a session
 *	  works for.
 *
 * A JSON object of strings, integers and booleans, which grants may refer to
 * ({"session": "tenant"}).  Who may set it decides who sees what, so it is for
 * superusers, and for the function that verifies a token; whoever runs SQL as
 * the application's role cannot change it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SESSION_CONTEXT_H
#define PGE_SESSION_CONTEXT_H

#include "utils/guc.h"

#include "core/envl_context.h"

extern char *pge_session_context;

/* Moves whenever the setting does. */
extern uint64 pge_session_generation;

/*
 * The value of a member of the setting, both spelled as in a context; of no
 * bytes where there is none.  An empty string is none: that is what an
 * application has that does not know.
 */
extern envl_view pge_session_member(envl_view name);

/* The setting's hooks. */
extern bool pge_check_session_context(char **newval, void **extra,
									  GucSource source);
extern void pge_assign_session_context(const char *newval, void *extra);

#endif							/* PGE_SESSION_CONTEXT_H */
