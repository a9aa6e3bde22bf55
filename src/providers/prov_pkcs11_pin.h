/*
 * prov_pkcs11_pin.h
 *	  The token's PIN: where it is read, and that a refused one is not tried
 *	  again.
 *
 * A token locks its user out after a few wrong PINs, everywhere.  The keeper
 * asks again every few seconds, so a PIN that the token has refused is
 * remembered, as a salted digest, for the life of the process: it is sent
 * once, and only another PIN is sent after it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PKCS11_PIN_H
#define PROV_PKCS11_PIN_H

#include "prov_pkcs11_uri.h"
#include "prov_serve.h"

/* Reads the PIN that the URI points to; on failure it is wiped. */
extern prov_category prov_pkcs11_pin_read(const prov_pkcs11_uri *uri,
										  prov_secret *pin,
										  prov_failure *failure);

/* A zeroed one remembers nothing. */
typedef struct prov_pkcs11_pin_memory
{
	bool		has_refused;
	uint8_t		salt[32];
	uint8_t		digest[32];
} prov_pkcs11_pin_memory;

/* False if that cannot be done: then no PIN may be sent. */
extern bool prov_pkcs11_pin_prepare(prov_pkcs11_pin_memory *memory);

extern void prov_pkcs11_pin_refused(prov_pkcs11_pin_memory *memory,
									const prov_secret *pin);
extern bool prov_pkcs11_pin_was_refused(const prov_pkcs11_pin_memory *memory,
										const prov_secret *pin);

#endif							/* PROV_PKCS11_PIN_H */
