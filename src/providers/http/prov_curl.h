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

/* What verifies the server, and what identifies us; "" for none. */
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
 * Tries once, for at most timeout_ms.  PROV_OK: the reply is complete, and
 * *retry_after_ms is how long it asks to wait, or 0.  Otherwise *passing says
 * whether another try may succeed.
 */
extern prov_category prov_curl_try(prov_curl *curl,
								   const prov_http_request *request,
								   int64_t timeout_ms, prov_http_reply *reply,
								   int64_t *retry_after_ms, bool *passing,
								   prov_failure *failure);

#endif							/* PROV_CURL_H */
