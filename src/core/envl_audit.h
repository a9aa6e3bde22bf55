/*
 * envl_audit.h
 *	  The audit's chain: each entry is bound to the one before it by a key
 *	  that seals nothing.
 *
 * docs/format.md, section 6.8.  The chain key of a version of an audit key is
 * HMAC-SHA-256(KEK, "pgenvelope/1 audit\0" || id || version); an entry's MAC
 * is HMAC-SHA-256(chain key, "pgenvelope/1 entry\0" || MAC of the entry before
 * || fields).  Fields are spelled so that no two lists of them are alike.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_AUDIT_H
#define ENVL_AUDIT_H

#include "envl_bytes.h"
#include "envl_secret.h"

#define ENVL_AUDIT_MAC_LEN 32

/* The chain key; wiped on failure. */
extern envl_status envl_audit_key(const envl_key *kek, uint64_t key_id,
								  uint16_t version,
								  envl_key *out) ENVL_MUST_CHECK;

/*
 * The MAC of an entry, into ENVL_AUDIT_MAC_LEN bytes.  A field whose data is
 * NULL is one that is absent, which is not the empty one.
 */
extern envl_status envl_audit_entry(const envl_key *key,
									const uint8_t *previous,
									const envl_view *fields, size_t count,
									uint8_t *out) ENVL_MUST_CHECK;

/* The MAC of an anchor's lines: the same, under a label of its own. */
extern envl_status envl_audit_anchor(const envl_key *key, envl_view lines,
									 uint8_t *out) ENVL_MUST_CHECK;

#endif							/* ENVL_AUDIT_H */
