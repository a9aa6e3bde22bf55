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

/* With its newline; as in prov_helper.h, of which a helper shares no more. */
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
 * VERB ID ROOT [KEY BASE64].  False if there is no id to answer to; *known
 * is whether it is a request that the protocol has.
 */
extern bool prov_line_parse(envl_view line, prov_line_request *out,
							bool *known) ENVL_MUST_CHECK;

/*
 * A reply, a string in PROV_LINE_MAX bytes, of which 4096 bytes and a name fit
 * into one.  begin writes "WORD ID", add a space and base64.
 */
extern void prov_line_begin(const char *word, envl_view id, char *reply);
extern void prov_line_add(char *reply, envl_view bytes);

/* Nothing for a root key without a name. */
extern void prov_line_add_root_key(char *reply, const char *root_key);

/* There it is "-", if something follows. */
extern void prov_line_add_check(char *reply, const prov_check *check);

#endif							/* PROV_LINE_H */
