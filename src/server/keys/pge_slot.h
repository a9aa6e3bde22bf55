/*
 * pge_slot.h
 *	  The slots in pge_key_cache.h: finding them, and dividing them among
 *	  databases.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SLOT_H
#define PGE_SLOT_H

#include "base/pge_shared.h"
#include "keys/pge_key_cache.h"

/* Finds the slot of a digest and database, or -1.  Caller holds the lock. */
extern int	pge_slot_find(const uint8 *digest, Oid database);

/*
 * The state of a slot.  FREE if its content is no longer valid, or i is -1.
 * Caller holds the lock.
 */
extern PgeSlotState pge_slot_state(int i);

/*
 * Returns a free slot, evicting one if necessary, or -1 if none is available
 * now.  For this and for what follows, the caller holds the lock exclusively.
 */
extern int	pge_slot_take(void);

/* Fills a free slot with a request to a provider that concerns no key yet. */
extern void pge_slot_ask(int i, PgeWant want, const uint8 *digest,
						 const char *provider, const char *database_name);

/* Gives a slot another digest, by which it is found from now on. */
extern void pge_slot_name(int i, const uint8 *digest);

/* Frees the slot and wipes its KEK. */
extern void pge_slot_clear(int slot);

#endif							/* PGE_SLOT_H */
