/*
 * pge_rotate.h
 *	  Rotating a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ROTATE_H
#define PGE_ROTATE_H

#include "lifecycle/pge_version.h"

/*
 * Makes a version, sealed by the provider of the active one, and activates it;
 * with a canary's percentage it becomes pre_active.  Activation files a job if
 * rewrap is true.  Returns the version's number.
 */
extern int	pge_rotate(const PgeChange *change, int canary_percent,
					   bool rewrap);

#endif							/* PGE_ROTATE_H */
