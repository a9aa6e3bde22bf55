/*
 * pge_table.c
 *	  The extension's tables: where they are, their columns by name, and
 *	  whether they are of this library's version.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/pge_compat.h"
#include "catalog/pge_table.h"

PgeSchema
pge_schema(char **version)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData condition;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *found = NULL;

	ScanKeyInit(&condition, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("pgenvelope"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1,
							  &condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(extensions),
										 &isnull);

		found = isnull ? pstrdup("") : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	if (version != NULL)
		*version = found;
	if (found == NULL)
		return PGE_SCHEMA_ABSENT;
	return strcmp(found, PGENVELOPE_VERSION) == 0 ? PGE_SCHEMA_OURS :
													PGE_SCHEMA_OTHER;
}

/* Whether a version is later than ours, number by number. */
static bool
is_later(const char *version)
{
	const char *ours = PGENVELOPE_VERSION;

	while (*version != '\0' || *ours != '\0')
	{
		char	   *version_end;
		char	   *ours_end;
		unsigned long a = strtoul(version, &version_end, 10);
		unsigned long b = strtoul(ours, &ours_end, 10);

		if (a != b)
			return a > b;
		if (*version_end != '.' || *ours_end != '.')
			return *version_end == '.';
		version = version_end + 1;
		ours = ours_end + 1;
	}
	return false;
}

void
pge_schema_refuse(const char *version)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension pgenvelope has version %s in this database, but the server's library has version %s",
					version, PGENVELOPE_VERSION),
			 is_later(version) ?
				 errhint("Install the library of that version and restart the server.") :
				 errhint("Run ALTER EXTENSION pgenvelope UPDATE in this database.")));
}

static void
missing_table(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table pgenvelope.%s does not exist", name),
			 errhint("Run CREATE EXTENSION pgenvelope in this database.")));
}

Oid
pge_table(const char *name)
{
	Oid			schema = get_namespace_oid("pgenvelope", true);
	Oid			table = OidIsValid(schema) ?
		get_relname_relid(name, schema) :
		InvalidOid;

	if (!OidIsValid(table))
		missing_table(name);
	return table;
}

void
pge_own_table_find(PgeOwnTable *table)
{
	Oid			oid = pge_table(table->name);

	for (int i = 0; i < PGE_COLUMNS_MAX && table->columns[i] != NULL; i++)
	{
		table->numbers[i] = get_attnum(oid, table->columns[i]);
		if (table->numbers[i] == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table pgenvelope.%s has no column \"%s\"",
							table->name, table->columns[i])));
	}
	table->oid = oid;
}

Relation
pge_own_table_open(const PgeOwnTable *table)
{
	Relation	relation = try_relation_open(table->oid, AccessShareLock);

	if (relation == NULL)
		missing_table(table->name);
	return relation;
}

Datum
pge_own_get(const PgeOwnRow *row, int column, bool *isnull)
{
	return heap_getattr(row->tuple, row->table->numbers[column],
						row->descriptor, isnull);
}
