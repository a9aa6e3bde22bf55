--
-- limits: how many values a role may open by a grant, in a transaction and in
-- a minute.  Whatever the role does, no more than that are opened; what only
-- reports refuses nothing.  (Minutes that pass, other sessions and alerts are
-- in test/t/036_limits.pl.)
--
\i test/sql/include/prepare.sql
CREATE ROLE limits_a;
CREATE ROLE limits_b;
CREATE ROLE limits_group;
CREATE ROLE limits_admin;
CREATE ROLE limits_nobody;
GRANT limits_group TO limits_b;
GRANT EXECUTE ON FUNCTION pgenvelope.limit_grant, pgenvelope.unlock_grant
    TO limits_admin, limits_nobody;
SELECT pgenvelope.create_key('limits', required_context => '{}') > 0 AS created;
CREATE TABLE limits AS
    SELECT i AS id, env_encrypt('plain ' || i, '{}', 'limits') AS value
    FROM generate_series(1, 1000) i;
GRANT SELECT ON limits TO PUBLIC;
SELECT pgenvelope.grant_key('limits', 'decrypt', 'limits_a');

-- How many of n values a transaction opens that catches each error
CREATE FUNCTION pg_temp.opened(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    one envelope;
    opened int := 0;
    error text := 'none';
BEGIN
    FOR one IN SELECT value FROM limits ORDER BY id LIMIT n LOOP
        BEGIN
            PERFORM env_decrypt(one, '{}');
            opened := opened + 1;
        EXCEPTION WHEN OTHERS THEN
            error := SQLSTATE;
        END;
    END LOOP;
    RETURN opened || ' ' || error;
END
$$;

-- Setting one
SELECT pgenvelope.limit_grant(NULL, 'limits_a');
SELECT pgenvelope.limit_grant('limits', NULL);
SELECT pgenvelope.limit_grant('absent', 'limits_a', per_minute => 1);
SELECT pgenvelope.limit_grant('limits', 'limits_nobody', per_minute => 1);
SELECT pgenvelope.limit_grant('limits', 'limits_a', '{"x": "y"}', per_minute => 1);
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 0);
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 100000001);
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_transaction => -1);
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 1, action => 'warn');
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 1, action => NULL);
SET ROLE limits_nobody;
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 1);
RESET ROLE;
SELECT pgenvelope.grant_key('limits', 'admin', 'limits_admin');
SET ROLE limits_admin;
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_transaction => 100);
RESET ROLE;
BEGIN READ ONLY;
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 1);
ROLLBACK;
SELECT privilege, grantee, per_minute, per_transaction, limit_action
FROM pgenvelope.key_grant JOIN pgenvelope.key USING (key_id)
WHERE name = 'limits' AND limit_action IS NOT NULL;

-- Nobody else changes it
SET ROLE limits_a;
SELECT pgenvelope.limit_grant('limits', 'limits_a');
UPDATE pgenvelope.key_grant SET per_transaction = NULL, limit_action = NULL;
RESET ROLE;

-- A transaction's worth, and no more: in one statement, over several, by
-- savepoints that are rolled back, by a cursor and by a prepared statement
SET ROLE limits_a;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 100;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 101;
SELECT pg_temp.opened(300);
BEGIN;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 60;
SAVEPOINT s;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 40;
ROLLBACK TO s;
SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1;
ROLLBACK TO s;
SELECT env_decrypt_bytea(value, '{}') FROM limits WHERE id = 1;
ROLLBACK TO s;
SELECT env_verify(value, '{}') FROM limits WHERE id = 1;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT env_decrypt(value, '{}') FROM limits ORDER BY id;
MOVE 100 FROM c;
FETCH c;
COMMIT;
PREPARE one(int) AS SELECT env_decrypt(value, '{}') FROM limits WHERE id = $1;
BEGIN;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 99;
EXECUTE one(1);
EXECUTE one(1);
COMMIT;
EXECUTE one(2);

-- Looking at what would open counts, too, and so does a value that does not
BEGIN;
SELECT env_verify(value, '{}') AS verify, count(*) FROM limits WHERE id <= 100
GROUP BY 1;
SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1;
ROLLBACK;
BEGIN;
SELECT env_verify(value, '{"x": "y"}') AS verify, count(*) FROM limits
WHERE id <= 100 GROUP BY 1;
SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1;
ROLLBACK;
RESET ROLE;

