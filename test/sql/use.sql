--
-- use: env_encrypt and env_decrypt where SQL lets functions be used: column
-- defaults, CHECK constraints, views, CTEs, prepared statements with generic
-- plans, PL/pgSQL, window functions, row security; and where it must not.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'use';
SELECT pgenvelope.create_key('use', required_context => '{}') > 0 AS created;

-- Column default: evaluated for each row
CREATE TABLE use (id integer PRIMARY KEY, value envelope
    DEFAULT env_encrypt('default', '{"column": "use.value"}'));
INSERT INTO use (id) SELECT i FROM generate_series(1, 10) i;
SELECT count(DISTINCT value::text),
    bool_and(env_decrypt(value, '{"column": "use.value"}') = 'default')
FROM use;
ALTER TABLE use ADD COLUMN token envelope
    DEFAULT env_encrypt('added', '{"column": "use.token"}');
SELECT count(DISTINCT token::text) FROM use;

-- CHECK, with and without decryption
ALTER TABLE use ADD CHECK (env_key(value) = 'use');
ALTER TABLE use ADD CONSTRAINT opens
    CHECK (env_decrypt(value, '{"column": "use.value"}') <> '');
INSERT INTO use (id, value) VALUES
    (11, env_encrypt('', '{"column": "use.value"}'));
INSERT INTO use (id, value) VALUES
    (11, env_encrypt('x', '{"column": "another"}'));
ALTER TABLE use DROP CONSTRAINT opens;

-- What must be immutable is refused
CREATE TABLE use_generated (plain text, value envelope
    GENERATED ALWAYS AS (env_encrypt(plain, '{}')) STORED);
CREATE TABLE use_generated (value envelope, plain text
    GENERATED ALWAYS AS (env_decrypt(value, '{}')) STORED);
CREATE INDEX ON use (env_decrypt(value, '{}'));
CREATE INDEX ON use (id) WHERE env_decrypt(value, '{}') = 'x';
CREATE INDEX ON use (env_verify(value, '{}'));
CREATE TABLE use_parts (value envelope)
    PARTITION BY LIST (env_decrypt(value, '{}'));
CREATE INDEX ON use (env_key_version(value));   -- says nothing secret
EXPLAIN (COSTS OFF) SELECT env_decrypt('env1.4Q', '{}');
EXPLAIN (VERBOSE, COSTS OFF) SELECT env_encrypt('x', '{}');

-- Encryption is never folded or evaluated less often than written; decryption
-- of one value in one statement may be
SELECT count(DISTINCT v::text) FROM
    (SELECT env_encrypt('x', '{}') AS v FROM generate_series(1, 5)) AS s;
WITH once AS (SELECT env_encrypt('x', '{}') AS v)
SELECT count(DISTINCT v::text) FROM once, generate_series(1, 5);

-- Prepared statements, custom and generic
DELETE FROM use WHERE id > 3;
PREPARE put (integer, text, jsonb) AS
    INSERT INTO use (id, value) VALUES ($1, env_encrypt($2, $3))
    ON CONFLICT (id) DO UPDATE SET value = excluded.value;
PREPARE get (integer, jsonb) AS
    SELECT env_decrypt(value, $2) FROM use WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE put (1, 'one', '{"id": 1}');
EXECUTE put (2, 'two', '{"id": 2}');
EXECUTE put (1, 'one again', '{"id": 1}');
EXECUTE get (1, '{"id": 1}');
EXECUTE get (2, '{"id": 2}');
EXECUTE get (2, '{"id": 1}');
EXECUTE get (2, NULL);
SET plan_cache_mode = force_custom_plan;
EXECUTE put (3, 'three', '{"id": 3}');
EXECUTE get (3, '{"id": 3}');
RESET plan_cache_mode;
-- what they know of keys does not outlive the keys
SELECT pgenvelope.rotate_key('use');
EXECUTE put (1, 'rotated', '{"id": 1}');
EXECUTE get (1, '{"id": 1}');
EXECUTE get (2, '{"id": 2}');
SELECT id, env_key_version(value) FROM use ORDER BY id;
SELECT pgenvelope.revoke_key('use', 'decrypt', current_user::regrole);
EXECUTE get (1, '{"id": 1}');
SELECT pgenvelope.grant_key('use', 'decrypt', current_user::regrole);
EXECUTE get (1, '{"id": 1}');

-- Views, CTEs, lateral joins, subqueries, aggregates, windows, CASE
CREATE VIEW use_readable AS
    SELECT id, env_decrypt(value, jsonb_build_object('id', id)) AS plain
    FROM use;
