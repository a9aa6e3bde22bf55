--
-- guard: the key tables are the access control.  Nobody but their owner and
-- superusers writes to them directly, whatever PostgreSQL's own privileges
-- say, and what is sealed in them is not in a view or in the statistics.
--
\i test/sql/include/prepare.sql
CREATE ROLE guard_writer IN ROLE pg_write_all_data, pg_read_all_data;
CREATE ROLE guard_granted;
GRANT ALL ON ALL TABLES IN SCHEMA pgenvelope TO guard_granted;
CREATE ROLE guard_nobody;
SELECT pgenvelope.create_key('guard', required_context => '{}') > 0 AS created;

-- Without privileges there is nothing to see
SET ROLE guard_nobody;
SELECT * FROM pgenvelope.key;
SELECT * FROM pgenvelope.key_version;
SELECT * FROM pgenvelope.key_grant;
SELECT * FROM pgenvelope.keys;
SELECT * FROM pgenvelope.stat;
RESET ROLE;

-- pg_write_all_data, and every table privilege there is: messages show who
-- refuses
\set VERBOSITY terse
SET ROLE guard_writer;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'guard' \gset
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', 'guard_writer'::regrole);
UPDATE pgenvelope.key_grant SET grantee = 'guard_writer'::regrole;
DELETE FROM pgenvelope.key_grant;
DELETE FROM pgenvelope.key_grant WHERE false;
INSERT INTO pgenvelope.key (key_id, name, required_context)
VALUES (1, 'forged', '{}');
UPDATE pgenvelope.key SET required_context = '{}';
DELETE FROM pgenvelope.key;
UPDATE pgenvelope.key_version SET state = 'active';
INSERT INTO pgenvelope.key_version SELECT * FROM pgenvelope.key_version;
DELETE FROM pgenvelope.key_version;
COPY pgenvelope.key_grant (key_id, privilege, grantee) FROM stdin;
1	decrypt	guard_writer
\.
MERGE INTO pgenvelope.key_grant g USING pgenvelope.key k
    ON g.key_id = k.key_id
    WHEN MATCHED THEN UPDATE SET grantee = 'guard_writer'::regrole;
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', 'guard_writer'::regrole) ON CONFLICT DO NOTHING;
WITH granted AS (INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
                 VALUES (:id, 'decrypt', 'guard_writer'::regrole)
                 RETURNING *)
SELECT * FROM granted;
TRUNCATE pgenvelope.key_grant;
ALTER TABLE pgenvelope.key_grant DISABLE TRIGGER guard;
DROP TRIGGER guard ON pgenvelope.key_grant;
CREATE RULE aside AS ON INSERT TO pgenvelope.key_grant DO NOTHING;
DROP TABLE pgenvelope.key_grant;
SET session_replication_role = replica;
RESET ROLE;
SET ROLE guard_granted;
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', 'guard_granted'::regrole);
TRUNCATE pgenvelope.key_grant;
TRUNCATE pgenvelope.key CASCADE;
CREATE TRIGGER mine BEFORE INSERT ON pgenvelope.key_grant
    EXECUTE FUNCTION suppress_redundant_updates_trigger();
RESET ROLE;
DROP TRIGGER mine ON pgenvelope.key_grant;

-- Nor with session_replication_role, where a superuser lets them set it
SET session_replication_role = replica;
SET ROLE guard_granted;
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', 'guard_granted'::regrole);
TRUNCATE pgenvelope.key_grant;
RESET ROLE;
RESET session_replication_role;

-- Nor through a view or a rule of a superuser's, which would lend its rights
-- to anything else
CREATE VIEW guard_view AS SELECT * FROM pgenvelope.key_grant;
CREATE TABLE guard_table (key_id bigint, grantee regrole);
CREATE RULE guard_rule AS ON INSERT TO guard_table DO INSTEAD
    INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
    VALUES (NEW.key_id, 'decrypt', NEW.grantee);
GRANT ALL ON guard_view, guard_table TO guard_nobody;
SET ROLE guard_nobody;
INSERT INTO guard_view (key_id, privilege, grantee)
VALUES (:id, 'decrypt', 'guard_nobody'::regrole);
DELETE FROM guard_view;
INSERT INTO guard_table VALUES (:id, 'guard_nobody');
RESET ROLE;
DROP VIEW guard_view;
DROP TABLE guard_table;

-- The guard is no function to call, or to put elsewhere
SET ROLE guard_nobody;
SELECT pgenvelope.guard();
CREATE TEMP TABLE guard_temp (a integer);
CREATE TRIGGER guard BEFORE INSERT ON guard_temp
    EXECUTE FUNCTION pgenvelope.guard();
RESET ROLE;
CREATE TABLE guard_table (a integer);
CREATE TRIGGER guard BEFORE INSERT ON guard_table FOR EACH ROW
    EXECUTE FUNCTION pgenvelope.guard();
