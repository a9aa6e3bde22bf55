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
 * Checks the root key, then seals and unseals random bytes.  Prints the result
 * to standard output and failures to standard error.  Returns an exit code.
 */
extern int	prov_by_hand(const prov_service *service, void *state);

/* Prints the failure of a step.  Returns an exit code. */
extern int	prov_by_hand_failed(const char *step,
								const prov_failure *failure);

/* Writes reason and detail as one line of printable ASCII, cut if too long. */
extern void prov_describe(const prov_failure *failure, char *text,
						  size_t size);

#endif							/* PROV_BY_HAND_H */
