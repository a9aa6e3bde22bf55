/*
 * pge_call.h
 *	  The keeper's calls to providers: which provider is doing what for which
 *	  slot, when it must be done, and when it may be asked again.
 *
 * Every name in pgenvelope.providers has one PgeProvider, with its helper
 * process if it is one.  A provider does one thing at a time; providers do
 * not wait for each other, so a hanging one makes nobody else's keys
 * unavailable.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CALL_H
#define PGE_CALL_H

#include "keys/pge_key_cache.h"
#include "providers/local/prov_helper.h"

/* What a call is at. */
typedef enum PgeStep
{
	PGE_STEP_IDLE = 0,
	PGE_STEP_SEAL,				/* a new KEK is being sealed */
	PGE_STEP_PROVE,				/* it is being unsealed again, to compare */
	PGE_STEP_UNSEAL,
	PGE_STEP_CHECK
} PgeStep;

/* One piece of work, copied out of a slot. */
typedef struct PgeCall
{
	PgeStep		step;
	PgeWant		want;			/* of the slot */
	int			slot;
	bool		refresh;		/* the slot is READY and stays so on failure */
	Oid			database;
	uint8		digest[ENVL_KEK_DIGEST_LEN];	/* is the slot still ours? */
	char		key_name[ENVL_KEY_NAME_MAX + 1];
	prov_kek	kek;			/* name points to key_name */
	prov_sealed sealed;
	uint8		kcv[ENVL_KCV_LEN];	/* refresh: of the KEK in the slot */
	envl_key	key;			/* RESEAL, PROVE: the KEK; then the result */
	int64		expires;		/* CHECK: as in the slot */
	int64		started_ms;
	int64		deadline_ms;
} PgeCall;

typedef struct PgeProvider
{
	prov_root	root;
	bool		listed;			/* still in pgenvelope.providers */
	prov_helper helper;			/* if it is one */
	int			told_timeout;	/* to the helper, at its start */
	PgeCall		call;
	bool		had_turn;		/* in this sweep, and it took long */
	int			failures;		/* in a row, of the kind worth a pause */
	int64		closed_until_ms;	/* circuit breaker: ask nothing before */
} PgeProvider;

/* Starts the call.  A local provider's is over when this returns. */
extern void pge_call_start(PgeProvider *provider);

/* Reads a helper's reply; harmless when none has come. */
extern void pge_call_continue(PgeProvider *provider);

/* Ends a call that has missed its deadline. */
extern void pge_call_expire(PgeProvider *provider);

/* Ends whatever the provider does, with this failure, and its helper. */
extern void pge_call_abandon(PgeProvider *provider,
							 const prov_failure *failure);

/*
 * Writes an outcome into the call's slot, if the slot still waits for it, and
 * leaves the provider idle.  key and failure: whichever category says.
 */
extern void pge_call_finish(PgeProvider *provider, prov_category category,
							const prov_failure *failure);

#endif							/* PGE_CALL_H */
