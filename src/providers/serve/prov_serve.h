/*
 * prov_serve.h
 *	  The helper's side of the helper protocol (docs/providers.md, section 5),
 *	  and what people run by hand.
 *
 *		PROGRAM URI				answers requests until standard input ends
 *		PROGRAM --check URI		tries everything once and tells a person
 *
 * A program is a table of services, one for each scheme of its URIs.  A
 * service is opened when the first request comes; if that fails, the request
 * is answered with the failure, and the next one tries again.  So a token
 * file that appears later is found, and no helper exits because something is
 * missing.
 *
 * One request at a time, no threads of ours.  Nothing that a service does is
 * interrupted: the caller has a deadline and kills the process.  A service
 * therefore gives up by itself before (prov_http.h has a timeout; it is the
 * setting "timeout" of the URI).
 *
 * Standard output belongs to the protocol.  Standard error is the server's
 * log: services write nothing there.  Core dumps are off before anything
 * secret is read.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_SERVE_H
#define PROV_SERVE_H

#include "providers/prov_secret.h"
#include "providers/prov_uri.h"

/* What a check found out. */
typedef struct prov_check
{
	/* The newest version of the root key; "" if it has no name. */
	char		root_key[PROV_ROOT_KEY_MAX];

	/* What kind and where from, not what it is: "AppRole", "token file". */
	char		credential[96];
	int64_t		expires;		/* seconds since 1970; 0: never, or unknown */

	/* What should be mended: "The root key is extractable."; "": nothing. */
	char		warning[240];
} prov_check;

/*
 * What a service does.  Each returns PROV_OK, or fills in the failure (with
 * prov_fail or prov_http_fail) and returns its category.  Reason and detail
 * both go into the server's log, cut at 240 bytes together, so the detail is
 * short: a status, a code, a request id.  Neither holds secrets or what a
 * service sent back, other than its codes and ids.
 *
 * key is "0123456789ab/1": which KEK this is about.  Bind it where the key
 * store has AAD; it is the same for the unseal.  plaintext has
 * ENVL_SEALED_PLAINTEXT_LEN bytes both ways.
 */
typedef struct prov_service
{
	const char *scheme;			/* "vault", without ":" */

	/*
	 * Understands the URI and makes *state; reads no credentials and calls
	 * nobody.  On failure nothing is left to be closed.
	 */
	prov_category (*open)(const prov_uri *uri, void **state,
						  prov_failure *failure);

	/* sealed->len, bytes and root_key are zero before. */
	prov_category (*seal)(void *state, const char *key,
						  const uint8_t *plaintext, prov_sealed *sealed,
						  prov_failure *failure);

	/* What does not open, or opens to another length, is PROV_INTEGRITY. */
	prov_category (*unseal)(void *state, const char *key, envl_view sealed,
							uint8_t *plaintext, prov_failure *failure);

	/* Whether the root key can be used, without using it if possible. */
	prov_category (*check)(void *state, prov_check *check,
						   prov_failure *failure);

	/*
	 * While nobody asks for anything: does what is due, such as renewing a
	 * token, within a second, and returns the milliseconds after which it
	 * wants to be called again, or -1.  May be NULL.
	 */
	int64_t (*idle)(void *state);

	/* Wipes and frees. */
	void (*close)(void *state);
} prov_service;

/* The program.  services ends with NULL.  Returns its exit code. */
extern int	prov_serve_main(int argc, char **argv,
							const prov_service *const *services);

/* Milliseconds of a clock that never goes back, and seconds since 1970. */
extern int64_t prov_clock_ms(void);
extern int64_t prov_clock_seconds(void);

#endif							/* PROV_SERVE_H */
