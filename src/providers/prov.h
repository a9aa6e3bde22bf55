/*
 * prov.h
 *	  Key providers: who holds root keys, and what they can be asked.
 *
 * A provider seals and unseals key encryption keys under a root key that never
 * leaves it.  The setting pgenvelope.providers defines it.  SQL and the
 * catalog know only its name: if they held a location, whoever can write a row
 * could run code and steal keys.
 *
 * "file" and "passphrase" run in the calling process (prov_local.c).  Every
 * other provider is a helper program reached over pipes (prov_helper.c,
 * docs/providers.md): any program ("command"), or one of our own, which gets
 * the URI.  Nothing here knows PostgreSQL; the keeper and the command-line
 * tool use the same code.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_H
#define PROV_H

#include "core/envl_key.h"

/* The longest sealed KEK that is accepted from a provider or stored. */
#define PROV_SEALED_MAX 4096

/* The longest name by which a provider calls the root key it used. */
#define PROV_ROOT_KEY_MAX 128

#define PROV_NAME_SIZE 64		/* provider and database names, with NUL */
#define PROV_LOCATION_SIZE 1024 /* with NUL */

/*
 * Why a provider failed.  The first two mean that the call failed and may be
 * tried again; the others mean that the answer is no.
 */
typedef enum prov_category
{
	PROV_OK = 0,
	PROV_UNAVAILABLE,			/* down, unreachable, hangs or sends rubbish */
	PROV_THROTTLED,				/* asks for fewer calls */
	PROV_DENIED,				/* credentials or policy refuse */
	PROV_NOT_FOUND,				/* no such root key */
	PROV_DISABLED,				/* the root key is disabled or about to be
								 * deleted */
	PROV_INTEGRITY,				/* the sealed KEK does not open, or is
								 * another key's */
	PROV_MISCONFIGURED			/* the setting, a file or its mode is wrong */
} prov_category;

#define PROV_CATEGORIES (PROV_MISCONFIGURED + 1)

/*
 * The category as the helper protocol and the views spell it.  The parser
 * accepts only failures: a reply cannot have the category "ok".
 */
extern const char *prov_category_name(prov_category category);
extern bool prov_category_parse(envl_view word, prov_category *out);

/*
 * What went wrong.  reason may be shown to any client: a full sentence without
 * locations, provider text or key bytes.  detail is only for the server's log;
 * it may name files, never secrets.
 */
typedef struct prov_failure
{
	prov_category category;
	char		reason[160];
	char		detail[320];
} prov_failure;

/*
 * Fills in a failure and returns its category.  detail is a format, or NULL.
 */
extern prov_category prov_fail(prov_failure *failure, prov_category category,
							   const char *reason, const char *detail, ...)
			__attribute__((format(printf, 4, 5)));

typedef enum prov_kind
{
	PROV_FILE,
	PROV_PASSPHRASE,
	PROV_COMMAND,
	PROV_KMS,					/* pgenvelope-kms */
	PROV_PKCS11					/* pgenvelope-pkcs11 */
} prov_kind;

/* One entry of pgenvelope.providers: name[@database]=URI. */
typedef struct prov_root
{
	char		name[PROV_NAME_SIZE];
	char		database[PROV_NAME_SIZE];	/* "" for every database */
	prov_kind	kind;
	char		location[PROV_LOCATION_SIZE];	/* absolute path; for our own
												 * programs, the whole URI */
} prov_root;

/* Whether a provider of that kind is a helper program. */
extern bool prov_kind_is_helper(prov_kind kind);

/*
 * Reads the next entry of a comma-separated list and advances *cursor. PROV_OK
 * with *found false marks the end of the list.  PROV_MISCONFIGURED with a
 * reason marks an entry that cannot be parsed; the next call continues behind
 * it.
 */
extern prov_category prov_root_next(const char **cursor, prov_root *root,
									bool *found, prov_failure *failure);

/* A sealed KEK and the root key that sealed it, as the provider names it. */
typedef struct prov_sealed
{
	size_t		len;
	uint8_t		bytes[PROV_SEALED_MAX];
	char		root_key[PROV_ROOT_KEY_MAX];	/* "" without a name */
} prov_sealed;

/* Which KEK a call is about. */
typedef struct prov_kek
{
	const char *name;			/* the key's name, used only for the kid */
	uint64_t	key_id;
	uint16_t	version;
} prov_kek;

/*
 * prov_kek_bind / prov_kek_check: KEK to the bytes that a provider seals, and
 * back, refusing what was sealed for another key or version.
 */
extern prov_category prov_kek_bind(const prov_kek *kek, const envl_key *key,
								   uint8_t *plaintext,
								   prov_failure *failure);
extern prov_category prov_kek_check(const prov_kek *kek,
									const uint8_t *plaintext, envl_key *key,
									prov_failure *failure);

#endif							/* PROV_H */
