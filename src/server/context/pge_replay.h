/*
 * pge_replay.h
 *	  Which session tokens have been used, so that none is used twice.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REPLAY_H
#define PGE_REPLAY_H

#include "core/envl_jws.h"

typedef enum PgeReplay
{
	PGE_TOKEN_NEW,				/* it is remembered from now on */
	PGE_TOKEN_USED,
	PGE_TOKENS_FULL				/* there is no room: not to be accepted */
} PgeReplay;

/* Shared memory: called from where the rest of it is requested and made. */
extern void pge_replay_request(void);
extern void pge_replay_attach(void);

/*
 * Notes that a token, known by ENVL_JWS_DIGEST_LEN bytes, is used; whatever
 * becomes of the transaction, it stays so until the token has expired.  Times
 * are seconds since 1970.  Only if pgenvelope.session_used_tokens is not 0.
 */
extern PgeReplay pge_replay_note(const uint8 *digest, int64 expires,
								 int64 now);

#endif							/* PGE_REPLAY_H */
