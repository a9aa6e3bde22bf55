/*
 * prov_xml.h
 *	  Taking the text of an element from a simple XML reply.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_XML_H
#define PROV_XML_H

#include "core/envl_bytes.h"

/*
 * Copies the text of the first element <name> that has neither attributes nor
 * children.  False, with out empty, if there is none, or if its text is empty,
 * has an escape or a control character, or does not fit.
 */
extern bool prov_xml_text(envl_view xml, const char *name, char *out,
						  size_t size);

#endif							/* PROV_XML_H */
