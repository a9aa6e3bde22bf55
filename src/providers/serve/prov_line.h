/*
 * prov_line.h
 *	  The lines of the helper protocol, as a helper sees them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_LINE_H
#define PROV_LINE_H

#include "providers/serve/prov_serve.h"

/*
 * Includes the newline.  Repeated from prov_helper.h, which helpers do not
 * include.
 */
#define PROV_LINE_MAX 8192

/* A request, as views into its line. */
typedef struct prov_line_request
{
	envl_view	verb;
	envl_view	id;
	envl_view	root;
	char		key[24];		/* "" for a check */
	envl_view	payload;		/* base64 */
} prov_line_request;

/*
 * Parses VERB ID ROOT [KEY BASE64].  False if there is no id to reply to;
 * *known is whether the protocol has such a request.
 */
extern bool prov_line_parse(envl_view line, prov_line_request *out,
							bool *known) ENVL_MUST_CHECK;

/*
 * A reply is a string in PROV_LINE_MAX bytes, which holds 4096 bytes in base64
 * and a name.  begin writes "WORD ID"; add appends a space and base64.
 */
extern void prov_line_begin(const char *word, envl_view id, char *reply);
extern void prov_line_add(char *reply, envl_view bytes);

/* Appends nothing for a root key without a name. */
extern void prov_line_add_root_key(char *reply, const char *root_key);

/* Here a root key without a name is "-" if more fields follow. */
extern void prov_line_add_check(char *reply, const prov_check *check);

#endif							/* PROV_LINE_H */
