/*
 * envl_audit.h
 *	  The audit's chain of MACs: each entry's covers the one before it.
 *
 * docs/format.md, section 6.8.  The chain key of a version of an audit key is
 * HMAC-SHA-256(KEK, "pgenvelope/1 audit\0" || id || version); an entry's MAC
 * is HMAC-SHA-256(chain key, "pgenvelope/1 entry\0" || MAC of the entry before
 * | fields).  Each field carries its length, so two different lists of fields
 * never give the same bytes.
 *
 * An audit key seals no values: it exists only for this chain.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_AUDIT_H
#define ENVL_AUDIT_H

#include "envl_bytes.h"
#include "envl_secret.h"

#define ENVL_AUDIT_MAC_LEN 32

/* Derives the chain key.  On failure out is wiped. */
extern envl_status envl_audit_key(const envl_key *kek, uint64_t key_id,
								  uint16_t version,
								  envl_key *out) ENVL_MUST_CHECK;

/*
 * Computes the MAC of an entry into ENVL_AUDIT_MAC_LEN bytes.  A field with
 * NULL data is absent, which differs from an empty field.
 */
extern envl_status envl_audit_entry(const envl_key *key,
									const uint8_t *previous,
									const envl_view *fields, size_t count,
									uint8_t *out) ENVL_MUST_CHECK;

/* Computes the MAC of an anchor's lines, under a label of its own. */
extern envl_status envl_audit_anchor(const envl_key *key, envl_view lines,
									 uint8_t *out) ENVL_MUST_CHECK;

#endif							/* ENVL_AUDIT_H */
