/*
 * pge_guc.c
 *	  The settings pgenvelope.*; docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "audit/pge_audit.h"
#include "base/pge_compat.h"
#include "context/pge_session_context.h"
#include "context/pge_subject.h"
#include "core/envl_value.h"
#include "pge_guc.h"
#include "redact/pge_redact.h"

char	   *pge_providers;
char	   *pge_key_provider;
char	   *pge_escrow_provider;
int			pge_key_cache_size;
int			pge_key_cache_ttl;
int			pge_key_cache_grace;
int			pge_provider_timeout;
char	   *pge_required_context;
bool		pge_store_context;
bool		pge_allow_maintenance_decrypt;
int			pge_format;
int			pge_redact_statements = PGE_REDACT_CALLS;
char	   *pge_default_key;
int			pge_padding;
int			pge_key_timeout;
int			pge_rewrap_workers;
int			pge_rewrap_naptime;
int			pge_rewrap_rate;
int			pge_rewrap_max_bytes_per_second;
int			pge_rewrap_batch_blocks;
int			pge_rewrap_batch_timeout;
int			pge_rewrap_lock_timeout;
int			pge_rewrap_max_lag;
int			pge_rewrap_max_lag_bytes;
int			pge_rewrap_max_failures;
bool		pge_rewrap_log_batches;
int			pge_proof_max_age;
int			pge_destroy_after;
int			pge_audit;
char	   *pge_audit_context;
char	   *pge_trace_id;
char	   *pge_audit_anchor_directory;

static const struct config_enum_entry audit_levels[] = {
	{"off", PGE_AUDIT_OFF, false},
	{"admin", PGE_AUDIT_ADMIN, false},
	{"failures", PGE_AUDIT_FAILURES, false},
	{"decrypts", PGE_AUDIT_DECRYPTS, false},
	{"all", PGE_AUDIT_ALL, false},
	{NULL, 0, false}};
int			pge_approval_timeout;
char	   *pge_session_key_file;
int			pge_session_token_lifetime;
int			pge_session_used_tokens;

static const struct config_enum_entry redact_options[] = {
	{"off", PGE_REDACT_OFF, false},
	{"calls", PGE_REDACT_CALLS, false},
	{"all", PGE_REDACT_ALL, false},
	{NULL, 0, false}};

/*
 * Refuses a list with an entry that is not understood or a name given twice:
 * a provider that silently is another one than meant would seal keys that
 * nobody can open later.
 */
static bool
check_providers(char **newval, void **extra, GucSource source)
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

/* It goes into every line of the audit, and to whatever reads those. */
static bool
check_trace_id(char **newval, void **extra, GucSource source)
{
	size_t		len = strlen(*newval);

	for (size_t i = 0; i < len; i++)
	{
		if ((*newval)[i] < 0x20 || (*newval)[i] > 0x7e)
			len = PGE_TRACE_ID_MAX + 1;
	}
	if (len <= PGE_TRACE_ID_MAX)
		return true;
	GUC_check_errdetail("It is printable ASCII of at most %d bytes.",
						PGE_TRACE_ID_MAX);
	return false;
}

