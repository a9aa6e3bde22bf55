/*
 * pge_proof.h
 *	  The proof that no value needs a version: one scan of everything, under
 *	  one snapshot.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PROOF_H
#define PGE_PROOF_H

#include "rewrap/pge_job.h"

/*
 * pge_proof.c: notes which transactions the proof has to wait for, when the
 * job begins and when its passes are over; and does a step of a job that is
 * proving.
 */
extern void pge_proof_note_writers(const PgeJob *job);
extern void pge_proof_note_readers(const PgeJob *job);
extern void pge_proof_step(PgeJob *job, PgeStepResult *result);

#endif							/* PGE_PROOF_H */
