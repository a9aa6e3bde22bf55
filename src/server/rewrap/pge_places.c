/*
 * pge_places.c
 *	  Finds where envelopes can be, from the catalogs and never from a list.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/pge_compat.h"
#include "catalog/pge_spi.h"
#include "rewrap/pge_census.h"
#include "rewrap/pge_places.h"

static const char places_query[] =
	/* Which types are made of which other types. */
	"WITH RECURSIVE edge (source, holder, kind) AS MATERIALIZED ( "
	"SELECT typbasetype, oid, 'domain' FROM pg_type WHERE typtype = 'd' "
	"UNION ALL "
	"SELECT oid, typarray, 'array' FROM pg_type WHERE typarray <> 0 "
	"UNION ALL "
	"SELECT rngsubtype, rngtypid, 'range' FROM pg_range "
	"UNION ALL "
	"SELECT rngtypid, rngmultitypid, 'range' FROM pg_range "
	"UNION ALL "
	"SELECT a.atttypid, c.reltype, 'composite' "
	"FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
	"WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped "
	"AND c.reltype <> 0 "

	/*
	 * Types whose values can contain an envelope; kind NULL: envelope itself.
	 */
	"), holder (type, kind) AS ( "
	"SELECT t.oid, NULL "
	"FROM pg_type t "
	"JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid "
	"AND d.deptype = 'e' "
	"JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass "
	"AND d.refobjid = e.oid "
	"WHERE e.extname = 'pgenvelope' AND t.typname = 'envelope' AND t.typtype = 'b' "
	"UNION "
	"SELECT e.holder, COALESCE(NULLIF(e.kind, 'domain'), h.kind) "
	"FROM holder h JOIN edge e ON e.source = h.type "

	/* Tables whose UPDATEs are published to a subscriber. */
	"), published (relation) AS MATERIALIZED ( "
	"SELECT t.relid "
	"FROM pg_publication p, LATERAL pg_get_publication_tables(p.pubname) t "
	"WHERE p.pubupdate "

	/* Columns of such types, where they are stored. */
	"), stored AS ( "
	"SELECT c.oid AS relation, c.relfilenode, a.attnum, a.attname, h.kind, "
	"quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, "
	"CASE WHEN c.relkind = 'm' THEN 'materialized view: refresh it' "
	"WHEN c.relkind = 'f' THEN 'foreign table' "
	"WHEN c.relpersistence = 't' "
	"AND c.relnamespace <> pg_my_temp_schema() "
	"THEN 'temporary table of another session' "
	"WHEN c.relam <> 2 THEN 'table access method other than heap' "
	"WHEN (c.oid IN (SELECT relation FROM published) "
	"OR EXISTS (SELECT FROM pg_partition_ancestors(c.oid) p "
	"JOIN published ON relation = p.relid)) "
	"AND (c.relreplident = 'n' "
	"OR c.relreplident IN ('d', 'i') "
	"AND NOT EXISTS ( "
	"SELECT FROM pg_index i WHERE i.indrelid = c.oid "
	"AND i.indislive AND CASE c.relreplident "
	"WHEN 'd' THEN i.indisprimary "
	"ELSE i.indisreplident END)) "
	"THEN 'published for UPDATE without a replica identity' "
	"END AS reason "
	"FROM holder h "
	"JOIN pg_attribute a ON a.atttypid = h.type AND a.attnum > 0 "
	"AND NOT a.attisdropped "
	"JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm', 'f') "
	"JOIN pg_namespace n ON n.oid = c.relnamespace "

	/* A constant of such a type, not null, in an expression. */
	"), constant (pattern) AS ( "
	"SELECT ':consttype (' || string_agg(type::text, '|') || ') :consttypmod -?[0-9]+' "
	"|| ' :constcollid [0-9]+ :constlen -?[0-9]+ :constbyval (true|false)' "
	"|| ' :constisnull false' "
	"FROM holder "
	"), expression (class, oid, tree, reason) AS ( "
	"SELECT tableoid, oid, adbin::text, 'a default' FROM pg_attrdef "
	"UNION ALL "
	"SELECT tableoid, oid, conbin::text, 'a constraint' FROM pg_constraint "
	"UNION ALL "
	"SELECT tableoid, oid, typdefaultbin::text, 'a default' FROM pg_type "
	"UNION ALL "
	"SELECT tableoid, oid, ev_action::text || ev_qual::text, 'a rule' "
	"FROM pg_rewrite WHERE oid >= 16384 "
	"UNION ALL "
	"SELECT 'pg_class'::regclass, indexrelid, "
	"concat(indexprs::text, indpred::text), 'an index' "
	"FROM pg_index WHERE indexrelid >= 16384 "
	"UNION ALL "
	"SELECT tableoid, oid, tgqual::text, 'a trigger' FROM pg_trigger "
	"UNION ALL "
	"SELECT tableoid, oid, concat(polqual::text, polwithcheck::text), 'a policy' "
	"FROM pg_policy "
	"UNION ALL "
	"SELECT tableoid, oid, concat(prosqlbody::text, proargdefaults::text), "
	"'a function' "
	"FROM pg_proc WHERE oid >= 16384 "
	") "

	/* A row for each table, then one for each place that is not covered. */
	"SELECT relation, relfilenode, 0::smallint, name, array_agg(attname::text ORDER BY attnum), NULL, array_agg(attnum ORDER BY attnum) "
	"FROM stored WHERE kind IS NULL AND reason IS NULL "
	"GROUP BY relation, relfilenode, name "
	"UNION ALL "
	"SELECT relation, 0, attnum, name || '.' || quote_ident(attname), "
	"ARRAY[attname::text], "
	"COALESCE(reason, 'column of ' || kind || ' type'), '{}' "
	"FROM stored WHERE kind IS NOT NULL OR reason IS NOT NULL "
	"UNION ALL "
	"SELECT oid, 0, 0, pg_describe_object(class, oid, 0), '{}', "
	"'constant in ' || reason, '{}' "
	"FROM expression JOIN constant ON tree ~ pattern "
	"ORDER BY 4";

