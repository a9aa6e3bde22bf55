/*
 * pge_value.h
 *	  Sealing and opening values on the server: key, rights, state, context
 *	  and cryptography, in that order.
 *
 * The order is what keeps whoever is not entitled from learning anything:
 * structure, key lookup, entitlement, state, context rules, cryptography.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_VALUE_H
#define PGE_VALUE_H

#include "catalog/pge_catalog.h"
#include "context/pge_context.h"
#include "core/envl_value.h"

/*
 * The key that encrypts: the one named, or pgenvelope.default_key where name
 * is NULL, with its active version.  Checks that the current user may encrypt
 * in that context.
 */
extern PgeKeyVersion *pge_encrypting_version(const text *name,
											 PgeContext *context,
											 PgeProblem *problem);

/*
 * The version for a new value of a key, if the current user may make one in
 * that context.
 */
extern PgeKeyVersion *pge_writing_version(PgeKey *key, PgeContext *context,
										  PgeProblem *problem);

/*
 * Seals a payload with a version and a bound context into a new palloc'd
 * datum.  NULL fills in problem.
 */
extern struct varlena *pge_seal(PgeKeyVersion *version, uint8 flags,
								envl_view plaintext,
								const envl_bound_context *context,
								PgeProblem *problem);

/*
 * The version that a value names, if it still unwraps and the current user
 * holds the privilege on its key (PGE_NO_PRIVILEGE: none is asked for), in the
 * context or, if that is NULL, in every one.  expected is the key's name that
 * the caller insists on, or NULL.
 */
extern PgeKeyVersion *pge_version_of(const envl_envelope *envelope,
									 PgePrivilege privilege,
									 PgeContext *context,
									 const text *expected,
									 PgeProblem *problem);

/* What opening yields: palloc'd memory with room for a varlena header. */
typedef struct PgeOpened
{
	struct varlena *plaintext;
	uint8		flags;			/* of the value */
	PgeKey	   *key;
	PgeKeyVersion *version;
} PgeOpened;

/*
 * Opens a value for the current user.  expected is the key's name that the
 * caller insists on, or NULL.
 */
extern bool pge_open(const struct varlena *value, PgeContext *context,
					 const text *expected,
					 PgeOpened *opened, PgeProblem *problem);

/* The same where somebody comes to know the plaintext: honey is heeded. */
extern bool pge_open_to_show(const struct varlena *value, PgeContext *context,
							 const text *expected, PgeOpened *opened,
							 PgeProblem *problem);

/* Opens a parsed value, of which everything has been checked, in a context. */
extern bool pge_open_with(PgeKeyVersion *version,
						  const envl_envelope *envelope,
						  const envl_bound_context *context,
						  PgeOpened *opened, PgeProblem *problem);

/*
 * Seals an opened plaintext in a context.  It is discarded whatever happens:
 * a key may have to be waited for, and the wait be cancelled.
 */
extern struct varlena *pge_seal_opened(PgeKeyVersion *version,
									   PgeOpened *opened,
									   const envl_bound_context *context,
									   PgeProblem *problem);

/* Wipes an opened plaintext and gives it back. */
extern void pge_opened_discard(PgeOpened *opened);

#endif							/* PGE_VALUE_H */
