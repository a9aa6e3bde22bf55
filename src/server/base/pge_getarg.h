/*
 * pge_getarg.h
 *	  Arguments of SQL functions that may be null.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_GETARG_H
#define PGE_GETARG_H

#include "fmgr.h"
#include "utils/builtins.h"

/* An argument, or otherwise if it is null. */
static inline bool
pge_getarg_bool(FunctionCallInfo fcinfo, int n, bool otherwise)
{
	return PG_ARGISNULL(n) ? otherwise : PG_GETARG_BOOL(n);
}

/* An argument, detoasted; NULL if it is null. */
static inline struct varlena *
pge_getarg_varlena(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_VARLENA_PP(n);
}

/* A text argument as a C string; NULL if it is null. */
static inline char *
pge_getarg_cstring(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

#endif							/* PGE_GETARG_H */
