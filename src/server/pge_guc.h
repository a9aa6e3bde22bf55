/*
 * pge_guc.h
 *	  The settings pgenvelope.*; docs/reference.md describes each.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_GUC_H
#define PGE_GUC_H

#include "providers/prov.h"

/* The most that pgenvelope.rewrap_workers can say. */
#define PGE_REWRAP_WORKERS_MAX 32

/* The longest pgenvelope.trace_id. */
#define PGE_TRACE_ID_MAX 128

/* Configuration file only. */
extern char *pge_providers;
extern char *pge_key_provider;
extern char *pge_escrow_provider;
extern int	pge_key_cache_size; /* entries */
extern int	pge_key_cache_ttl;	/* seconds */
extern int	pge_key_cache_grace;	/* seconds */
extern int	pge_provider_timeout;	/* milliseconds */
extern char *pge_audit_anchor_directory;
extern int	pge_rewrap_workers; /* at a time, in all databases */
extern int	pge_rewrap_naptime; /* milliseconds */
extern char *pge_session_key_file;
extern int	pge_session_token_lifetime; /* seconds */
extern int	pge_session_used_tokens;	/* remembered; 0 remembers none */

/* Superusers. */
extern char *pge_required_context;
extern bool pge_store_context;
extern bool pge_allow_maintenance_decrypt;
extern int	pge_format;
extern int	pge_redact_statements;	/* a PgeRedact */
extern int	pge_rewrap_rate;	/* rows a second, 0 for any */
extern int	pge_rewrap_max_bytes_per_second;	/* 0 for any */
extern int	pge_rewrap_batch_blocks;
extern int	pge_rewrap_batch_timeout;	/* milliseconds; 0: no limit */
extern int	pge_rewrap_lock_timeout;	/* milliseconds */
extern int	pge_rewrap_max_lag; /* milliseconds, 0 for any */
extern int	pge_rewrap_max_lag_bytes;	/* 0 for any */
extern int	pge_rewrap_max_failures;
extern bool pge_rewrap_log_batches;
extern int	pge_proof_max_age;	/* seconds */
extern int	pge_destroy_after;	/* seconds */
extern int	pge_audit;			/* PgeAuditLevel, pge_audit.h */
extern char *pge_audit_context;
extern int	pge_approval_timeout;	/* seconds */

/* Anybody. */
extern char *pge_default_key;
extern char *pge_trace_id;
extern int	pge_padding;		/* bytes, 0 for none */
extern int	pge_key_timeout;	/* milliseconds */

extern void pge_guc_init(void);

/*
 * Finds a provider by name in pgenvelope.providers, for one database.  False:
 * no such provider, or not for this database.
 */
extern bool pge_find_provider(const char *name, const char *database,
							  prov_root *root);

/*
 * The name of the provider that seals new keys of a database: the setting
 * key_provider, else the first usable entry.  False if there is none.
 */
extern bool pge_default_provider(const char *database, char *name);

#endif							/* PGE_GUC_H */
