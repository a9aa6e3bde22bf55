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
 * Reads a file that holds a credential, all of it, without the newline at its
 * end, and puts a NUL behind it.  what is for the failure: "The token file".
 * It is a regular file (links are followed) that neither group nor others can
 * write, owned by root or this process's user.  Unless mounted is true nobody
 * else can read it: mode 0600, or 0640 if root owns it.  mounted is for what
 * an orchestrator puts there for all of a container.  On failure, and by
 * whoever is done with it, the secret is wiped.
 *
 * It is read for each use, never kept: so a file that changes is re-read.
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
 * As prov_secret_read, for a secret of one line without control characters:
 * a token, a password, a PIN.
 */
extern prov_category prov_secret_read_line(const char *path, const char *what,
										   bool mounted, prov_secret *secret,
										   prov_failure *failure);

/*
 * Whether a file that is no secret can be relied on: a regular one that only
 * root or this process's user owns and can write.
 */
extern prov_category prov_secret_trust(const char *path, const char *what,
									   prov_failure *failure);

#endif							/* PROV_SECRET_H */
