/*
 * pge_value_settings.c
 *	  Settings of values: how they are sealed and opened.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "utils/guc.h"

#include "core/envl_value.h"
#include "value/pge_value_settings.h"

char	   *pge_default_key;
bool		pge_store_context;
int			pge_padding;
bool		pge_allow_maintenance_decrypt;

void
pge_value_settings_init(void)
{
	DefineCustomStringVariable("pgenvelope.default_key",
							   "Names the key that encrypts when a call names none.",
							   NULL, &pge_default_key, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomBoolVariable("pgenvelope.store_context",
							 "Stores the encryption context, readable, in every new value.",
							 NULL, &pge_store_context, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("pgenvelope.padding",
							"Pads plaintexts to a multiple of so many bytes, to hide their length; 0 does not pad.",
							NULL, &pge_padding, 0, 0, ENVL_PADDING_MAX,
							PGC_USERSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgenvelope.allow_maintenance_decrypt",
							 "Allows decryption inside ANALYZE, REFRESH MATERIALIZED VIEW and CREATE INDEX.",
							 "Their results hold plaintext on disk.",
							 &pge_allow_maintenance_decrypt, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}
