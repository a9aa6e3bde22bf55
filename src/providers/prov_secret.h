/*
 * prov_secret.h
 *	  Reading the file of a credential, and refusing careless ones.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_SECRET_H
#define PROV_SECRET_H

#include "providers/prov.h"

/*
 * Reads all of a file that holds a credential, without the newline at its end,
 * and adds a NUL.  what is the subject of a failure's sentence: "The token
 * file".  The file must be a regular one (links are followed) that neither
 * group nor others can write, owned by root or this process's user.  Nobody
 * else may be able to read it, unless mounted is true: mode 0600, or 0640 if
 * root owns it.  mounted is for files that an orchestrator makes readable for
 * a whole container.  The caller wipes the secret; on failure it is wiped.
 *
 * The file is read for each use and never kept, so a changed file takes
 * effect.
 */
#define PROV_SECRET_MAX 65536

typedef struct prov_secret
{
	size_t		len;
	char		text[PROV_SECRET_MAX + 2];
} prov_secret;

extern prov_category prov_secret_read(const char *path, const char *what,
									  bool mounted, prov_secret *secret,
									  prov_failure *failure);

/*
 * As prov_secret_read, for a secret of one line without control characters: a
 * token, a password, a PIN.
 */
extern prov_category prov_secret_read_line(const char *path, const char *what,
										   bool mounted, prov_secret *secret,
										   prov_failure *failure);

/*
 * Whether a file that is not secret can be relied on: a regular file that only
 * root or this process's user owns and can write.
 */
extern prov_category prov_secret_trust(const char *path, const char *what,
									   prov_failure *failure);

#endif							/* PROV_SECRET_H */
