/*
 * prov_form.h
 *	  Writing the body of a form (application/x-www-form-urlencoded), which
 *	  token services expect.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_FORM_H
#define PROV_FORM_H

#include "core/envl_bytes.h"

#define PROV_FORM_TYPE "Content-Type: application/x-www-form-urlencoded"

/* Writes into the caller's buffer, which the caller wipes. */
typedef struct prov_form
{
	char	   *start;
	size_t		len;
	size_t		size;
	bool		overflow;
} prov_form;

extern void prov_form_begin(prov_form *form, char *buffer, size_t size);
extern void prov_form_put(prov_form *form, const char *name,
						  const char *value);

/* False if it did not fit. */
extern bool prov_form_end(const prov_form *form,
						  envl_view *body) ENVL_MUST_CHECK;

#endif							/* PROV_FORM_H */
