/*
 * pge_replay.h
 *	  The used session tokens, so that none is accepted twice.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_REPLAY_H
#define PGE_REPLAY_H

#include "core/envl_jws.h"

typedef enum PgeReplay
{
	PGE_TOKEN_NEW,				/* it is now noted as used */
	PGE_TOKEN_USED,
	PGE_TOKENS_FULL				/* there is no room: do not accept it */
} PgeReplay;

/*
 * Shared memory: called where the other shared memory is requested and made.
 */
extern void pge_replay_request(void);
extern void pge_replay_attach(void);

/*
 * Notes a token, identified by ENVL_JWS_DIGEST_LEN bytes, as used.  It stays
 * noted until it expires, even if the transaction is rolled back.  Times are
 * seconds since 1970.  Call only if pgenvelope.session_used_tokens is not 0.
 */
extern PgeReplay pge_replay_note(const uint8 *digest, int64 expires,
								 int64 now);

#endif							/* PGE_REPLAY_H */
