/*
 * pge_provider.c
 *	  The providers that pgenvelope.providers lists.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "keys/pge_keys_settings.h"
#include "keys/pge_provider.h"

/*
 * Refuses a list with an entry that it does not understand, or with a name
 * given twice.  If a provider were silently another one than intended, it
 * would seal keys that cannot be opened later.
 */
bool
pge_check_provider_list(char **newval, void **extra, GucSource source)
{
	const char *cursor = *newval;
	prov_root	root;
	prov_failure failure;
	bool		found;

	for (;;)
	{
		const char *rest;
		prov_root	other;
		bool		other_found;

		if (prov_root_next(&cursor, &root, &found, &failure) != PROV_OK)
		{
			GUC_check_errdetail("%s", failure.reason);
			return false;
		}
		if (!found)
			return true;
		rest = cursor;
		while (prov_root_next(&rest, &other, &other_found,
							  &failure) == PROV_OK &&
			   other_found)
		{
			if (strcmp(root.name, other.name) == 0)
			{
				GUC_check_errdetail("Provider \"%s\" is listed twice.",
									root.name);
				return false;
			}
		}
	}
}

bool
pge_find_provider(const char *name, const char *database, prov_root *root)
{
	const char *cursor = pge_providers;
	prov_failure failure;
	bool		found;

	while (prov_root_next(&cursor, root, &found, &failure) == PROV_OK &&
		   found)
	{
		if (strcmp(root->name, name) == 0)
			return root->database[0] == '\0' ||
				strcmp(root->database, database) == 0;
	}
	return false;
}

bool
pge_default_provider(const char *database, char *name)
{
	const char *cursor = pge_providers;
	prov_root	root;
	prov_failure failure;
	bool		found;

	if (pge_key_provider[0] != '\0')
	{
		strlcpy(name, pge_key_provider, PROV_NAME_SIZE);
		return true;
	}
	while (prov_root_next(&cursor, &root, &found, &failure) == PROV_OK &&
		   found)
	{
		if (root.database[0] == '\0' || strcmp(root.database, database) == 0)
		{
			strlcpy(name, root.name, PROV_NAME_SIZE);
			return true;
		}
	}
	return false;
}
