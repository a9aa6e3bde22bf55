/*
 * pge_subject.h
 *	  The members of an encryption context that the audit shows.
 *
 * pgenvelope.audit_context names them; the audit shows no other member.  It
 * shows them as JSON in the spelling of RFC 8785, in UTF-8 and without the
 * braces: "tenant":"acme".
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SUBJECT_H
#define PGE_SUBJECT_H

#include "utils/guc.h"

#include "core/envl_context.h"

/* The most members that are shown, and the longest name and value. */
#define PGE_SUBJECT_MEMBERS 8
#define PGE_SUBJECT_NAME_MAX 63
#define PGE_SUBJECT_VALUE_MAX 128	/* as spelled; of a longer one the length
									 * is shown */

/* Each member adds a comma, two quotes and a colon. */
#define PGE_SUBJECT_MAX \
	(PGE_SUBJECT_MEMBERS * (PGE_SUBJECT_NAME_MAX + PGE_SUBJECT_VALUE_MAX + 4))

/* Changes when the result of pge_subject_write may have changed. */
extern uint64 pge_subject_epoch;

/*
 * Writes what is shown of a context into out (PGE_SUBJECT_MAX bytes).  Returns
 * its length, 0 if nothing is shown.
 */
extern size_t pge_subject_write(const envl_spelled *members, size_t count,
								char *out);

/* Whether anything is shown at all. */
extern void pge_subject_show(bool is_shown);

/* The hooks of pgenvelope.audit_context. */
extern bool pge_check_audit_context(char **newval, void **extra,
									GucSource source);
extern void pge_assign_audit_context(const char *newval, void *extra);

#endif							/* PGE_SUBJECT_H */
