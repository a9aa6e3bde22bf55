/*
 * scratch.h
 *	  A directory for the files of one unit program.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <sys/types.h>

#include "providers/prov.h"

/*
 * The path of name in the directory, in one of 32 static buffers.  The
 * directory is made at the first call and removed at exit.
 */
extern const char *scratch_path(const char *name);

/* Writes a file of that name and mode, in the place of an older one. */
extern const char *scratch_file(const char *name, const char *content,
								mode_t mode);

/* Copies a file of the tree there. */
extern const char *scratch_copy(const char *name, const char *source,
								mode_t mode);

/* A provider of that kind, called "main", at that place. */
extern prov_root scratch_root(prov_kind kind, const char *location);

/* Whether a call's outcome is the one wanted. */
extern bool is_category(prov_category got, prov_category want,
						const char *name);

/* Whether a failure has that category, and a reason that holds this text. */
extern bool is_failure(const prov_failure *failure, prov_category want,
					   const char *reason, const char *name);

#endif							/* SCRATCH_H */
