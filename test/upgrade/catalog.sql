-- Everything that the catalogs say of the extension's objects, a line each, by
-- names: what a fresh and an upgraded database must have in common.
SET search_path = pg_catalog;
WITH member (class, oid) AS (
    SELECT d.classid, d.objid
    FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass
        AND d.refobjid = e.oid
    WHERE d.deptype = 'e' AND e.extname = 'pgenvelope'
), relation AS (
    SELECT c.*, c.oid::regclass::text AS name
    FROM pg_class c
    WHERE EXISTS (SELECT FROM member m
                  WHERE m.class = 'pg_class'::regclass AND m.oid = c.oid)
       OR EXISTS (SELECT FROM pg_index i
                  JOIN member m ON m.oid = i.indrelid
                      AND m.class = 'pg_class'::regclass
                  WHERE i.indexrelid = c.oid)
), line (line) AS (
    SELECT concat_ws(' | ', 'object', d.type, d.identity,
        obj_description(m.oid, m.class::regclass::text::name),
        (SELECT i.initprivs::text FROM pg_init_privs i
         WHERE (i.classoid, i.objoid) = (m.class, m.oid) AND i.objsubid = 0))
    FROM member m, pg_identify_object(m.class, m.oid, 0) d
    UNION ALL
    SELECT concat_ws(' | ', 'extension', e.extnamespace::regnamespace,
        e.extversion, e.extrelocatable, c.relation::regclass, c.condition)
    FROM pg_extension e,
        unnest(e.extconfig, e.extcondition) c (relation, condition)
    WHERE e.extname = 'pgenvelope'
    UNION ALL
    SELECT concat_ws(' | ', 'schema', n.nspname, n.nspowner::regrole,
        n.nspacl::text)
    FROM pg_namespace n WHERE n.nspname = 'pgenvelope'
    UNION ALL
    SELECT concat_ws(' | ', 'function', p.oid::regprocedure,
        pg_get_functiondef(p.oid), p.proowner::regrole, p.proacl::text,
        p.probin, p.prosrc, p.procost, p.prorows, p.proconfig::text)
    FROM pg_proc p
    JOIN member m ON m.class = 'pg_proc'::regclass AND m.oid = p.oid
    UNION ALL
    SELECT concat_ws(' | ', 'relation', r.name, r.relkind, r.relpersistence,
        r.relowner::regrole, r.relacl::text, r.reloptions::text,
        r.relreplident, r.relrowsecurity, r.relhasrules, r.relhastriggers,
        r.relchecks, r.relnatts)
    FROM relation r
    UNION ALL
    SELECT concat_ws(' | ', 'column', r.name, a.attnum, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
        a.attnotnull, a.attstorage, a.attstattarget, a.attidentity,
        a.attacl::text, pg_get_expr(d.adbin, d.adrelid),
        col_description(r.oid, a.attnum))
    FROM relation r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
        AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT concat_ws(' | ', 'constraint', r.name, c.conname, c.contype,
        pg_get_constraintdef(c.oid), c.convalidated,
        obj_description(c.oid, 'pg_constraint'))
    FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
    UNION ALL
    SELECT concat_ws(' | ', 'index', r.name, pg_get_indexdef(r.oid),
        i.indisunique, i.indisprimary, i.indisvalid, i.indisreplident)
    FROM relation r JOIN pg_index i ON i.indexrelid = r.oid
    UNION ALL
    SELECT concat_ws(' | ', 'trigger', r.name, t.tgname,
        pg_get_triggerdef(t.oid), t.tgenabled, t.tgtype, t.tgisinternal,
        obj_description(t.oid, 'pg_trigger'))
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' | ', 'view', r.name, pg_get_viewdef(r.oid))
    FROM relation r WHERE r.relkind = 'v'
    UNION ALL
    SELECT concat_ws(' | ', 'dependency',
        pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype,
        pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
    FROM pg_depend d
    JOIN member m ON (m.class, m.oid) = (d.classid, d.objid)
    WHERE d.refclassid <> 'pg_extension'::regclass
)
SELECT replace(line, E'\n', ' ') FROM line ORDER BY line COLLATE "C";
