/*
 * pge_slot.h
 *	  The slots in pge_shared.h: finding them, and sharing them out.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SLOT_H
#define PGE_SLOT_H

#include "base/pge_shared.h"
#include "keys/pge_key_cache.h"

/* The slot of that digest and database, or -1.  Caller holds the lock. */
extern int	pge_slot_find(const uint8 *digest, Oid database);

/*
 * The state of a slot; FREE if what is in it counts no longer, or i is -1.
 * Caller holds the lock.
 */
extern PgeSlotState pge_slot_state(int i);

/*
 * A free slot, made free if need be; -1 if there is none to be had now.
 * Caller holds the lock exclusively, as for what follows.
 */
extern int	pge_slot_take(void);

/* Makes a free slot ask a provider for something that has no key yet. */
extern void pge_slot_ask(int i, PgeWant want, const uint8 *digest,
						 const char *provider, const char *database_name);

/* Has a slot be found by another digest. */
extern void pge_slot_name(int i, const uint8 *digest);

/* Frees the slot and wipes its KEK. */
extern void pge_slot_clear(int slot);

#endif							/* PGE_SLOT_H */
