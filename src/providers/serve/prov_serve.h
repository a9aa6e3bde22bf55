/*
 * prov_serve.h
 *	  The helper's side of the helper protocol (docs/providers.md, section 5),
 *	  and what people run by hand.
 *
 *		PROGRAM URI				answers requests until standard input ends
 *		PROGRAM --check URI		tries everything once and tells a person
 *
 * A program has a table of services, one for each scheme of its URIs.  The
 * first request opens the service.  If that fails, the request gets the
 * failure as its reply and the next one tries again.  So a token file that
 * appears later is found, and no helper exits because something is missing.
 *
 * There is one request at a time, and we start no threads.  Nothing interrupts
 * a service: its caller has a deadline and kills the process.  So a service
 * gives up by itself before that (prov_http.h has a timeout, the setting
 * "timeout" of the URI).
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

/* The result of a check. */
typedef struct prov_check
{
	/* The newest version of the root key; "" without a name. */
	char		root_key[PROV_ROOT_KEY_MAX];

	/*
	 * The credential's kind and source, never its text: "AppRole", "token
	 * file".
	 */
	char		credential[96];
	int64_t		expires;		/* seconds since 1970; 0: never, or unknown */

	/* What should be fixed: "The root key is extractable."; "": nothing. */
	char		warning[240];
} prov_check;

/*
 * What a service does.  Each function returns PROV_OK, or fills in the failure
 * (with prov_fail or prov_http_fail) and returns its category.  Reason and
 * detail both go into the server's log, cut at 240 bytes together, so the
 * detail is short: a status, a code, a request id.  Neither may hold secrets
 * or anything that a service sent, except its codes and ids.
 *
 * key is "0123456789ab/1" and says which KEK the call is about.  Bind the
 * sealed bytes to it where the key store has AAD; unseal gets the same key.
 * plaintext has ENVL_SEALED_PLAINTEXT_LEN bytes both ways.
 */
typedef struct prov_service
{
	const char *scheme;			/* "vault", without ":" */

	/*
	 * Parses the URI and makes *state.  Reads no credentials and connects to
	 * nothing.  On failure there is nothing to close.
	 */
	prov_category (*open)(const prov_uri *uri, void **state,
						  prov_failure *failure);

	/* sealed->len, bytes and root_key are zero on entry. */
	prov_category (*seal)(void *state, const char *key,
						  const uint8_t *plaintext, prov_sealed *sealed,
						  prov_failure *failure);

	/* PROV_INTEGRITY if it does not open, or opens to another length. */
	prov_category (*unseal)(void *state, const char *key, envl_view sealed,
							uint8_t *plaintext, prov_failure *failure);

	/* Checks that the root key can be used, without using it if possible. */
	prov_category (*check)(void *state, prov_check *check,
						   prov_failure *failure);

	/*
	 * Called while there is no request.  Does periodic work, such as renewing
	 * a token, within a second.  Returns the milliseconds until the next call,
	 * or -1.  May be NULL.
	 */
	int64_t (*idle)(void *state);

	/* Wipes and frees the state. */
	void (*close)(void *state);
} prov_service;

/* Runs the program.  services ends with NULL.  Returns the exit code. */
extern int	prov_serve_main(int argc, char **argv,
							const prov_service *const *services);

/* Milliseconds of a clock that never goes back, and seconds since 1970. */
extern int64_t prov_clock_ms(void);
extern int64_t prov_clock_seconds(void);

#endif							/* PROV_SERVE_H */
