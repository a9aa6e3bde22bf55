/*
 * prov_xml.h
 *	  Taking a text out of a simple XML answer.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_XML_H
#define PROV_XML_H

#include "core/envl_bytes.h"

/*
 * The text of the first element <name>, which has neither attributes nor
 * children.  False, and out empty, if there is none, if its text has an
 * escape or a control character, is empty, or does not fit.
 */
extern bool prov_xml_text(envl_view xml, const char *name, char *out,
						  size_t size);

#endif							/* PROV_XML_H */
