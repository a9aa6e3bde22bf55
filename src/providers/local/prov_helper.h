/*
 * prov_helper.h
 *	  A provider that runs as a program of its own, reached over pipes.
 *
 * The protocol has one line per request and one per reply; docs/providers.md
 * documents it:
 *
 *		seal ID ROOT KEY PLAINTEXT		ok ID SEALED [ROOTKEY]
 *		unseal ID ROOT KEY SEALED		ok ID PLAINTEXT
 *		check ID ROOT					ok ID [ROOTKEY [EXPIRES]]
 *										error ID CATEGORY [TEXT]
 *
 * Nothing here waits: the caller owns the event loop and the deadline, and
 * stops a helper that misses it.  A helper answers one request at a time.
 * Every buffer that held a plaintext is wiped.  The caller ignores SIGPIPE, so
 * that writing to a helper that has exited fails only its request.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_HELPER_H
#define PROV_HELPER_H

#include <sys/types.h>

#include "providers/prov.h"

/* The longest line either way, with its newline. */
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
	prov_verb	verb;			/* of the current request */
	uint64_t	request;		/* its id; 0 when there is none */
	uint64_t	last_request;
	bool		broken;			/* out of step: stop it before the next call */
	size_t		line_len;
	char		line[PROV_LINE_MAX];	/* the reply received so far */
} prov_helper;

/*
 * Starts the program at root->location, or our own program for root->kind in
 * program_directory with root->location as its argument.  It must be a regular
 * file that only its owner (root or this process's user) can write.  It gets
 * no shell, a process group of its own and no file descriptor but 0, 1 and 2,
 * and the kernel kills it when this process dies.
 */
extern prov_category prov_helper_start(prov_helper *helper,
									   const prov_root *root,
									   const char *program_directory,
									   prov_failure *failure);

/*
 * Sends one request.  bytes is the plaintext to seal, the sealed KEK to
 * unseal, or empty.  PROV_OK: sent; call prov_helper_receive for the reply.
 */
extern prov_category prov_helper_send(prov_helper *helper, prov_verb verb,
									  const prov_root *root,
									  const prov_kek *kek, envl_view bytes,
									  prov_failure *failure);

/* A reply to seal, unseal or check. */
typedef struct prov_reply
{
	prov_sealed sealed;			/* PROV_SEAL; PROV_CHECK: root_key only */
	int64_t		expires;		/* PROV_CHECK: when the credential expires, in
								 * seconds since 1970; 0: never, or unknown */
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];	/* PROV_UNSEAL */
} prov_reply;

/*
 * Reads what has arrived.  *done false: the reply is incomplete, wait for
 * from_fd.  *done true: the reply or the failure is final.  If helper->broken
 * is true after a failure, the helper is out of step and must be stopped.
 */
extern prov_category prov_helper_receive(prov_helper *helper, bool *done,
										 prov_reply *reply,
										 prov_failure *failure);

/* Kills the helper's process group, reaps it and wipes the struct. */
extern void prov_helper_stop(prov_helper *helper);

#endif							/* PROV_HELPER_H */
