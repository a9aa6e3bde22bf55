/*
 * pge_places.c
 *	  Where envelopes can be, as the catalogs say.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "pge_census.h"

List *
pge_places(void)
{
	return NIL;
}
