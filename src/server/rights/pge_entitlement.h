/*
 * pge_entitlement.h
 *	  What a role may do with a key, and in which encryption contexts.
 *
 * The C code checks this for every value, whatever EXECUTE says.  The role is
 * the current user, which in a SECURITY DEFINER function is its owner; a grant
 * may require that the session behind it holds the grant, too.  Superusers
 * need a grant like every other role.
 *
 * Which of a key's grants a role holds is found out once and kept until roles
 * or grants change; a limited grant that matched is kept beside the context.
 * So a grant in every context costs a comparison.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_ENTITLEMENT_H
#define PGE_ENTITLEMENT_H

#include "catalog/pge_privilege.h"
#include "context/pge_context.h"
#include "context/pge_pattern.h"

/* Who asks. */
typedef struct PgeIdentity
{
	Oid			user;			/* the current user */
	Oid			outer;			/* the same outside SECURITY DEFINER */
	Oid			session;		/* the session user */
} PgeIdentity;

extern PgeIdentity pge_identity(void);

/*
 * The grant that gives the current user the privilege on values of this
 * context.  A matching grant in every context is preferred to a limited one.
 * NULL fills in problem: 42501, or PE005 if only limited grants could help and
 * the context cannot be read.
 */
extern const PgeGrant *pge_entitled(PgeKey *key, PgePrivilege privilege,
									PgeContext *context, PgeProblem *problem);

/*
 * All of them that match; they live until the next call.
 */
extern const PgeGrant *const *pge_entitled_all(PgeKey *key,
											   PgePrivilege privilege,
											   PgeContext *context,
											   int *count);

/*
 * The grant by which the current user holds a privilege in every context, or
 * NULL.  For what sees no context.
 */
extern const PgeGrant *pge_key_permits(PgeKey *key, PgePrivilege privilege);

/* The same for another identity than the current one. */
extern bool pge_identity_permits(const PgeKey *key, PgePrivilege privilege,
								 const PgeIdentity *identity);

/* As pge_key_permits; false fills in problem. */
extern bool pge_require_privilege(PgeKey *key, PgePrivilege privilege,
								  PgeProblem *problem);

/* Whether an identity holds a grant, or why not. */
typedef enum PgeHolding
{
	PGE_HELD,
	PGE_NOT_A_MEMBER,			/* the role lacks what the grantee has */
	PGE_NOT_INHERITED,			/* a member that does not inherit */
	PGE_NOT_OF_SESSION			/* only through SECURITY DEFINER */
} PgeHolding;

extern PgeHolding pge_grant_holding(const PgeGrant *grant,
									const PgeIdentity *identity);

/* Names of roles as canonical contexts spell them, in the caller's buffer. */
#define PGE_SPELLED_ROLE_MAX 512

typedef struct PgeSpelledRole
{
	size_t		len;			/* 0: cannot be in a context */
	uint8		bytes[PGE_SPELLED_ROLE_MAX];
} PgeSpelledRole;

extern void pge_spell_role(Oid role, PgeSpelledRole *spelled);

#endif							/* PGE_ENTITLEMENT_H */
