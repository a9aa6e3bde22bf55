/*
 * pge_wake.h
 *	  Waking the launcher.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_WAKE_H
#define PGE_WAKE_H

/* Wakes the launcher to look for work, if there is one. */
extern void pge_wake_launcher(void);

/* For the launcher: start, and stop, being woken. */
extern void pge_wake_attach(void);
extern void pge_wake_detach(void);

#endif							/* PGE_WAKE_H */
