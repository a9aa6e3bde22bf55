/*
 * pge_destroy.h
 *	  pgenvelope.destroy_key: erasing every seal of a version that this
 *	  database has.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_DESTROY_H
#define PGE_DESTROY_H

#include "lifecycle/pge_retire.h"

/* pgenvelope.destroy_key: called from _PG_init. */
extern void pge_destroy_init(void);

#endif							/* PGE_DESTROY_H */
