/*
 * pge_schedule.h
 *	  Rotation by the calendar: pgenvelope.schedule_rotation, and what a worker
 *	  does about it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SCHEDULE_H
#define PGE_SCHEDULE_H

#include "lifecycle/pge_rotate.h"

/* Rotates keys whose time has come (key.rotate_every); returns how many. */
extern int	pge_rotate_due(void);

#endif							/* PGE_SCHEDULE_H */
