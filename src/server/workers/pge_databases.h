/*
 * pge_databases.h
 *	  The launcher's list of the server's databases, and when to look at each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_DATABASES_H
#define PGE_DATABASES_H

#include "nodes/pg_list.h"

#include "rewrap/pge_activity.h"

/* What is known about one duty in a database. */
typedef struct PgeTurn
{
	bool		is_wanted;		/* REWRAP: the database lets sessions in;
								 * DELIVER: something waits */
	bool		is_running;		/* a worker is starting or running */
	int64		due_ms;			/* start no worker before this */
	PgeMemory	memory;			/* passed from one worker to the next */
} PgeTurn;

typedef struct PgeDatabase
{
	Oid			oid;
	char		name[NAMEDATALEN];
	bool		is_listed;		/* seen by the current scan */
	PgeTurn		turns[PGE_DUTIES];
} PgeDatabase;

extern List *pge_databases;		/* of PgeDatabase */
extern int64 pge_databases_due_ms;	/* when to list them again */

/* Finds a database in the list, or returns NULL. */
extern PgeDatabase *pge_database_find(Oid oid);

/* Updates the list from pg_database.  A new database is due at once. */
extern void pge_databases_list(int64 now);

/* Records how its worker ended, and from that when it is due again. */
extern void pge_database_left(PgeDatabase *database, const PgeWorkerSlot *slot,
							  int64 now);

/* Records that no worker could be started for it. */
extern void pge_database_put_off(PgeDatabase *database, PgeDuty duty,
								 int64 now);

/* The database that has been due for longest, or NULL. */
extern PgeDatabase *pge_database_due(PgeDuty duty, int64 now);

/* How many databases are due for rewrapping and have no worker. */
extern int	pge_databases_count_due(int64 now);

/* When the next database falls due, or a far time if none will. */
extern int64 pge_databases_next_ms(PgeDuty duty, int64 now);

/*
 * Records in which databases locks or alerts wait, and forgets those that wait
 * for databases which no longer exist.
 */
extern void pge_databases_find_deliveries(int64 now);

/* Brings forward what is due later than the naptime allows. */
extern void pge_databases_heed_naptime(int64 now);

#endif							/* PGE_DATABASES_H */