-- Parallel workers open of the same
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE limits SET (parallel_workers = 2);
SET ROLE limits_a;
EXPLAIN (COSTS off)
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 100;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 101;
BEGIN;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 60;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 41;
ROLLBACK;
BEGIN;
SELECT count(env_decrypt(value, '{}')) BETWEEN 1 AND 80 AS ok FROM limits
WHERE id <= 60;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 20;
ROLLBACK;
RESET ROLE;
RESET max_parallel_workers_per_gather;

-- A minute's worth, over transactions, committed or not
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 250);
SET ROLE limits_a;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 200;
BEGIN;
SELECT count(env_decrypt(value, '{}')) FROM limits WHERE id <= 40;
ROLLBACK;
SELECT pg_temp.opened(30);
SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1;
\set VERBOSITY default
SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1;
\set VERBOSITY sqlstate
RESET ROLE;

-- The larger budget counts what was opened before; no budget at all
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 251);
SET ROLE limits_a;
SELECT pg_temp.opened(3);
RESET ROLE;
SELECT pgenvelope.limit_grant('limits', 'limits_a');
SET ROLE limits_a;
SELECT pg_temp.opened(1000);
RESET ROLE;
SELECT per_minute, per_transaction, limit_action FROM pgenvelope.key_grant
WHERE grantee = 'limits_a'::regrole AND privilege = 'decrypt';

-- One that only reports
SELECT pgenvelope.limit_grant('limits', 'limits_a', per_minute => 5, per_transaction => 2,
                 action => 'report');
SET ROLE limits_a;
SELECT pg_temp.opened(500);
RESET ROLE;

-- Of several grants, one without a budget serves; else one with budget left
SELECT pgenvelope.grant_key('limits', 'decrypt', 'limits_b');
SELECT pgenvelope.grant_key('limits', 'decrypt', 'limits_group');
SELECT pgenvelope.limit_grant('limits', 'limits_b', per_transaction => 10);
SET ROLE limits_b;
SELECT pg_temp.opened(50);
RESET ROLE;
SELECT pgenvelope.limit_grant('limits', 'limits_group', per_transaction => 7);
SET ROLE limits_b;
SELECT pg_temp.opened(50);
RESET ROLE;
SELECT pgenvelope.limit_grant('limits', 'limits_group', per_transaction => 7,
                 action => 'report');
SET ROLE limits_b;
SELECT pg_temp.opened(50);
RESET ROLE;
SELECT pgenvelope.revoke_key('limits', 'decrypt', 'limits_group');
SET ROLE limits_b;
SELECT pg_temp.opened(50);

-- Also in a function of its own
RESET ROLE;
CREATE FUNCTION pg_temp.open_one() RETURNS text LANGUAGE sql SECURITY DEFINER
AS $$ SELECT env_decrypt(value, '{}') FROM limits WHERE id = 1 $$;
ALTER FUNCTION pg_temp.open_one() OWNER TO limits_b;
SELECT count(pg_temp.open_one()) FROM generate_series(1, 10);
SELECT count(pg_temp.open_one()) FROM generate_series(1, 11);

-- Encrypting and moving to another version cost nothing
SELECT pgenvelope.grant_key('limits', 'encrypt', 'limits_b');
SET ROLE limits_b;
SELECT count(env_encrypt('x', '{}', 'limits')) FROM generate_series(1, 11);
RESET ROLE;
SELECT pgenvelope.grant_key('limits', 'rewrap', 'limits_b');
SET ROLE limits_b;
SELECT count(env_rewrap(value)) FROM limits;

-- A limit in a grant of something else is none
RESET ROLE;
SELECT pgenvelope.limit_grant('limits', 'limits_admin', per_minute => 1);
UPDATE pgenvelope.key_grant SET per_minute = 1 WHERE privilege = 'admin';

DROP TABLE limits;
DROP OWNED BY limits_a, limits_b, limits_group, limits_admin, limits_nobody;
DROP ROLE limits_a, limits_b, limits_group, limits_admin, limits_nobody;
