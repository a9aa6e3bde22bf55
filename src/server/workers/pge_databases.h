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

/* What is known of one duty in a database. */
typedef struct PgeTurn
{
	bool		is_wanted;		/* REWRAP: the database lets sessions in;
								 * DELIVER: something waits */
	bool		is_running;		/* a worker is there, or on its way */
	int64		due_ms;			/* no worker is started before then */
	PgeMemory	memory;			/* handed from worker to worker */
} PgeTurn;

typedef struct PgeDatabase
{
	Oid			oid;
	char		name[NAMEDATALEN];
	bool		is_listed;		/* by the scan that is going on */
	PgeTurn		turns[PGE_DUTIES];
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

/* Notes that no worker could be started for it. */
extern void pge_database_put_off(PgeDatabase *database, PgeDuty duty,
								 int64 now);

/* The database that has been due for longest, NULL if none is. */
extern PgeDatabase *pge_database_due(PgeDuty duty, int64 now);

/* How many are due to be rewrapped, and have no worker. */
extern int	pge_databases_count_due(int64 now);

/* When the next falls due that is not yet; a far time if none will. */
extern int64 pge_databases_next_ms(PgeDuty duty, int64 now);

/* Notes in which databases locks or alerts wait, and forgets those of others
 * that are no more. */
extern void pge_databases_find_deliveries(int64 now);

/* What falls due later than the naptime allows is due sooner. */
extern void pge_databases_heed_naptime(int64 now);

#endif							/* PGE_DATABASES_H */
