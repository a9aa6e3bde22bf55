/*
 * prov_by_hand.h
 *	  What a person sees of a helper: --check, and failures as text.  For
 *	  prov_serve.c alone.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_BY_HAND_H
#define PROV_BY_HAND_H

#include "providers/serve/prov_serve.h"

/*
 * Checks, and sends random bytes there and back.  Prints what was found to
 * standard output, failures to standard error; returns an exit code.
 */
extern int	prov_by_hand(const prov_service *service, void *state);

/* Prints the failure of a step; returns an exit code. */
extern int	prov_by_hand_failed(const char *step,
								const prov_failure *failure);

/* Reason and detail in one line of printable ASCII, cut if too long. */
extern void prov_describe(const prov_failure *failure, char *text,
						  size_t size);

#endif							/* PROV_BY_HAND_H */
