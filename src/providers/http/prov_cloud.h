/*
 * prov_cloud.h
 *	  What the providers of the clouds share: the form of what they seal,
 *	  tables of error codes, and a few failures.
 *
 * The sealed bytes are text, "PROVIDER:v1:...", so that they can be recognised
 * and opened without this software.  See docs/providers.md.
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

/* The category of the code in the table, else prov_cloud_refusal. */
extern prov_category prov_cloud_category(const prov_cloud_code *codes,
										 const char *code,
										 const prov_http_reply *reply);

/*
 * The category of a reply that is no success, by its status; never PROV_OK,
 * since even a 204 is not what was asked for.  "Denied" and "not found" count
 * only if the body is JSON.  A proxy, a firewall or a web server sends these
 * statuses too, and believing it would end the grace period of keys.
 */
extern prov_category prov_cloud_refusal(const prov_http_reply *reply);

/*
 * Adapts the category of a service that issues credentials.  It knows no root
 * keys, so "not found" must not mean that the root key is missing.
 */
extern prov_category prov_cloud_no_credentials(prov_category category);

/* Writes prefix and the bytes in base64.  False if they do not fit. */
extern bool prov_cloud_write_sealed(prov_sealed *sealed, const char *prefix,
									envl_base64 kind,
									envl_view bytes) ENVL_MUST_CHECK;

/*
 * Reads what prov_cloud_write_sealed wrote, into PROV_SEALED_MAX bytes.  False
 * for anything else.
 */
extern bool prov_cloud_read_sealed(envl_view sealed, const char *prefix,
								   envl_base64 kind, uint8_t *out,
								   size_t *len) ENVL_MUST_CHECK;

/*
 * For a call that we can do without.  Between begin and end the deadline is a
 * third of the time left, which keeps time for the call that matters.
 */
typedef struct prov_cloud_part
{
	int64_t		started_ms;
	int64_t		left_ms;
} prov_cloud_part;

extern void prov_cloud_begin_part(prov_http *http, prov_cloud_part *part);
extern void prov_cloud_end_part(prov_http *http, const prov_cloud_part *part);

/*
 * Whether a part is 1 to longest letters, digits and hyphens, so that it
 * cannot change the host of a URL.
 */
extern bool prov_cloud_is_word(envl_view part, size_t longest);

/* Copies a text that fits, and adds a NUL. */
extern void prov_cloud_copy(envl_view text, char *out);

/*
 * Writes "NAME: VALUE" for a header with a secret; false if it does not fit.
 */
extern bool prov_cloud_header(char *out, size_t size, const char *name,
							  const char *value) ENVL_MUST_CHECK;

extern prov_category prov_cloud_not_ours(prov_failure *failure);
extern prov_category prov_cloud_wrong_length(prov_failure *failure);
extern prov_category prov_cloud_too_long(prov_failure *failure);
extern prov_category prov_cloud_no_memory(prov_failure *failure);

#endif							/* PROV_CLOUD_H */
