/*
 * prov_xml.c
 *	  Taking the text of an element from a simple XML reply.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/aws/prov_xml.h"

#include <stdio.h>
#include <string.h>

bool
prov_xml_text(envl_view xml, const char *name, char *out, size_t size)
{
	char		open[64];
	char		shut[64];
	int			open_len = snprintf(open, sizeof(open), "<%s>", name);
	int			shut_len = snprintf(shut, sizeof(shut), "</%s>", name);
	const uint8_t *end = xml.data + xml.len;
	const uint8_t *start;
	const uint8_t *stop;
	size_t		len;

	out[0] = '\0';
	if (xml.len == 0 || shut_len >= (int) sizeof(shut))
		return false;
	start = memmem(xml.data, xml.len, open, (size_t) open_len);
	if (start == NULL)
		return false;
	start += open_len;
	stop = memmem(start, (size_t) (end - start), shut, (size_t) shut_len);
	if (stop == NULL)
		return false;
	len = (size_t) (stop - start);
	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (start[i] < 0x20 || start[i] == '<' || start[i] == '&')
			return false;
	}
	memcpy(out, start, len);
	out[len] = '\0';
	return true;
}
