/*
 * pge_subject.h
 *	  Whose values they were: the members of an encryption context that the
 *	  audit shows.
 *
 * pgenvelope.audit_context names them; no other member leaves its context.
 * What is shown is JSON as RFC 8785 spells it, in UTF-8 and without the
 * braces: "tenant":"acme".
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_SUBJECT_H
#define PGE_SUBJECT_H

#include "utils/guc.h"

#include "core/envl_context.h"

/* Members that may be shown, and how long the name and the value may be. */
#define PGE_SUBJECT_MEMBERS 8
#define PGE_SUBJECT_NAME_MAX 63
#define PGE_SUBJECT_VALUE_MAX 128	/* as spelled; longer: its length */

/* Each has a comma, two quotes and a colon. */
#define PGE_SUBJECT_MAX \
	(PGE_SUBJECT_MEMBERS * (PGE_SUBJECT_NAME_MAX + PGE_SUBJECT_VALUE_MAX + 4))

/*
 * Moves when the answer of pge_subject_write may have changed, so that one
 * that was kept is out of date.
 */
extern uint64 pge_subject_epoch;

/*
 * Writes what is shown of a context into out (PGE_SUBJECT_MAX bytes); returns
 * its length, 0 if nothing is.
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
