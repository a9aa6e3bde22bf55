/*
 * prov_curl.h
 *	  One try of one HTTP call, for prov_http.c alone.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_CURL_H
#define PROV_CURL_H

#include "providers/http/prov_http.h"

/* What verifies the other side, and what shows who we are; "" for none. */
typedef struct prov_curl_files
{
	char		ca[512];
	char		cert[512];
	char		key[512];
} prov_curl_files;

typedef struct prov_curl prov_curl;

/* NULL if there is no memory. */
extern prov_curl *prov_curl_open(const prov_curl_files *files);
extern void prov_curl_close(prov_curl *curl);

/*
 * Tries once, for timeout_ms at the most.  PROV_OK: the reply is in, and
 * *retry_after_ms says how long it asks to wait, or is 0.  Otherwise *passing
 * tells whether it may be better next time.
 */
extern prov_category prov_curl_try(prov_curl *curl,
								   const prov_http_request *request,
								   int64_t timeout_ms, prov_http_reply *reply,
								   int64_t *retry_after_ms, bool *passing,
								   prov_failure *failure);

#endif							/* PROV_CURL_H */
