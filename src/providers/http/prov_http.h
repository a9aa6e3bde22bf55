/*
 * prov_http.h
 *	  One HTTP call at a time, over libcurl, as careful as a key deserves.
 *
 * TLS 1.2 or later; certificate and host name are always verified; redirects
 * are replies like any other; nothing but http and https; plain http to this
 * machine, and where a request says so to a cloud's metadata service, never
 * through a proxy.  A reply has a limit.  Whatever goes wrong, within the
 * deadline there is a reply or a failure.
 *
 * Calls are tried again, with full jitter and honouring Retry-After, while
 * there is time: when the connection failed or broke, and for replies that
 * the request calls passing.  So a request must be one that can be repeated.
 *
 * libcurl's and the JSON library's memory is wiped when it is freed.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_HTTP_H
#define PROV_HTTP_H

#include "providers/prov_uri.h"

#define PROV_HTTP_URL_MAX 4096
#define PROV_HTTP_BODY_MAX 65536	/* of a reply */
#define PROV_HTTP_WANTED_MAX 6
#define PROV_HTTP_HEADER_MAX 512	/* of a value that is wanted */

/*
 * The words that prov_http_open takes from a URI, NULL-terminated:
 *	  ca-file	PEM certificates to trust in place of the system's
 *	  cert-file, key-file	client certificate and its key, PEM
 *	  timeout	of one request of the caller with all its calls, in
 *				milliseconds, 100 to 600000; by default, and at most, four
 *				fifths of the keeper's deadline
 */
extern const char *const prov_http_words[];

typedef struct prov_http prov_http;

/* What serves if the URI names no file, or NULL: environment variables. */
typedef struct prov_http_defaults
{
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
} prov_http_defaults;

/* Makes a client; defaults may be NULL.  Calls nobody, reads no file. */
extern prov_category prov_http_open(const prov_uri *uri,
									const prov_http_defaults *defaults,
									prov_http **http, prov_failure *failure);
extern void prov_http_close(prov_http *http);

/*
 * Starts the deadline that all calls share until the next one: once at the
 * start of each seal, unseal and check.
 */
extern void prov_http_begin(prov_http *http);

/* The same for a deadline of fewer milliseconds. */
extern void prov_http_begin_for(prov_http *http, int64_t ms);

/* Milliseconds until the deadline, 0 when it has passed. */
extern int64_t prov_http_left_ms(const prov_http *http);

typedef struct prov_http_reply
{
	long		status;
	size_t		body_len;
	char		body[PROV_HTTP_BODY_MAX + 1];	/* and a NUL */
	/* Values of request->wanted, printable ASCII, "" if absent; cut. */
	char		headers[PROV_HTTP_WANTED_MAX][PROV_HTTP_HEADER_MAX];
} prov_http_reply;

typedef struct prov_http_request
{
	const char *method;			/* "GET", "POST" or "PUT" */
	const char *url;			/* absolute; encoded */

	/*
	 * "Name: value", NULL-terminated, or NULL.  A value without line breaks
	 * only.  "Content-Type" too is the caller's to give.
	 */
	const char *const *headers;
	envl_view	body;			/* empty: none; POST sends an empty one */

	/* Names of headers whose values are wanted, NULL-terminated, or NULL. */
	const char *const *wanted;

	bool		metadata;		/* http to a link-local address is allowed */
	bool		once;			/* not tried again */

	/*
	 * Which replies are passing: PROV_UNAVAILABLE or PROV_THROTTLED mean try
	 * again, everything else is an answer.  NULL for prov_http_category.
	 */
	prov_category (*classify)(const prov_http_reply *reply);

	/*
	 * To be signed by AWS Signature Version 4: "aws:amz:eu-central-1:kms", or
	 * NULL.  A session token is a header of the caller's.
	 */
	const char *sigv4;
	const char *access_key;
	const char *secret_key;
} prov_http_request;

/*
 * Calls.  PROV_OK: there is a reply, of whatever status, perhaps the last of
 * several tries.  Otherwise PROV_UNAVAILABLE (no connection, no or a broken
 * reply, no time left) or PROV_MISCONFIGURED (refused certificate, a URL that
 * is not allowed, a file of certificates that cannot be used).  The reply is
 * wiped by whoever is done with it, and on failure.
 */
extern prov_category prov_http_call(prov_http *http,
									const prov_http_request *request,
									prov_http_reply *reply,
									prov_failure *failure);

/*
 * What a status means where nothing better is known: 2xx PROV_OK, 401 and 403
 * denied, 404 not found, 429 throttled, 408 and 5xx unavailable, the rest
 * misconfigured.
 */
extern prov_category prov_http_category(const prov_http_reply *reply);

/*
 * The failure of a reply that is none of those hoped for.  reason is a full
 * sentence; the detail is made of the status, and of code and request_id,
 * either of which may be NULL or "": only letters, digits and "-_.:/+=#" of
 * them are kept, and 80 of them.
 */
extern prov_category prov_http_fail(prov_failure *failure,
									prov_category category,
									const char *reason,
									const prov_http_reply *reply,
									const char *code,
									const char *request_id);

#endif							/* PROV_HTTP_H */
