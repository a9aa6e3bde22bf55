/*
 * prov_cloud.h
 *	  What the providers of the clouds have in common: the form of what they
 *	  seal, tables of error codes, and a few failures.
 *
 * What is sealed is text, "PROVIDER:v1:...", so that it says what it is to
 * whoever has to open it without this software.  docs/providers.md has it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_CLOUD_H
#define PROV_CLOUD_H

#include "providers/http/prov_http.h"

/* What a service's error code means; a table ends with a NULL code. */
typedef struct prov_cloud_code
{
	const char *code;
	prov_category category;
} prov_cloud_code;

/* What the table says, or else prov_cloud_refusal. */
extern prov_category prov_cloud_category(const prov_cloud_code *codes,
										 const char *code,
										 const prov_http_reply *reply);

/*
 * What the status of a reply says that is not the one hoped for.  Never
 * PROV_OK: a 204 is as good as nothing.  That it denies or does not find is
 * believed of an answer in JSON only: a proxy, a firewall or a page of a web
 * server says so too, of other things, and it would cost keys their grace.
 */
extern prov_category prov_cloud_refusal(const prov_http_reply *reply);

/*
 * A category, of who gives credentials and knows nothing of root keys: what
 * is not found there is never one.
 */
extern prov_category prov_cloud_no_credentials(prov_category category);

/* prefix and the bytes in base64.  False if it does not fit. */
extern bool prov_cloud_write_sealed(prov_sealed *sealed, const char *prefix,
									envl_base64 kind,
									envl_view bytes) ENVL_MUST_CHECK;

/*
 * The reverse, into PROV_SEALED_MAX bytes.  False for what was not written
 * so.
 */
extern bool prov_cloud_read_sealed(envl_view sealed, const char *prefix,
								   envl_base64 kind, uint8_t *out,
								   size_t *len) ENVL_MUST_CHECK;

/*
 * For a call that one can do without: between begin and end the deadline is a
 * third of the time that is left, so that there is time for what matters.
 */
typedef struct prov_cloud_part
{
	int64_t		started_ms;
	int64_t		left_ms;
} prov_cloud_part;

extern void prov_cloud_begin_part(prov_http *http, prov_cloud_part *part);
extern void prov_cloud_end_part(prov_http *http, const prov_cloud_part *part);

/* 1 to longest letters, digits and hyphens: nothing that moves a host. */
extern bool prov_cloud_is_word(envl_view part, size_t longest);

/* Copies what is known to fit, with a NUL. */
extern void prov_cloud_copy(envl_view text, char *out);

/* Writes "NAME: VALUE" of a secret header; false if it does not fit. */
extern bool prov_cloud_header(char *out, size_t size, const char *name,
							  const char *value) ENVL_MUST_CHECK;

extern prov_category prov_cloud_not_ours(prov_failure *failure);
extern prov_category prov_cloud_wrong_length(prov_failure *failure);
extern prov_category prov_cloud_too_long(prov_failure *failure);
extern prov_category prov_cloud_no_memory(prov_failure *failure);

#endif							/* PROV_CLOUD_H */
