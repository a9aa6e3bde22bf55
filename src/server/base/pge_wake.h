/*
 * pge_wake.h
 *	  Waking the launcher.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_WAKE_H
#define PGE_WAKE_H

/* Has the launcher look around, if there is one. */
extern void pge_wake_launcher(void);

/* The launcher's: from now on it is woken; no longer. */
extern void pge_wake_attach(void);
extern void pge_wake_detach(void);

#endif							/* PGE_WAKE_H */
