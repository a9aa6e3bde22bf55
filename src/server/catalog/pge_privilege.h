/*
 * pge_privilege.h
 *	  The privileges on a key: their names, and which imply others.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_PRIVILEGE_H
#define PGE_PRIVILEGE_H

#include "catalog/pge_catalog.h"

/* The privilege of that name; PGE_NO_PRIVILEGE if there is no such. */
extern PgePrivilege pge_privilege_parse(const char *name);
extern const char *pge_privilege_name(PgePrivilege privilege);

/* Whether holding one privilege implies holding the other. */
extern bool pge_privilege_implies(PgePrivilege held, PgePrivilege wanted);

/* Whether its grants may be limited to contexts: encrypt and decrypt. */
extern bool pge_privilege_sees_context(PgePrivilege privilege);

/*
 * What a role must hold to grant or revoke a privilege: grant or, for the
 * privileges that administer the key itself, admin.
 */
extern PgePrivilege pge_privilege_grantor(PgePrivilege privilege);

#endif							/* PGE_PRIVILEGE_H */
