/*
 * prov_pkcs11_pin.h
 *	  The token's PIN: where it is read, and that a refused one is not tried
 *	  again.
 *
 * A token locks its user out after a few wrong PINs, everywhere.  The keeper
 * asks again every few seconds, so a PIN that the token has refused is
 * remembered, as a salted digest, for the life of the process: it is sent
 * once, and only another PIN is sent after it.  A login that failed without
 * saying why may have been a wrong PIN too: it is tried again after a minute,
 * then two, up to an hour.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_PIN_H
#define PROV_PKCS11_PIN_H

#include "providers/pkcs11/prov_pkcs11_uri.h"
#include "providers/serve/prov_serve.h"

/* Reads the PIN that the URI points to; on failure it is wiped. */
extern prov_category prov_pkcs11_pin_read(const prov_pkcs11_uri *uri,
										  prov_secret *pin,
										  prov_failure *failure);

/* A zeroed one remembers nothing. */
typedef struct prov_pkcs11_pin_memory
{
	bool		has_salt;
	bool		has_failed;		/* digest is of the last PIN that failed */
	bool		is_refused;		/* it is not to be sent again */
	unsigned	doubts;			/* how often it failed without saying why */
	int64_t		retry_ms;		/* when it may be sent again; prov_clock_ms */
	uint8_t		salt[32];
	uint8_t		digest[32];
} prov_pkcs11_pin_memory;

typedef enum prov_pkcs11_pin_state
{
	PROV_PKCS11_PIN_MAY_BE_SENT,
	PROV_PKCS11_PIN_REFUSED,
	PROV_PKCS11_PIN_IN_DOUBT,	/* not yet */
	PROV_PKCS11_PIN_NO_RANDOM	/* it could not be remembered */
} prov_pkcs11_pin_state;

extern prov_pkcs11_pin_state
prov_pkcs11_pin_ask(prov_pkcs11_pin_memory *memory,
					const prov_secret *pin, int64_t now_ms);

/* After a PIN that was sent has failed: by its own fault, or perhaps. */
extern void prov_pkcs11_pin_refused(prov_pkcs11_pin_memory *memory,
									const prov_secret *pin);
extern void prov_pkcs11_pin_doubted(prov_pkcs11_pin_memory *memory,
									const prov_secret *pin, int64_t now_ms);

/* After one that was right. */
extern void prov_pkcs11_pin_accepted(prov_pkcs11_pin_memory *memory);

#endif							/* PROV_PKCS11_PIN_H */
