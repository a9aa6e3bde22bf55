/*
 * pge_databases.h
 *	  The databases of the server, and when each is to be looked at: the
 *	  launcher's own list.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_DATABASES_H
#define PGE_DATABASES_H

#include "nodes/pg_list.h"

#include "rewrap/pge_activity.h"

typedef struct PgeDatabase
{
	Oid			oid;
	char		name[NAMEDATALEN];
	bool		is_listed;		/* by the scan that is going on */
	bool		is_running;		/* a worker is there, or on its way */
	int64		due_ms;			/* when it is to be looked at */
	PgeMemory	memory;			/* handed from worker to worker */
} PgeDatabase;

extern List *pge_databases;		/* of PgeDatabase */
extern int64 pge_databases_due_ms;	/* when they are to be listed again */

/* One of the list, or NULL. */
extern PgeDatabase *pge_database_find(Oid oid);

/* Brings the list in line with pg_database; a new one is due at once. */
extern void pge_databases_list(int64 now);

/* Notes how its worker ended, which says when it is due again. */
extern void pge_database_left(PgeDatabase *database, const PgeWorkerSlot *slot,
							  int64 now);

/* The database that has been due for longest, NULL if none is. */
extern PgeDatabase *pge_database_due(int64 now);

/* How many are due, and have no worker. */
extern int	pge_databases_count_due(int64 now);

/* What falls due later than the naptime allows is due sooner. */
extern void pge_databases_heed_naptime(int64 now);

#endif							/* PGE_DATABASES_H */
