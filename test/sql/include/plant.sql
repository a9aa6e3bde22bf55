\set ECHO none
-- Plants, as role planter and into its schema planted of this database, what
-- the extension's scripts might bind by mistake.  The view mistaken lists what
-- depends on a planted object and was not planted itself.
SET client_min_messages = warning;
CREATE SCHEMA planted AUTHORIZATION planter;
SELECT format('GRANT CREATE ON DATABASE %I TO planter', current_database()) \gexec

-- The functions that any of the scripts calls.
CREATE TABLE called AS
SELECT DISTINCT m[1]::name AS name
FROM pg_config, pg_ls_dir(setting || '/extension') file,
    regexp_matches(pg_read_file(setting || '/extension/' || file),
                   '(\w+)\s*\(', 'g') m
WHERE pg_config.name = 'SHAREDIR' AND file LIKE 'pgenvelope--%.sql';
GRANT SELECT ON called TO planter;
SET ROLE planter;
SET search_path = planted;

-- Every pair of these types for which PostgreSQL has no exact operator or
-- function, under every name that the script uses.
CREATE FUNCTION plant() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    types regtype[] := ARRAY['int2', 'int4', 'int8', 'numeric', 'float8',
        'text', 'name', 'oid', 'jsonb', 'interval', 'timestamptz'];
    called oid[] := ARRAY(
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND proname IN (SELECT name FROM public.called));
    statement text;
BEGIN
    FOR statement IN
        SELECT format('CREATE FUNCTION planted.%I(%s) RETURNS bigint '
            'LANGUAGE sql AS %L', c.name, c.arguments, 'SELECT 1::bigint')
        FROM (SELECT DISTINCT p.proname AS name,
                  CASE WHEN p.pronargs = 1 THEN l::text
                       ELSE concat(l, ', ', r) END AS arguments
              FROM pg_proc p, unnest(types) l, unnest(types) r
              WHERE p.oid = ANY (called) AND p.pronargs IN (1, 2)) c
        WHERE to_regprocedure(format('pg_catalog.%I(%s)', c.name,
                                     c.arguments)) IS NULL
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('CREATE FUNCTION planted.f(%s, %s) RETURNS %s '
            'LANGUAGE sql AS %L', l, r, l, 'SELECT $1')
        FROM unnest(types) l, unnest(types) r
        UNION ALL
        SELECT format('CREATE FUNCTION planted.truth(%s, %s) RETURNS bool '
            'LANGUAGE sql AS %L', l, r, 'SELECT true')
        FROM unnest(types) l, unnest(types) r
        UNION ALL
        SELECT format('CREATE OPERATOR planted.%s (LEFTARG = %s, '
            'RIGHTARG = %s, FUNCTION = planted.%s)', n, l, r,
            CASE WHEN n IN ('+', '-', '*', '/', '||') THEN 'f'
                 ELSE 'truth' END)
        FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=', '+', '-', '*',
                          '/', '||']) n, unnest(types) l, unnest(types) r
        WHERE to_regoperator(format('pg_catalog.%s(%s, %s)', n, l, r)) IS NULL
        UNION ALL
        SELECT format('CREATE DOMAIN planted.%I AS pg_catalog.%I', t, t)
        FROM unnest(ARRAY['int2', 'int4', 'int8', 'numeric', 'float8', 'text',
                          'name', 'oid', 'jsonb', 'interval', 'timestamptz',
                          'bool', 'bytea', 'regrole', 'regclass']) t
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
SET search_path = pg_catalog;
SET check_function_bodies = off;
SELECT planted.plant();
RESET check_function_bodies;
RESET ROLE;
RESET search_path;

CREATE VIEW planted_object AS
SELECT 'pg_operator'::regclass AS class, oid FROM pg_operator
WHERE oprowner = to_regrole('planter')
UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
WHERE proowner = to_regrole('planter')
UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
WHERE typowner = to_regrole('planter');
CREATE VIEW mistaken AS
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS dependent,
    pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS planted
FROM pg_depend d
JOIN planted_object p ON (p.class, p.oid) = (d.refclassid, d.refobjid)
WHERE (d.classid, d.objid) NOT IN (SELECT class, oid FROM planted_object);
\set ECHO all
