/*
 * pge_replay.c
 *	  The used session tokens, so that none is accepted twice.
 *
 * A hash table of fixed size in shared memory.  Its key is the digest of the
 * signed part, which cannot be respelled as a signature or a claim can.  An
 * entry is kept until its token expires.  If the table is full of unexpired
 * tokens, the next token is an error; no token is ever accepted twice.
 *
 * Locking protocol.  lock covers the table and swept_at, always exclusively.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"

#include "base/pge_compat.h"
#include "context/pge_context_settings.h"
#include "context/pge_replay.h"

typedef struct UsedToken
{
	uint8		digest[ENVL_JWS_DIGEST_LEN];	/* must be first */
	int64		expires;
} UsedToken;

typedef struct ReplayShared
{
	LWLock	   *lock;
	int64		swept_at;		/* when expired entries were last removed */
} ReplayShared;

static ReplayShared *replay;
static HTAB *used_tokens;

void
pge_replay_request(void)
{
	if (pge_session_used_tokens == 0)
		return;
	RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(ReplayShared)),
									hash_estimate_size(
										pge_session_used_tokens,
										sizeof(UsedToken))));
	RequestNamedLWLockTranche("pgenvelope_tokens", 1);
}

void
pge_replay_attach(void)
{
	HASHCTL		control = {.keysize = ENVL_JWS_DIGEST_LEN,
						   .entrysize = sizeof(UsedToken)};
	bool		found;

	if (pge_session_used_tokens == 0)
		return;
	replay = ShmemInitStruct("pgenvelope tokens", sizeof(ReplayShared),
							 &found);
	if (!found)
	{
		replay->lock = &GetNamedLWLockTranche("pgenvelope_tokens")->lock;
		replay->swept_at = 0;
	}
	used_tokens = ShmemInitHash("pgenvelope used tokens",
								pge_session_used_tokens,
								pge_session_used_tokens, &control,
								HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

/* Removes expired entries, at most once a second. */
static void
remove_expired(int64 now)
{
	HASH_SEQ_STATUS scan;
	UsedToken  *entry;

	if (replay->swept_at == now)
		return;
	replay->swept_at = now;
	hash_seq_init(&scan, used_tokens);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->expires <= now)
			hash_search(used_tokens, entry->digest, HASH_REMOVE, NULL);
	}
}

PgeReplay
pge_replay_note(const uint8 *digest, int64 expires, int64 now)
{
	PgeReplay	result = PGE_TOKENS_FULL;
	UsedToken  *entry;
	bool		found;

	LWLockAcquire(replay->lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(used_tokens) >= pge_session_used_tokens)
		remove_expired(now);
	if (hash_search(used_tokens, digest, HASH_FIND, NULL) != NULL)
		result = PGE_TOKEN_USED;
	else if (hash_get_num_entries(used_tokens) < pge_session_used_tokens)
	{
		entry = hash_search(used_tokens, digest, HASH_ENTER_NULL, &found);
		if (entry != NULL)
		{
			entry->expires = expires;
			result = PGE_TOKEN_NEW;
		}
	}
	LWLockRelease(replay->lock);
	return result;
}
