--
-- planted: CREATE EXTENSION into a schema where somebody has planted operators,
-- functions and types that would fit better than PostgreSQL's own: the views,
-- defaults and constraints bind none of them.
--
SET client_min_messages = warning;
CREATE DATABASE planted;
\set home :DBNAME
\c planted
CREATE ROLE planter;
CREATE SCHEMA planted AUTHORIZATION planter;
GRANT CREATE ON DATABASE planted TO planter;
SET ROLE planter;
SET search_path = planted;
\set ECHO none

-- Every pair of these types for which PostgreSQL has no exact operator or
-- function, under every name that the script uses.
CREATE FUNCTION plant() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    types regtype[] := ARRAY['int2', 'int4', 'int8', 'numeric', 'float8',
        'text', 'name', 'oid', 'jsonb', 'interval', 'timestamptz'];
    called oid[] := ARRAY(
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND proname = ANY (ARRAY(
            SELECT m[1] FROM regexp_matches(
                pg_read_file(current_setting('planted.script')),
                '(\w+)\s*\(', 'g') m)));
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
RESET ROLE;
SELECT set_config('planted.script', setting || '/extension/pgenvelope--'
    || default_version || '.sql', false) AS script
FROM pg_config, pg_available_extensions
WHERE pg_config.name = 'SHAREDIR' AND pg_available_extensions.name = 'pgenvelope' \gset
GRANT pg_read_server_files TO planter;
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO planter;
SET ROLE planter;
SET search_path = pg_catalog;
SET check_function_bodies = off;
SELECT planted.plant();
RESET ROLE;
RESET search_path;
\set ECHO all

SELECT (SELECT count(*) > 1000 FROM pg_operator
        WHERE oprowner = to_regrole('planter')) AS operators,
    (SELECT count(*) > 1000 FROM pg_proc
     WHERE proowner = to_regrole('planter')) AS functions,
    (SELECT count(*) > 10 FROM pg_type
     WHERE typowner = to_regrole('planter')) AS types;
CREATE EXTENSION pgenvelope SCHEMA planted;

-- What depends on a planted object and was not planted itself
CREATE VIEW planted_object AS
SELECT 'pg_operator'::regclass AS class, oid FROM pg_operator
WHERE oprowner = to_regrole('planter')
UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
WHERE proowner = to_regrole('planter')
UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
WHERE typowner = to_regrole('planter');
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS dependent,
    pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS planted
FROM pg_depend d
JOIN planted_object p ON (p.class, p.oid) = (d.refclassid, d.refobjid)
WHERE (d.classid, d.objid) NOT IN (SELECT class, oid FROM planted_object)
ORDER BY 1, 2;

-- The check can fail
CREATE VIEW planted.mistaken AS SELECT 1::numeric OPERATOR(planted.*) 1::bigint;
SELECT count(*) > 0 AS found
FROM pg_depend d
JOIN planted_object p ON (p.class, p.oid) = (d.refclassid, d.refobjid)
WHERE (d.classid, d.objid) NOT IN (SELECT class, oid FROM planted_object);
\c :home
DROP DATABASE planted;
DROP ROLE planter;
