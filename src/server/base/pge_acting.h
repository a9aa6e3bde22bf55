/*
 * pge_acting.h
 *	  The administrative act that a function is attempting, so that a refusal
 *	  can be recorded.
 *
 * A function that administers first begins an attempt.  If it raises,
 * audit/pge_act.c writes the refusal from what is noted here; if it succeeds,
 * the act itself is recorded and the attempt ends.  Ending an attempt does not
 * read the catalog, so that it can be recorded in an aborted transaction.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ACTING_H
#define PGE_ACTING_H

#include "base/pge_report.h"
#include "core/envl_key.h"

typedef struct PgeActing
{
	char		act[NAMEDATALEN];	/* the function's name; "": no attempt */
	char		role[NAMEDATALEN];	/* current_user when it began */
	char		key_name[ENVL_KEY_NAME_MAX + 1];	/* "": none is known */
	PgeOutcome	outcome;		/* PGE_OK: an error of another kind, if any */
} PgeActing;

/* The attempt of this process. */
extern PgeActing pge_acting;

/*
 * Begins an attempt, and ends any that is under way.  The name may be spelled
 * as in messages, "pgenvelope.create_key()": the act is "create_key".
 */
extern void pge_acting_begin(const char *function);

/* The key that the attempt concerns. */
extern void pge_acting_key(const char *key_name);

/* What the attempt fails with. */
extern void pge_acting_outcome(PgeOutcome outcome);

/* Call this if there was nothing to do, or the act has been recorded. */
extern void pge_acting_end(void);

#endif							/* PGE_ACTING_H */
