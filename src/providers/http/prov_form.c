/*
 * prov_form.c
 *	  Writing the body of a form.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_form.h"

#include <string.h>

#include "providers/prov_uri.h"

static void append_text(prov_form *form, const char *text);

void
prov_form_begin(prov_form *form, char *buffer, size_t size)
{
	form->start = buffer;
	form->len = 0;
	form->size = size;
	form->overflow = (size == 0);
	if (size > 0)
		buffer[0] = '\0';
}

void
prov_form_put(prov_form *form, const char *name, const char *value)
{
	if (form->len > 0)
		append_text(form, "&");
	append_text(form, name);
	append_text(form, "=");
	if (form->overflow ||
		!prov_uri_encode(value, form->start + form->len,
						 form->size - form->len))
		form->overflow = true;
	else
		form->len += strlen(form->start + form->len);
}

static void
append_text(prov_form *form, const char *text)
{
	size_t		len = strlen(text);

	if (form->overflow || len >= form->size - form->len)
	{
		form->overflow = true;
		return;
	}
	memcpy(form->start + form->len, text, len + 1);
	form->len += len;
}

bool
prov_form_end(const prov_form *form, envl_view *body)
{
	body->data = (const uint8_t *) form->start;
	body->len = form->overflow ? 0 : form->len;
	return !form->overflow;
}
