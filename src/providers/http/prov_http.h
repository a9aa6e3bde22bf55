/*
 * prov_http.h
 *	  One HTTP call at a time, over libcurl, as careful as a key deserves.
 *
 * TLS 1.2 or later; certificate and host name are always verified; redirects
 * are returned like any other reply; only http and https.  Plain http reaches
 * this machine and, if the request asks for it, a cloud's metadata service,
 * never through a proxy.  The size of a reply is limited.  Every call ends
 * within the deadline with a reply or a failure.
 *
 * A call is repeated, with full jitter and honouring Retry-After, while there
 * is time: when the connection failed or broke, and for replies that the
 * request classifies as passing.  So a request must be safe to repeat.
 *
 * The memory of libcurl and the JSON library is wiped when it is freed.
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
#define PROV_HTTP_HEADER_MAX 512	/* of the value of a wanted header */

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

/* Used where the URI names no file, or NULL: from environment variables. */
typedef struct prov_http_defaults
{
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
} prov_http_defaults;

/*
 * Makes a client; defaults may be NULL.  It connects to nothing and reads no
 * file yet.
 */
extern prov_category prov_http_open(const prov_uri *uri,
									const prov_http_defaults *defaults,
									prov_http **http, prov_failure *failure);
extern void prov_http_close(prov_http *http);

/*
 * Starts the deadline for all calls until the next prov_http_begin.  Call it
 * at the start of each seal, unseal and check.
 */
extern void prov_http_begin(prov_http *http);

/* As prov_http_begin, with a shorter deadline in milliseconds. */
extern void prov_http_begin_for(prov_http *http, int64_t ms);

/* Milliseconds until the deadline, 0 when it has passed. */
extern int64_t prov_http_left_ms(const prov_http *http);

typedef struct prov_http_reply
{
	long		status;
	size_t		body_len;
	char		body[PROV_HTTP_BODY_MAX + 1];	/* with a NUL */
	/*
	 * Values of request->wanted: printable ASCII, cut to size, "" if absent.
	 */
	char		headers[PROV_HTTP_WANTED_MAX][PROV_HTTP_HEADER_MAX];
} prov_http_reply;

typedef struct prov_http_request
{
	const char *method;			/* "GET", "POST" or "PUT" */
	const char *url;			/* absolute; encoded */

	/*
	 * "Name: value", NULL-terminated, or NULL.  Values have no line breaks.
	 * The caller adds "Content-Type" itself.
	 */
	const char *const *headers;
	envl_view	body;			/* empty: no body; POST sends an empty one */

	/* Names of the headers to keep, NULL-terminated, or NULL. */
	const char *const *wanted;

	bool		metadata;		/* http to a link-local address is allowed */
	bool		once;			/* do not repeat the call */

	/*
	 * Classifies a reply as passing: PROV_UNAVAILABLE and PROV_THROTTLED mean
	 * try again, anything else is final.  NULL for prov_http_category.
	 */
	prov_category (*classify)(const prov_http_reply *reply);

	/*
	 * Signs the request with AWS Signature Version 4:
	 * "aws:amz:eu-central-1:kms", or NULL.  The caller adds a session token as
	 * a header.
	 */
	const char *sigv4;
	const char *access_key;
	const char *secret_key;
} prov_http_request;

/*
 * Makes the call.  PROV_OK: there is a reply, of any status, perhaps after
 * several tries; the caller wipes it.  PROV_UNAVAILABLE: no connection, no or
 * a broken reply, or no time left.  PROV_MISCONFIGURED: a refused certificate,
 * a URL that is not allowed, or an unusable certificate file.  On failure the
 * reply is wiped.
 */
extern prov_category prov_http_call(prov_http *http,
									const prov_http_request *request,
									prov_http_reply *reply,
									prov_failure *failure);

/*
 * What a status means by default: 2xx PROV_OK, 401 and 403 denied, 404 not
 * found, 429 throttled, 408 and 5xx unavailable, the rest misconfigured.
 */
extern prov_category prov_http_category(const prov_http_reply *reply);

/*
 * Fills in the failure for a reply that is no success.  reason is a full
 * sentence.  The detail has the status, code and request_id; the latter two
 * may be NULL or "", and only their first 80 letters, digits and "-_.:/+=#"
 * are kept.
 */
extern prov_category prov_http_fail(prov_failure *failure,
									prov_category category,
									const char *reason,
									const prov_http_reply *reply,
									const char *code,
									const char *request_id);

#endif							/* PROV_HTTP_H */
