/*
 * pge_activity.h
 *	  What the launcher, the rewrap workers and everybody who watches them
 *	  share.
 *
 * Locking protocol.  PgeRewrapShared.lock covers everything but what is
 * marked atomic: exclusive to change, shared to read.  It is held for a few
 * instructions; nobody waits or allocates under it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ACTIVITY_H
#define PGE_ACTIVITY_H

#include "storage/latch.h"
#include "storage/lwlock.h"

/* Databases that may be waiting to be looked at; more: all are looked at. */
#define PGE_WANTED_MAX 64

typedef struct PgeRewrapShared
{
	LWLock	   *lock;
	pid_t		launcher_pid;	/* 0 if there is none */
	Latch	   *launcher_latch; /* NULL if there is none */
	bool		all_wanted;		/* every database is to be looked at */
	int			wanted_count;	/* else these are */
	Oid			wanted[PGE_WANTED_MAX];
} PgeRewrapShared;

/* NULL unless the library was preloaded. */
extern PgeRewrapShared *pge_rewrap_shared;

/* Called from _PG_init in the postmaster. */
extern void pge_activity_init(void);

/* Notes that a database is to be looked at, and wakes the launcher. */
extern void pge_activity_want(Oid database);

#endif							/* PGE_ACTIVITY_H */