SELECT * FROM use_readable WHERE plain LIKE 't%' ORDER BY plain;
WITH plain AS MATERIALIZED (SELECT * FROM use_readable)
SELECT a.plain, b.plain FROM plain a JOIN plain b ON a.id = b.id - 1
ORDER BY a.id;
SELECT string_agg(plain, ', ' ORDER BY id), max(plain),
    count(DISTINCT length(plain))
FROM use_readable;
SELECT id, lag(plain) OVER (ORDER BY id) FROM use_readable ORDER BY id;
SELECT id, CASE WHEN id = 1 THEN env_decrypt(value, '{"id": 1}') END
FROM use ORDER BY id;
SELECT (SELECT plain FROM use_readable r WHERE r.id = u.id)
FROM use u ORDER BY id;
UPDATE use SET value = env_encrypt(upper(env_decrypt(value,
    jsonb_build_object('id', id))), jsonb_build_object('id', id));
SELECT plain FROM use_readable ORDER BY id;
-- joined on plaintexts, sorted by them
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM use_readable a JOIN use_readable b USING (plain);
RESET enable_hashjoin;
RESET enable_nestloop;
-- cursors
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT plain FROM use_readable ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
COMMIT;

-- PL/pgSQL: variables, loops, exceptions with their SQLSTATE, dynamic SQL
\set VERBOSITY terse
DO $$
DECLARE
    value envelope;
    values envelope[];
    plain text;
    row record;
BEGIN
    value := env_encrypt('variable', '{"id": 1}');
    RAISE NOTICE '%', env_decrypt(value, '{"id": 1}');
    FOR i IN 1 .. 100 LOOP
        values[i] := env_encrypt('element ' || i, jsonb_build_object('i', i));
    END LOOP;
    RAISE NOTICE '%', env_decrypt(values[100], '{"i": 100}');
    FOR row IN SELECT * FROM use_readable ORDER BY id LOOP
        RAISE NOTICE '%: %', row.id, row.plain;
    END LOOP;
    EXECUTE 'SELECT env_decrypt($1, $2)' INTO plain USING value,
        '{"id": 1}'::jsonb;
    RAISE NOTICE '%', plain;
    BEGIN
        plain := env_decrypt(value, '{"id": 2}');
    EXCEPTION WHEN SQLSTATE 'PE004' THEN
        RAISE NOTICE 'caught %: %', SQLSTATE, SQLERRM;
    END;
    BEGIN
        plain := env_decrypt(value, '{"id": null}');
    EXCEPTION WHEN SQLSTATE 'PE005' THEN
        RAISE NOTICE 'caught %: %', SQLSTATE, SQLERRM;
    END;
    RAISE NOTICE '%', env_decrypt(value, '{"id": 1}');
END
$$;
\set VERBOSITY sqlstate

-- SQL functions, inlined and not
CREATE FUNCTION use_plain(integer) RETURNS text LANGUAGE sql STABLE
AS 'SELECT env_decrypt(value, jsonb_build_object(''id'', $1)) FROM use WHERE id = $1';
SELECT use_plain(id) FROM use ORDER BY id;
CREATE FUNCTION use_new(text) RETURNS envelope LANGUAGE sql
BEGIN ATOMIC
    SELECT env_encrypt($1, '{}');
END;
SELECT env_decrypt(use_new('atomic'), '{}');
DROP FUNCTION use_plain, use_new;

-- Row security by what was decrypted
CREATE ROLE use_role;
SELECT pgenvelope.grant_key('use', 'decrypt', 'use_role');
GRANT SELECT ON use TO use_role;
ALTER TABLE use ENABLE ROW LEVEL SECURITY;
CREATE POLICY plain ON use FOR SELECT
    USING (env_decrypt(value, jsonb_build_object('id', id)) LIKE 'T%');
SET ROLE use_role;
SELECT id FROM use ORDER BY id;
RESET ROLE;
SELECT pgenvelope.revoke_key('use', 'decrypt', 'use_role');
SET ROLE use_role;
SELECT id FROM use ORDER BY id;
RESET ROLE;
ALTER TABLE use DISABLE ROW LEVEL SECURITY;

-- A function of the same name in front of ours is another function
CREATE SCHEMA use_trap;
CREATE FUNCTION use_trap.env_decrypt(envelope, jsonb) RETURNS text
LANGUAGE sql AS $$ SELECT 'trap' $$;
SET search_path = use_trap, public, envelope;
SELECT env_decrypt(value, '{"id": 1}') FROM use WHERE id = 1;
SELECT envelope.env_decrypt(value, '{"id": 1}') FROM use WHERE id = 1;
SELECT plain FROM use_readable WHERE id = 1;
RESET search_path;
DROP FUNCTION use_trap.env_decrypt;
DROP SCHEMA use_trap;

DROP VIEW use_readable;
DROP TABLE use;
DROP ROLE use_role;
