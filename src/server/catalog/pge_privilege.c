/*
 * pge_privilege.c
 *	  The privileges on a key: their names, and which imply others.
 *
 * encrypt makes values and decrypt opens them.  rewrap moves values to another
 * version and shows no plaintext; rotate makes and activates versions; retire
 * takes them out of use, in the end for good; grant decides what roles may do
 * with values; audit reads what was done.  admin is rewrap, rotate, retire and
 * grant, and never encrypt, decrypt or audit: a role that runs a key need not
 * be able to read with it, or to review what was done.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pge_privilege.h"

static const char *const names[PGE_PRIVILEGES] = {
	[PGE_ENCRYPT] = "encrypt",
	[PGE_DECRYPT] = "decrypt",
	[PGE_REWRAP] = "rewrap",
	[PGE_ROTATE] = "rotate",
	[PGE_RETIRE] = "retire",
	[PGE_GRANT] = "grant",
	[PGE_AUDIT] = "audit",
	[PGE_ADMIN] = "admin",
};

PgePrivilege
pge_privilege_parse(const char *name)
{
	for (int i = PGE_NO_PRIVILEGE + 1; i < PGE_PRIVILEGES; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (PgePrivilege) i;
	}
	return PGE_NO_PRIVILEGE;
}

const char *
pge_privilege_name(PgePrivilege privilege)
{
	return names[privilege];
}

bool
pge_privilege_implies(PgePrivilege held, PgePrivilege wanted)
{
	if (held == wanted)
		return true;
	return held == PGE_ADMIN &&
		(wanted == PGE_REWRAP || wanted == PGE_ROTATE ||
		 wanted == PGE_RETIRE || wanted == PGE_GRANT);
}

bool
pge_privilege_sees_context(PgePrivilege privilege)
{
	return privilege == PGE_ENCRYPT || privilege == PGE_DECRYPT;
}

PgePrivilege
pge_privilege_grantor(PgePrivilege privilege)
{
	switch (privilege)
	{
		case PGE_ENCRYPT:
		case PGE_DECRYPT:
		case PGE_REWRAP:
			return PGE_GRANT;
		default:
			/* Otherwise a role with grant could give itself everything. */
			return PGE_ADMIN;
	}
}