static Datum
field(int row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

static List *
names_of(ArrayType *array)
{
	List	   *names = NIL;
	Datum	   *elements;
	int			count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &count);
	for (int i = 0; i < count; i++)
		names = lappend(names, TextDatumGetCString(elements[i]));
	return names;
}

static List *
numbers_of(ArrayType *array)
{
	List	   *numbers = NIL;
	Datum	   *elements;
	int			count;

	deconstruct_array(array, INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		numbers = lappend_int(numbers, DatumGetInt16(elements[i]));
	return numbers;
}

static PgePlace *
read_place(int row)
{
	PgePlace   *place = palloc0(sizeof(PgePlace));
	bool		isnull;
	Datum		reason;

	place->relation = DatumGetObjectId(field(row, 1, &isnull));
	place->relfilenode = DatumGetObjectId(field(row, 2, &isnull));
	place->attribute = DatumGetInt16(field(row, 3, &isnull));
	place->name = TextDatumGetCString(field(row, 4, &isnull));
	place->columns = names_of(DatumGetArrayTypeP(field(row, 5, &isnull)));
	reason = field(row, 6, &isnull);
	place->uncovered = isnull ? NULL : TextDatumGetCString(reason);
	place->attributes =
		numbers_of(DatumGetArrayTypeP(field(row, 7, &isnull)));
	return place;
}

List *
pge_places_then(void)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext procedure;
	PgeWriter	writer = pge_write_begin();
	List	   *places = NIL;

	/* Read-only, so it uses the active snapshot and no newer one. */
	if (SPI_execute(places_query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for envelopes");
	procedure = MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < SPI_processed; i++)
		places = lappend(places, read_place((int) i));
	MemoryContextSwitchTo(procedure);
	pge_write_end(&writer);
	return places;
}

List *
pge_places(void)
{
	List	   *places;

	PushActiveSnapshot(GetLatestSnapshot());
	places = pge_places_then();
	PopActiveSnapshot();
	return places;
}
