/*
 * pge_type.h
 *	  The type envelope's input function, by which the type is recognised in
 *	  any schema.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_TYPE_H
#define PGE_TYPE_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pgenvelope_in(PG_FUNCTION_ARGS);

#endif							/* PGE_TYPE_H */
