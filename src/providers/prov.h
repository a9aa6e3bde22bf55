/*
 * prov.h
 *	  Key providers: who holds root keys, and what can be asked of them.
 *
 * A provider seals and unseals key encryption keys under a root key that
 * never leaves it.  It is named by the setting pgenvelope.providers; SQL and
 * the catalog know only the name, because a location as data would be code
 * execution and key theft by whoever can write a row.
 *
 * "file" and "passphrase" are answered in the calling process
 * (prov_local.c); every other provider is a helper program spoken to over
 * pipes (prov_helper.c, docs/providers.md): anybody's ("command"), or one of
 * ours, which is told the URI.  Nothing here knows PostgreSQL:
 * the keeper and the command-line tool use the same code.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_H
#define PROV_H

#include "core/envl_key.h"

/* Longest sealed KEK that is accepted from a provider or stored. */
#define PROV_SEALED_MAX 4096

/* Longest word by which a provider names the root key it used. */
#define PROV_ROOT_KEY_MAX 128

#define PROV_NAME_SIZE 64		/* provider and database names, with NUL */
#define PROV_LOCATION_SIZE 1024 /* with NUL */

/*
 * Why a provider did not do what it was asked.  "The call failed" (the first
 * two: try again) is kept apart from "the answer is no".
 */
typedef enum prov_category
{
	PROV_OK = 0,
	PROV_UNAVAILABLE,			/* down, unreachable, hangs, talks rubbish */
	PROV_THROTTLED,				/* asks to be called less often */
	PROV_DENIED,				/* credentials or policy refuse */
	PROV_NOT_FOUND,				/* no such root key */
	PROV_DISABLED,				/* the root key is disabled or about to go */
	PROV_INTEGRITY,				/* the sealed KEK does not open, or is
								 * another key's */
	PROV_MISCONFIGURED			/* the setting, a file or its mode is wrong */
} prov_category;

#define PROV_CATEGORIES (PROV_MISCONFIGURED + 1)

/*
 * The category as the helper protocol and the views spell it.  Only failures
 * are parsed: "ok" is not a category in a reply.
 */
extern const char *prov_category_name(prov_category category);
extern bool prov_category_parse(envl_view word, prov_category *out);

/*
 * What went wrong.  reason may be shown to any client: a full sentence of
 * ours without locations, provider text or key bytes.  detail is for the
 * server's log only; it may name files, never secrets.
 */
typedef struct prov_failure
{
	prov_category category;
	char		reason[160];
	char		detail[320];
} prov_failure;

/* Fills in a failure and returns its category; detail is a format or NULL. */
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
	char		location[PROV_LOCATION_SIZE];	/* absolute path; for programs
												 * of ours, the whole URI */
} prov_root;

/* Whether a provider of that kind is a helper program. */
extern bool prov_kind_is_helper(prov_kind kind);

/*
 * Reads the next entry of a comma-separated list and advances *cursor.
 * Returns PROV_OK with *found false at the end of the list, and
 * PROV_MISCONFIGURED with a reason for an entry that is not understood, from
 * behind which the next call goes on.
 */
extern prov_category prov_root_next(const char **cursor, prov_root *root,
									bool *found, prov_failure *failure);

/* A sealed KEK and the root key that sealed it, as the provider names it. */
typedef struct prov_sealed
{
	size_t		len;
	uint8_t		bytes[PROV_SEALED_MAX];
	char		root_key[PROV_ROOT_KEY_MAX];	/* "" if it has no name */
} prov_sealed;

/* The KEK a call is about. */
typedef struct prov_kek
{
	const char *name;			/* the key's name; only the kid's first part */
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
