/*
 * pge_census.c
 *	  Which key versions the stored values need.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "pge_census.h"

List *
pge_census(List *places, Snapshot snapshot)
{
	return NIL;
}
