-- pgenvelope.take_census counts what is stored, wherever it is and whatever it is.
\i test/sql/include/prepare.sql

SET search_path = census, public, envelope;
CREATE SCHEMA census;
SELECT pgenvelope.create_key('census', required_context => '{}') > 0 AS created;
CREATE TABLE t (id int, a envelope, b envelope);
CREATE VIEW counted AS
SELECT relation, "column", regexp_replace(key, '^f{12}$', 'foreign') AS key,
       version, count
FROM pgenvelope.take_census() WHERE relation::text = 't'
ORDER BY "column", key, version;

-- Nothing, nulls, and values of two versions.
SELECT * FROM counted;
INSERT INTO t VALUES (0, NULL, NULL);
INSERT INTO t SELECT n, env_encrypt('x', '{}', 'census')
FROM generate_series(1, 300) n;
SELECT pgenvelope.rotate_key('census', rewrap => false);
INSERT INTO t SELECT n, env_encrypt('x', '{}', 'census'),
    env_encrypt('y', '{}', 'census')
FROM generate_series(301, 310) n;
SELECT * FROM counted;

-- Out of line, compressed, and short.
ALTER TABLE t ALTER b SET STORAGE EXTENDED;
INSERT INTO t SELECT 400,
    env_encrypt(string_agg(md5(n::text), ''), '{}', 'census'),
    env_encrypt('', '{}', 'census')
FROM generate_series(1, 1000) n;
SELECT pg_column_size(a) > 8000 AS large FROM t WHERE id = 400;
SELECT * FROM counted;

-- Of versions and keys that are not known here.
SELECT pg_temp.bytes(env_encrypt('x', '{}', 'census')) AS bytes \gset
INSERT INTO t VALUES (500,
    pg_temp.envelope(overlay(:'bytes'::bytea PLACING '\x0309' FROM 3)),
    pg_temp.envelope(overlay(:'bytes'::bytea PLACING '\xffffffffffff' FROM 5)));
SELECT * FROM counted;

-- Fast defaults are values, of rows that do not have them yet.
SELECT env_encrypt('z', '{}', 'census') AS value \gset
ALTER TABLE t ADD c envelope DEFAULT :'value';
SELECT * FROM counted WHERE "column" = 'c';

-- Own changes, and rows that are dead.
BEGIN;
DELETE FROM t WHERE id <= 300;
SELECT * FROM counted WHERE "column" = 'a';
ROLLBACK;
SELECT * FROM counted WHERE "column" = 'a';

-- Nobody may call it until he is told so.
CREATE ROLE regress_census;
SET ROLE regress_census;
SELECT count(*) FROM pgenvelope.take_census();
SELECT count(*) FROM pgenvelope.census;
RESET ROLE;
GRANT pg_monitor TO regress_census;
SET ROLE regress_census;
SELECT count(*) >= 0 AS seen FROM pgenvelope.census;
SELECT count(*) >= 0 AS seen FROM pgenvelope.rewrap_progress;
SELECT count(*) >= 0 AS seen FROM pgenvelope.rewrap_failures;
RESET ROLE;
DROP ROLE regress_census;
SET client_min_messages = error;
DROP SCHEMA census CASCADE;
