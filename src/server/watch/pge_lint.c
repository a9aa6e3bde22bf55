/*
 * pge_lint.c
 *	  The part of pgenvelope.lint that SQL cannot check: files, memory,
 *	  providers.
 *
 * A file is named by its setting and never by its path: not every role that
 * may call pgenvelope.lint may see those settings.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/pge_compat.h"
#include "base/pge_shared.h"
#include "catalog/pge_spi.h"
#include "keys/pge_key_cache.h"
#include "keys/pge_keys_settings.h"

PG_FUNCTION_INFO_V1(pgenvelope_lint_server);

#define LINT_COLUMNS 5

/* Adds a finding; check is its heading in docs/lint.md. */
static void
add_finding(FunctionCallInfo fcinfo, const char *severity, const char *check,
			const char *object, const char *message, const char *remedy)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[LINT_COLUMNS] = {
		CStringGetTextDatum(severity), CStringGetTextDatum(check),
		CStringGetTextDatum(object), CStringGetTextDatum(message),
		CStringGetTextDatum(remedy)};
	bool		nulls[LINT_COLUMNS] = {false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Checks who else may read a file with a secret. */
static void
check_file(FunctionCallInfo fcinfo, const char *object, const char *path)
{
	struct stat status;
	mode_t		allowed;

	if (stat(path, &status) != 0)
	{
		add_finding(fcinfo, "error", "file_missing", object,
					"The file is not there, or the server cannot look at it.",
					"Put it there, or correct the setting.");
		return;
	}
	allowed = (status.st_uid == 0) ? 0640 : 0600;
	if (!S_ISREG(status.st_mode) || (status.st_mode & 07777 & ~allowed) != 0)
		add_finding(fcinfo, "error", "file_mode", object,
					"Others than the server's user may read or write the file.",
					"Make it a regular file of mode 0600, or 0640 if root owns it.");
}

static void
check_provider(FunctionCallInfo fcinfo, const prov_root *root)
{
	char	   *object = psprintf("provider %s", root->name);

	if (root->kind == PROV_FILE || root->kind == PROV_PASSPHRASE)
		check_file(fcinfo, object, root->location);
	if (root->kind == PROV_PASSPHRASE)
		add_finding(fcinfo, "warning", "development_provider", object,
					"A passphrase can be guessed by whoever has a sealed key.",
					"Move to another provider: pgenvelope.reseal_keys().");
	else if (strncmp(root->location, "vault+http:", 11) == 0)
		add_finding(fcinfo, "warning", "development_provider", object,
					"The connection to it does not use TLS.", "Use vault://.");
	else if (root->kind == PROV_FILE)
		add_finding(fcinfo, "info", "root_key_on_disk", object,
					"Its root key is a file of this machine: whoever has both the disk and a copy of the data has the plaintexts.",
					"Keep it off backups; or use a key service or an HSM.");
}

static void
check_providers(FunctionCallInfo fcinfo)
{
	const char *cursor = pge_providers;
	prov_root	root;
	prov_failure failure;
	bool		found;

	while (prov_root_next(&cursor, &root, &found, &failure) == PROV_OK &&
		   found)
		check_provider(fcinfo, &root);
}

static const char *
get_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value != NULL ? value : "";
}

static bool
is_in_data_directory(const char *path)
{
	char		resolved[PATH_MAX];
	char		data[PATH_MAX];
	size_t		len;

	if (!is_absolute_path(path))
		return true;
	if (realpath(path, resolved) == NULL || realpath(DataDir, data) == NULL)
		return false;
	len = strlen(data);
	return strncmp(resolved, data, len) == 0 &&
		(resolved[len] == '/' || resolved[len] == '\0');
}

/*
 * Checks that the anchor is outside the data directory, so that it survives
 * what happens to the data.
 */
static void
check_anchor(FunctionCallInfo fcinfo)
{
	const char *name = "pgenvelope.audit_anchor_directory";

	if (is_in_data_directory(get_setting(name)))
		add_finding(fcinfo, "warning", "anchor_in_data_directory", name,
					"The audit's anchor is inside the data directory, and is rolled back with it.",
					"Put it elsewhere, best on another machine.");
}

static void
check_memory(FunctionCallInfo fcinfo)
{
	struct rlimit limit;

	if (!pge_key_cache->memory_locked)
		add_finding(fcinfo, "warning", "memory_not_locked", "key cache",
					"Keys may be written to swap.",
					"Raise the limit on locked memory (LimitMEMLOCK), or encrypt swap.");
	if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0)
		add_finding(fcinfo, "warning", "core_dumps", "server",
					"A crash may write a core file, with plaintexts and keys in use.",
					"Set the limit on core files to 0 (LimitCORE=0).");
}

/*
 * Checks the grants on settings that only superusers may set.  In C, because
 * some versions of PostgreSQL lack that catalog.
 */
static void
check_parameters(FunctionCallInfo fcinfo)
{
#if PGE_PARAMETER_ACL
	PgeWriter	writer = pge_write_begin();
	uint64		count;

	count = pge_write_run("SELECT p.parname, CASE a.grantee WHEN 0"
						  " THEN 'PUBLIC' ELSE a.grantee::regrole::text END"
						  " FROM pg_parameter_acl p, aclexplode(p.paracl) a"
						  " WHERE p.parname ~ '^pgenvelope[.]'"
						  " AND a.privilege_type = 'SET'"
						  " AND a.grantee <> 10",
						  0, NULL, NULL, NULL);
	for (int i = 0; i < (int) count; i++)
	{
		char	   *parameter = pge_row_text(i, 1);
		char	   *grantee = pge_row_text(i, 2);

		add_finding(fcinfo, "error", "parameter_granted", parameter,
					psprintf("%s may set it without being a superuser.", grantee),
					psprintf("REVOKE SET ON PARAMETER %s FROM %s;", parameter,
							 grantee));
	}
	pge_write_end(&writer);
#endif
}

Datum
pgenvelope_lint_server(PG_FUNCTION_ARGS)
{
	const char *session_keys;

	pge_require_preload();
	pge_init_materialized(fcinfo);
	check_providers(fcinfo);
	session_keys = get_setting("pgenvelope.session_key_file");
	if (session_keys[0] != '\0')
		check_file(fcinfo, "pgenvelope.session_key_file", session_keys);
	check_anchor(fcinfo);
	check_memory(fcinfo);
	check_parameters(fcinfo);
	PG_RETURN_NULL();
}
