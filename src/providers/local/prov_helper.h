/*
 * prov_helper.h
 *	  A provider that is a program of its own, spoken to over pipes.
 *
 * The protocol is one line a request and one line a reply, documented in
 * docs/providers.md:
 *
 *		seal ID ROOT KEY PLAINTEXT		ok ID SEALED [ROOTKEY]
 *		unseal ID ROOT KEY SEALED		ok ID PLAINTEXT
 *		check ID ROOT					ok ID [ROOTKEY [EXPIRES]]
 *										error ID CATEGORY [TEXT]
 *
 * Nothing here waits: the caller owns the event loop and the deadline, and
 * stops a helper that misses it.  A helper answers one request at a time.
 * Every buffer that held a plaintext is wiped.  The caller ignores SIGPIPE: a
 * helper that has gone away is a failure of its request.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_HELPER_H
#define PROV_HELPER_H

#include <sys/types.h>

#include "providers/prov.h"

/* Longest line either way, with its newline. */
#define PROV_LINE_MAX 8192

typedef enum prov_verb
{
	PROV_SEAL,
	PROV_UNSEAL,
	PROV_CHECK
} prov_verb;

/* A running helper.  pid is 0 when there is none. */
typedef struct prov_helper
{
	pid_t		pid;
	int			to_fd;			/* the helper's standard input, non-blocking */
	int			from_fd;		/* its standard output, non-blocking */
	prov_verb	verb;			/* of the request under way */
	uint64_t	request;		/* its id; 0 when none is under way */
	uint64_t	last_request;
	bool		broken;			/* out of step: stop it before the next call */
	size_t		line_len;
	char		line[PROV_LINE_MAX];	/* the reply as far as it has come */
} prov_helper;

/*
 * Starts the program at root->location, or that of ours for root->kind, in
 * program_directory, which is told root->location.  It must be a regular file
 * that only its owner (root or this process's user) can write.  No shell, its
 * own process group, no file descriptor but 0, 1 and 2, and it
 * is killed if this process dies.
 */
extern prov_category prov_helper_start(prov_helper *helper,
									   const prov_root *root,
									   const char *program_directory,
									   prov_failure *failure);

/*
 * Sends one request.  bytes is the plaintext to seal, the sealed KEK to
 * unseal, or empty.  PROV_OK: sent, a reply is owed.
 */
extern prov_category prov_helper_send(prov_helper *helper, prov_verb verb,
									  const prov_root *root,
									  const prov_kek *kek, envl_view bytes,
									  prov_failure *failure);

/* A reply: what was sealed, or unsealed. */
typedef struct prov_reply
{
	prov_sealed sealed;			/* PROV_SEAL; PROV_CHECK: root_key only */
	int64_t		expires;		/* PROV_CHECK: the credential, in seconds since
								 * 1970; 0: never, or unknown */
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];	/* PROV_UNSEAL */
} prov_reply;

/*
 * Reads what has come.  *done false: nothing decided yet, wait for from_fd.
 * *done true: the reply is in, or the failure is.  After a failure for which
 * helper->broken is true the helper is out of step and must be stopped.
 */
extern prov_category prov_helper_receive(prov_helper *helper, bool *done,
										 prov_reply *reply,
										 prov_failure *failure);

/* Kills the helper's process group, reaps it and wipes the struct. */
extern void prov_helper_stop(prov_helper *helper);

#endif							/* PROV_HELPER_H */