/* Settings that say which keys there are and how long they are kept. */
static void
define_key_settings(void)
{
	DefineCustomStringVariable("pgenvelope.providers",
							   "Lists the root keys that may seal keys, as name=URI or name@database=URI, separated by commas.",
							   NULL, &pge_providers, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, check_providers, NULL,
							   NULL);
	DefineCustomStringVariable("pgenvelope.key_provider",
							   "Names the provider that seals new keys.",
							   "Empty means the first of pgenvelope.providers.",
							   &pge_key_provider, "", PGC_SIGHUP, 0, NULL,
							   NULL, NULL);
	DefineCustomStringVariable("pgenvelope.escrow_provider",
							   "Names a provider that seals every new key once more.",
							   "Empty means that there is no second seal.",
							   &pge_escrow_provider, "", PGC_SIGHUP, 0, NULL,
							   NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_size",
							"Sets how many unsealed keys the server keeps in memory.",
							NULL, &pge_key_cache_size, 256, 16, 65536,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_ttl",
							"Sets the time after which a cached key is unsealed again ahead of use.",
							NULL, &pge_key_cache_ttl, 300, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_cache_grace",
							"Sets how long after pgenvelope.key_cache_ttl a key may be used while its provider is unavailable.",
							NULL, &pge_key_cache_grace, 3600, 0, 604800,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.provider_timeout",
							"Sets how long one call to a provider may take.",
							NULL, &pge_provider_timeout, 5000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.key_timeout",
							"Sets how long a statement waits for a key to be unsealed.",
							NULL, &pge_key_timeout, 10000, 100, 600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

/* Settings that say how values are sealed and opened. */
static void
define_value_settings(void)
{
	DefineCustomStringVariable("pgenvelope.default_key",
							   "Names the key that encrypts when a call names none.",
							   NULL, &pge_default_key, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("pgenvelope.required_context",
							   "Sets the required context, a JSON object, of keys created without one.",
							   NULL, &pge_required_context,
							   "{\"tenant\": null, \"type\": null}",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgenvelope.store_context",
							 "Stores the encryption context, readable, in every new value.",
							 NULL, &pge_store_context, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.padding",
							"Pads plaintexts to a multiple of so many bytes, to hide their length; 0 does not pad.",
							NULL, &pge_padding, 0, 0, ENVL_PADDING_MAX,
							PGC_USERSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.format",
							"Sets the format of new values.",
							NULL, &pge_format, 1, 1, 1, PGC_SUSET, 0, NULL,
							NULL, NULL);
	DefineCustomEnumVariable("pgenvelope.redact_statements",
							 "Sets which statements the server's log leaves out: those that call pgenvelope, all, or none.",
							 NULL, &pge_redact_statements, PGE_REDACT_CALLS,
							 redact_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgenvelope.allow_maintenance_decrypt",
							 "Allows decryption inside ANALYZE, REFRESH MATERIALIZED VIEW and CREATE INDEX.",
							 "Their results hold plaintext on disk.",
							 &pge_allow_maintenance_decrypt, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

/* Settings that say how rewrap jobs are run, and how fast. */
static void
define_rewrap_settings(void)
{
	DefineCustomIntVariable("pgenvelope.rewrap_workers",
							"Sets how many databases are rewrapped at a time; 0 has no workers.",
							NULL, &pge_rewrap_workers, 2, 0,
							PGE_REWRAP_WORKERS_MAX, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_naptime",
							"Sets how often each database is looked at for jobs that are due.",
							NULL, &pge_rewrap_naptime, 60000, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_rate",
							"Sets how many rows a second a worker reads at most; 0 sets no limit.",
							NULL, &pge_rewrap_rate, 10000, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_bytes_per_second",
							"Sets how many bytes of rows and pages a second a worker writes at most; 0 sets no limit.",
							NULL, &pge_rewrap_max_bytes_per_second, 0, 0,
							INT_MAX, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_batch_blocks",
							"Sets how many blocks of a table are rewrapped in one transaction.",
							NULL, &pge_rewrap_batch_blocks, 128, 1, 65536,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_batch_timeout",
							"Sets how long a worker's batch may take before it is cancelled and its table put off; 0 sets no limit.",
							NULL, &pge_rewrap_batch_timeout, 300000, 0,
							INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_lock_timeout",
							"Sets how long a job waits for the lock on a table before it does something else.",
							NULL, &pge_rewrap_lock_timeout, 100, 0, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgenvelope.rewrap_log_batches",
							 "Logs a line for each batch of a job.",
							 "Off, it is logged as DEBUG1.",
							 &pge_rewrap_log_batches, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

/* Settings that say when a job, a change of a version or a request waits. */
static void
define_brake_settings(void)
{
	DefineCustomIntVariable("pgenvelope.rewrap_max_lag",
							"Sets the replay lag of a standby beyond which jobs wait for it; 0 sets no limit.",
							NULL, &pge_rewrap_max_lag, 10000, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_lag_bytes",
							"Sets how much WAL a standby may have yet to replay before jobs wait for it; 0 sets no limit.",
							NULL, &pge_rewrap_max_lag_bytes, 64 * 1024 * 1024,
							0, INT_MAX, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.rewrap_max_failures",
							"Sets how many values of a job may have failed before it pauses.",
							NULL, &pge_rewrap_max_failures, 1000, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.proof_max_age",
							"Sets how old the proof that no value needs a key version may be when the version is retired.",
							NULL, &pge_proof_max_age, 86400, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.destroy_after",
							"Sets how long a key version must have been retired before it may be destroyed.",
							NULL, &pge_destroy_after, 30 * 86400, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.approval_timeout",
							"Sets how long a request for a second person's approval can be approved.",
							NULL, &pge_approval_timeout, 86400, 1, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
}

/* Settings that say what is told of the use of keys. */
static void
define_audit_settings(void)
{
	DefineCustomEnumVariable("pgenvelope.audit",
							 "Sets what is audited: off, admin, failures, decrypts or all.",
							 "Each includes those before it.", &pge_audit,
							 PGE_AUDIT_ADMIN, audit_levels, PGC_SUSET, 0,
							 NULL, pge_assign_audit, NULL);
	DefineCustomStringVariable("pgenvelope.audit_context",
							   "Lists the members of encryption contexts that the audit shows, separated by commas.",
							   NULL, &pge_audit_context, "tenant", PGC_SUSET,
							   0, pge_check_audit_context,
							   pge_assign_audit_context, NULL);
	DefineCustomStringVariable("pgenvelope.audit_anchor_directory",
							   "Names the directory where the head of the audit's chain is kept.",
							   "A relative path is relative to the data directory.",
							   &pge_audit_anchor_directory,
							   "pgenvelope_audit", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("pgenvelope.trace_id",
							   "Names what the session is working on, for the audit.",
							   "It is printable ASCII of at most 128 bytes.",
							   &pge_trace_id, "", PGC_USERSET, 0,
							   check_trace_id, NULL, NULL);
}

static bool
check_absolute_path(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || **newval == '/')
		return true;
	GUC_check_errdetail("The path is not absolute.");
	return false;
}

/* Settings that say who a session may speak for. */
static void
define_session_settings(void)
{
	DefineCustomStringVariable("pgenvelope.session_context",
							   "Says whom the session works for: a JSON object, whose members grants can refer to.",
							   "Set it with env_bind_session.",
							   &pge_session_context, "", PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   pge_check_session_context,
							   pge_assign_session_context, NULL);
	DefineCustomStringVariable("pgenvelope.session_key_file",
							   "Names the file of keys, a JWK Set, that sign the tokens of env_bind_session.",
							   NULL, &pge_session_key_file, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, check_absolute_path, NULL,
							   NULL);
	DefineCustomIntVariable("pgenvelope.session_token_lifetime",
							"Sets how long a token that binds a session may be valid for.",
							NULL, &pge_session_token_lifetime, 3600, 1,
							INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL,
							NULL);
	DefineCustomIntVariable("pgenvelope.session_used_tokens",
							"Sets how many used tokens are remembered, so that each is accepted once; 0 accepts them until they expire.",
							NULL, &pge_session_used_tokens, 0, 0, 1000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

void
pge_guc_init(void)
{
	define_key_settings();
	define_value_settings();
	define_rewrap_settings();
	define_brake_settings();
	define_audit_settings();
	define_session_settings();
	pge_reserve_prefix("pgenvelope");
}
