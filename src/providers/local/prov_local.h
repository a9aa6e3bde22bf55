/*
 * prov_local.h
 *	  Sealing in the calling process, by a root key in a file or a passphrase.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_LOCAL_H
#define PROV_LOCAL_H

#include "providers/prov.h"

/*
 * Seal and unseal the ENVL_SEALED_PLAINTEXT_LEN bytes of a KEK
 * under a root key of kind PROV_FILE or PROV_PASSPHRASE, as a compact JWE
 * (alg "dir", enc "A256GCM").  The root key is read for the call and wiped
 * after it.  data_directory, unless NULL, is where no key file may be: a base
 * backup would carry it along.  On failure plaintext is wiped.
 */
extern prov_category prov_local_seal(const prov_root *root,
									 const char *data_directory,
									 const prov_kek *kek,
									 const uint8_t *plaintext,
									 prov_sealed *sealed,
									 prov_failure *failure);
extern prov_category prov_local_unseal(const prov_root *root,
									   const char *data_directory,
									   const prov_kek *kek,
									   const prov_sealed *sealed,
									   uint8_t *plaintext,
									   prov_failure *failure);

/*
 * Reads the root key of such a provider, or its passphrase, and names it in
 * root_key (PROV_ROOT_KEY_MAX bytes), "" for a passphrase.
 */
extern prov_category prov_local_check(const prov_root *root,
									  const char *data_directory,
									  char *root_key, prov_failure *failure);

#endif							/* PROV_LOCAL_H */
