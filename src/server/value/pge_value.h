/*
 * pge_value.h
 *	  Sealing and opening values on the server.
 *
 * The checks have a fixed order, so that a role without rights learns nothing:
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
 * The active version of the named key, or of pgenvelope.default_key if name is
 * NULL.  Checks that the current user may encrypt in the context.  NULL fills
 * in problem.
 */
extern PgeKeyVersion *pge_encrypting_version(const text *name,
											 PgeContext *context,
											 PgeProblem *problem);

/*
 * The version of a key for a new value.  Checks that the current user may
 * encrypt in the context.  NULL fills in problem.
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
 * holds the privilege on its key (PGE_NO_PRIVILEGE: no check), in the context
 * or, if context is NULL, in every one.  The key must have the name expected,
 * unless that is NULL.  NULL fills in problem.
 */
extern PgeKeyVersion *pge_version_of(const envl_envelope *envelope,
									 PgePrivilege privilege,
									 PgeContext *context,
									 const text *expected,
									 PgeProblem *problem);

/* An opened value: palloc'd memory with room for a varlena header. */
typedef struct PgeOpened
{
	struct varlena *plaintext;
	uint8		flags;			/* of the value */
	PgeKey	   *key;
	PgeKeyVersion *version;
} PgeOpened;

/*
 * Opens a value for the current user.  The key must have the name expected,
 * unless that is NULL.  False fills in problem.
 */
extern bool pge_open(const struct varlena *value, PgeContext *context,
					 const text *expected,
					 PgeOpened *opened, PgeProblem *problem);

/*
 * As pge_open, where a person gets to see the plaintext: a honey value raises
 * an alert.
 */
extern bool pge_open_to_show(const struct varlena *value, PgeContext *context,
							 const text *expected, PgeOpened *opened,
							 PgeProblem *problem);

/*
 * Opens a parsed value in a context.  The caller has checked everything else.
 */
extern bool pge_open_with(PgeKeyVersion *version,
						  const envl_envelope *envelope,
						  const envl_bound_context *context,
						  PgeOpened *opened, PgeProblem *problem);

/*
 * Seals an opened plaintext in a context.  Discards the plaintext on every
 * path, also if a wait for a key is cancelled.
 */
extern struct varlena *pge_seal_opened(PgeKeyVersion *version,
									   PgeOpened *opened,
									   const envl_bound_context *context,
									   PgeProblem *problem);

/* Wipes and frees an opened plaintext. */
extern void pge_opened_discard(PgeOpened *opened);

#endif							/* PGE_VALUE_H */
