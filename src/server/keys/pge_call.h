/*
 * pge_call.h
 *	  The keeper's calls to providers: what each provider does for which slot,
 *	  when it must be done, and when to ask it again.
 *
 * Each name in pgenvelope.providers has one PgeProvider, and its helper
 * process if it needs one.  A provider does one thing at a time.  Providers do
 * not wait for each other, so one that hangs does not make other providers'
 * keys unavailable.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_CALL_H
#define PGE_CALL_H

#include "keys/pge_key_cache.h"
#include "providers/local/prov_helper.h"

/* The current step of a call. */
typedef enum PgeStep
{
	PGE_STEP_IDLE = 0,
	PGE_STEP_SEAL,				/* a new KEK is being sealed */
	PGE_STEP_PROVE,				/* it is being unsealed again, to compare */
	PGE_STEP_UNSEAL,
	PGE_STEP_CHECK
} PgeStep;

/* A piece of work, copied from a slot. */
typedef struct PgeCall
{
	PgeStep		step;
	PgeWant		want;			/* of the slot */
	int			slot;
	bool		refresh;		/* the slot is READY, even if this fails */
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
	bool		had_turn;		/* in this sweep, and it was slow */
	int			failures;		/* in a row, of the kind worth a pause */
	int64		closed_until_ms;	/* circuit breaker: do not ask before */
} PgeProvider;

/* Starts the call.  A local provider's call is over when this returns. */
extern void pge_call_start(PgeProvider *provider);

/* Reads a helper's reply; does nothing if there is none yet. */
extern void pge_call_continue(PgeProvider *provider);

/* Ends a call that has missed its deadline. */
extern void pge_call_expire(PgeProvider *provider);

/* Fails whatever the provider does with this failure, and ends its helper. */
extern void pge_call_abandon(PgeProvider *provider,
							 const prov_failure *failure);

/*
 * Writes the outcome into the call's slot, if the slot still waits for it, and
 * leaves the provider idle.  The category determines which of key and failure
 * is read.
 */
extern void pge_call_finish(PgeProvider *provider, prov_category category,
							const prov_failure *failure);

#endif							/* PGE_CALL_H */
