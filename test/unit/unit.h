/*
 * unit.h
 *	  Tests that report in the Test Anything Protocol.
 *
 * A unit program is test/unit/test_<subject>.c.  It calls the checks below
 * and returns done_testing().  It runs from the top directory.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/envl_context.h"

#define UNIT_NAMED(name, arguments) \
			__attribute__((format(printf, name, arguments)))

/* Each prints one line, and what differs; true if the check passed. */
extern bool ok(bool passed, const char *name, ...) UNIT_NAMED(2, 3);
extern bool is(long long got, long long want, const char *name, ...)
	UNIT_NAMED(3, 4);
extern bool is_status(envl_status got, envl_status want,
					  const char *name, ...) UNIT_NAMED(3, 4);
extern bool is_bytes(envl_view got, envl_view want,
					 const char *name, ...) UNIT_NAMED(3, 4);
extern bool is_text(const char *got, const char *want,
					const char *name, ...) UNIT_NAMED(3, 4);

/* Prints a remark. */
extern void note(const char *text, ...) UNIT_NAMED(1, 2);

/* Prints the plan; what main returns. */
extern int	done_testing(void);

/* A view of a NUL-terminated text. */
extern envl_view text_view(const char *text);

/* Reads a policy and a context, and checks the one against the other. */
extern envl_status check_policy(envl_view policy, envl_view context,
								envl_view *member);

/* Whether all bytes are zero. */
extern bool all_zero(const void *memory, size_t len);

/* Decodes hexadecimal that the test itself wrote; exits if it is not. */
extern size_t from_hex(const char *hex, uint8_t *out, size_t size);

#endif							/* UNIT_H */
