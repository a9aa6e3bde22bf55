--
-- catalog: what CREATE EXTENSION makes.  Every object has a comment, every
-- function the volatility, strictness, parallel safety and cost that was
-- argued for it, nobody may call the administrators' functions, and the key
-- tables are guarded, dumped and kept out of the statistics.
--
CREATE SCHEMA envelope;
GRANT USAGE ON SCHEMA envelope TO PUBLIC;
CREATE EXTENSION pgenvelope SCHEMA envelope;
\i test/sql/include/prepare.sql

SELECT extname, extrelocatable, extnamespace::regnamespace
FROM pg_extension WHERE extname = 'pgenvelope';
SELECT superuser, trusted, relocatable, schema, requires
FROM pg_available_extension_versions
WHERE name = 'pgenvelope' AND installed;

-- From 17 on, the tables' row types and all arrays are members, too.
CREATE TEMP VIEW member AS
SELECT classid, objid, objsubid FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass
    AND refobjid = (SELECT oid FROM pg_extension
                    WHERE extname = 'pgenvelope')
    AND deptype = 'e'
    AND NOT EXISTS (SELECT FROM pg_type
        WHERE classid = 'pg_type'::regclass AND oid = objid
            AND (typcategory = 'A' OR typrelid IN (SELECT oid FROM pg_class
                                                   WHERE relkind <> 'c')));

-- Objects without a comment; and columns of the tables
SELECT pg_describe_object(classid, objid, objsubid) AS uncommented
FROM member
WHERE obj_description(objid, classid::regclass::name) IS NULL
ORDER BY 1;
SELECT attrelid::regclass, attname AS uncommented
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'pgenvelope'::regnamespace AND relkind = 'r'
    AND attnum > 0 AND col_description(attrelid, attnum) IS NULL
ORDER BY 1, 2;
SELECT tgrelid::regclass AS uncommented FROM pg_trigger
WHERE tgfoid = 'pgenvelope.guard'::regproc
    AND obj_description(oid, 'pg_trigger') IS NULL;

-- All that there is
SELECT pg_describe_object(classid, objid, objsubid) AS object
FROM member
WHERE classid <> 'pg_proc'::regclass
ORDER BY 1;

-- Functions: i, s or v; parallel safe, restricted or unsafe.  Encryption is
-- never IMMUTABLE and decryption never LEAKPROOF.
SELECT p.oid::regprocedure AS function, provolatile AS volatile,
    proisstrict AS strict, proparallel AS parallel, procost AS cost,
    proleakproof AS leakproof, prosecdef AS definer,
    has_function_privilege('public', p.oid, 'EXECUTE') AS public
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM pg_extension
                      WHERE extname = 'pgenvelope')
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- The arguments that can be named and left out
SELECT p.oid::regproc AS function, pg_get_function_arguments(p.oid) AS args,
    pg_get_function_result(p.oid) AS result
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM pg_extension
                      WHERE extname = 'pgenvelope')
    AND proname !~ '^(envelope|lint)_' AND prorettype <> 'trigger'::regtype
ORDER BY pronamespace::regnamespace::text COLLATE "C" DESC,
    proname COLLATE "C", p.oid;

-- The type has an equality and a hash, and no order
SELECT typlen, typbyval, typalign, typstorage, typcategory, typispreferred,
    typanalyze, typcollation, typdelim
FROM pg_type WHERE oid = 'envelope'::regtype;
SELECT amname, opcname, opcdefault
FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
WHERE opcintype = 'envelope'::regtype;
SELECT oid::regoperator, oprcanhash, oprcanmerge, oprcom::regoperator,
    oprnegate::regoperator, oprrest, oprjoin
FROM pg_operator
WHERE 'envelope'::regtype IN (oprleft, oprright) ORDER BY oprname;
SELECT castsource::regtype, casttarget::regtype FROM pg_cast
WHERE 'envelope'::regtype IN (castsource, casttarget);

-- Tables: their guard fires always, before every kind of write
SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid)
FROM pg_trigger WHERE tgfoid = 'pgenvelope.guard'::regproc
ORDER BY tgrelid::regclass::text, tgname;
SELECT attrelid::regclass, attname, attstattarget, attstorage
FROM pg_attribute
WHERE attrelid = 'pgenvelope.key_version'::regclass
    AND attname IN ('sealed_kek', 'kcv')
ORDER BY attname;
SELECT unnest(extconfig)::regclass AS dumped, unnest(extcondition) AS condition
FROM pg_extension WHERE extname = 'pgenvelope';
SELECT conrelid::regclass, contype, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'pgenvelope'::regnamespace AND contype <> 'n'
ORDER BY conrelid::regclass::text, contype, 3;

-- Who may read: nobody the tables, and the monitoring role the views
SELECT c.oid::regclass AS relation, r AS role,
    has_table_privilege(r, c.oid, 'SELECT') AS selects,
    has_any_column_privilege(r, c.oid, 'SELECT') AS selects_any,
    has_table_privilege(r, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        AS writes
FROM pg_class c, unnest(ARRAY['public', 'pg_monitor']) r
WHERE relnamespace = 'pgenvelope'::regnamespace AND relkind IN ('r', 'v')
ORDER BY c.oid::regclass::text, r;
SELECT has_schema_privilege('public', 'pgenvelope', 'USAGE') AS usage,
    has_schema_privilege('public', 'pgenvelope', 'CREATE') AS creates;
SELECT has_function_privilege('pg_monitor', 'pgenvelope.stat()', 'EXECUTE');

-- No view shows a sealed key
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'pgenvelope' AND table_name IN ('keys', 'stat')
ORDER BY table_name, ordinal_position;

-- The schema is the one that CREATE EXTENSION names, and stays there
DROP EXTENSION pgenvelope;
SELECT 1 FROM pg_namespace WHERE nspname = 'pgenvelope';
CREATE SCHEMA "Other Place";
CREATE EXTENSION pgenvelope SCHEMA "Other Place";
SELECT pgenvelope.create_key('catalog') > 0 AS created;
SELECT "Other Place".env_decrypt("Other Place".env_encrypt('moved',
    '{"tenant": "acme", "type": "t"}', 'catalog'),
    '{"tenant": "acme", "type": "t"}');
ALTER EXTENSION pgenvelope SET SCHEMA public;
DROP EXTENSION pgenvelope;
DROP SCHEMA "Other Place";
CREATE EXTENSION pgenvelope SCHEMA envelope;
