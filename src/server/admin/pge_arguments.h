/*
 * pge_arguments.h
 *	  The arguments of a call as JSON, and a call with arguments from JSON.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ARGUMENTS_H
#define PGE_ARGUMENTS_H

#include "fmgr.h"

/*
 * The arguments of a call, by name, as a jsonb object.  It omits null
 * arguments: null in JSON is a value of type jsonb.
 */
extern Datum pge_arguments_pack(FunctionCallInfo fcinfo);

/* One of them, as text; NULL: it is null. */
extern char *pge_argument(Datum arguments, const char *name);

/*
 * Calls a function with these arguments, and with context as fcinfo->context.
 * Ignores the EXECUTE privilege.  Returns the function's result as jsonb.
 */
extern Datum pge_arguments_call(Oid function, Datum arguments, Node *context);

#endif							/* PGE_ARGUMENTS_H */