INSERT INTO guard_table VALUES (1);
DROP TABLE guard_table;
\set VERBOSITY sqlstate

-- None of it did anything
SELECT grantee::regrole = current_user::regrole AS mine, count(*)
FROM pgenvelope.key_grant WHERE key_id = :id GROUP BY 1;
SELECT version, state FROM pgenvelope.keys WHERE name = 'guard';

-- A superuser writes, and it takes effect
SELECT env_encrypt('x', '{}', 'guard') AS value \gset
DELETE FROM pgenvelope.key_grant WHERE key_id = :id AND privilege = 'decrypt';
SELECT env_decrypt(:'value', '{}');
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', current_user::regrole);
SELECT env_decrypt(:'value', '{}');

-- So does the owner of the tables, if they are given to another role
CREATE ROLE guard_owner;
GRANT USAGE ON SCHEMA pgenvelope TO guard_owner;
BEGIN;
ALTER TABLE pgenvelope.key_grant OWNER TO guard_owner;
SET LOCAL ROLE guard_owner;
DELETE FROM pgenvelope.key_grant WHERE key_id = :id AND privilege = 'rewrap';
ROLLBACK;

-- Statistics hold no sealed key, and no check value
ANALYZE pgenvelope.key, pgenvelope.key_version, pgenvelope.key_grant;
SELECT attname FROM pg_stats
WHERE schemaname = 'pgenvelope' AND tablename = 'key_version'
    AND attname IN ('sealed_kek', 'kcv', 'state')
ORDER BY 1;

-- Without CREATE on the schema nobody puts anything there
SET ROLE guard_writer;
CREATE TABLE pgenvelope.mine (a integer);
CREATE FUNCTION pgenvelope.mine() RETURNS integer LANGUAGE sql
    AS 'SELECT 1';
RESET ROLE;

-- What the caller has in its search path is not what its owner writes with
CREATE SCHEMA guard_trap;
CREATE TABLE guard_trap.key_grant (LIKE pgenvelope.key_grant);
CREATE FUNCTION guard_trap.max(integer) RETURNS integer LANGUAGE sql
    AS 'SELECT 41';
CREATE FUNCTION guard_trap.equal(bigint, bigint) RETURNS boolean LANGUAGE sql
    AS 'SELECT true';
CREATE OPERATOR guard_trap.= (LEFTARG = bigint, RIGHTARG = bigint,
    FUNCTION = guard_trap.equal);
SET search_path = guard_trap, public, envelope, pg_catalog;
SELECT pgenvelope.create_key('guard 2', required_context => '{}') > 0 AS created;
SELECT pgenvelope.rotate_key('guard 2');
SELECT pgenvelope.revoke_key('guard 2', 'audit', current_user::regrole);
SHOW search_path;
RESET search_path;
SELECT name, count(*) FROM pgenvelope.key JOIN pgenvelope.key_grant
    USING (key_id)
WHERE name LIKE 'guard%' GROUP BY name ORDER BY name;
SELECT name, version, state FROM pgenvelope.keys
WHERE name LIKE 'guard%' ORDER BY name, version;
\set VERBOSITY terse
DROP SCHEMA guard_trap CASCADE;
\set VERBOSITY sqlstate

DROP OWNED BY guard_writer, guard_granted, guard_nobody, guard_owner;
DROP ROLE guard_writer, guard_granted, guard_nobody, guard_owner;

-- What other rows refer to stays, also before its owner; there is no foreign
-- key, for the sake of parallel restores
SELECT pgenvelope.create_key('referred', required_context => '{}') > 0 AS created;
SELECT key_id AS referred FROM pgenvelope.key WHERE name = 'referred' \gset
\set VERBOSITY sqlstate
DELETE FROM pgenvelope.key WHERE key_id = :referred;
UPDATE pgenvelope.key SET key_id = 1 WHERE key_id = :referred;
INSERT INTO pgenvelope.key_seal (key_id, version, provider, sealed_kek)
VALUES (:referred, 1, 'main', 'x');
DELETE FROM pgenvelope.key_version WHERE key_id = :referred;
UPDATE pgenvelope.key_version SET version = 2 WHERE key_id = :referred;
DELETE FROM pgenvelope.key_seal WHERE key_id = :referred;
DELETE FROM pgenvelope.key_version WHERE key_id = :referred;
DELETE FROM pgenvelope.key WHERE key_id = :referred;
DELETE FROM pgenvelope.key_grant WHERE key_id = :referred;
SELECT finding, count FROM pgenvelope.orphans WHERE key_id = :referred;
DELETE FROM pgenvelope.key WHERE key_id = :referred;
SELECT finding, count FROM pgenvelope.orphans WHERE key_id = :referred;
\set VERBOSITY default
SELECT conrelid::regclass, confrelid::regclass
FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'pgenvelope'::regnamespace
  AND conrelid = ANY (SELECT unnest(extconfig) FROM pg_extension
                      WHERE extname = 'pgenvelope')
ORDER BY 1, 2;
