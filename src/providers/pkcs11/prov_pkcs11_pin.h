/*
 * prov_pkcs11_pin.h
 *	  The token's PIN: reading it, and never sending a refused PIN twice.
 *
 * After a few wrong PINs a token locks its user out everywhere.  The keeper
 * repeats requests every few seconds.  So a PIN that the token has refused is
 * remembered as a salted digest for the life of the process, and only another
 * PIN is sent.  A login that failed without a cause may have been a wrong PIN
 * too: it is tried again after a minute, then two, up to an hour.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_PIN_H
#define PROV_PKCS11_PIN_H

#include "providers/pkcs11/prov_pkcs11_uri.h"
#include "providers/serve/prov_serve.h"

/* Reads the PIN from where the URI points; on failure it is wiped. */
extern prov_category prov_pkcs11_pin_read(const prov_pkcs11_uri *uri,
										  prov_secret *pin,
										  prov_failure *failure);

/* A zeroed memory is valid and empty. */
typedef struct prov_pkcs11_pin_memory
{
	bool		has_salt;
	bool		has_failed;		/* digest is that of the last PIN that
								 * failed */
	bool		is_refused;		/* never send it again */
	unsigned	doubts;			/* how often it failed without a cause */
	int64_t		retry_ms;		/* when it may be sent again; prov_clock_ms */
	uint8_t		salt[32];
	uint8_t		digest[32];
} prov_pkcs11_pin_memory;

typedef enum prov_pkcs11_pin_state
{
	PROV_PKCS11_PIN_MAY_BE_SENT,
	PROV_PKCS11_PIN_REFUSED,
	PROV_PKCS11_PIN_IN_DOUBT,	/* do not send it yet */
	PROV_PKCS11_PIN_NO_RANDOM	/* a failure could not be remembered, so do not
								 * send */
} prov_pkcs11_pin_state;

extern prov_pkcs11_pin_state
prov_pkcs11_pin_ask(prov_pkcs11_pin_memory *memory,
					const prov_secret *pin, int64_t now_ms);

/* Call after a PIN failed: because it is wrong, or perhaps so. */
extern void prov_pkcs11_pin_refused(prov_pkcs11_pin_memory *memory,
									const prov_secret *pin);
extern void prov_pkcs11_pin_doubted(prov_pkcs11_pin_memory *memory,
									const prov_secret *pin, int64_t now_ms);

/* Call after a PIN was accepted. */
extern void prov_pkcs11_pin_accepted(prov_pkcs11_pin_memory *memory);

#endif							/* PROV_PKCS11_PIN_H */
