/*
 * pge_rights.h
 *	  Who may do what with a key.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_RIGHTS_H
#define PGE_RIGHTS_H

/* Inserts a grant, by the writer's rights; returns 0 if it was there. */
extern uint64 pge_insert_grant(uint64 key_id, const char *privilege, Oid role,
							   const char *granted_by);

#endif							/* PGE_RIGHTS_H */
