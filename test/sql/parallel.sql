--
-- parallel: workers encrypt and decrypt as their leader would, with keys,
-- settings and rights of their own finding, and never with random bytes that
-- another process has.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'parallel';
SELECT pgenvelope.create_key('parallel', required_context => '{}') > 0 AS created;
CREATE TABLE parallel (id integer, value envelope);
INSERT INTO parallel SELECT i, env_encrypt('value ' || i,
    jsonb_build_object('id', i)) FROM generate_series(1, 5000) i;
SELECT pgenvelope.rotate_key('parallel');
INSERT INTO parallel SELECT i, env_encrypt('value ' || i,
    jsonb_build_object('id', i)) FROM generate_series(5001, 10000) i;
ANALYZE parallel;

SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 2;

-- The plan, and that workers were there
EXPLAIN (COSTS OFF) SELECT count(*) FROM parallel
WHERE env_decrypt(value, jsonb_build_object('id', id)) = 'value ' || id;
CREATE FUNCTION pg_temp.launched(query text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    line text;
    workers boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) '
        || query
    LOOP
        workers := workers OR line ~ 'Workers Launched: [1-9]';
    END LOOP;
    RETURN workers;
END
$$;
SELECT pg_temp.launched($$SELECT count(*) FROM parallel
    WHERE env_decrypt(value, jsonb_build_object('id', id)) = 'value ' || id$$);

-- Without the leader, every value is a worker's
SET parallel_leader_participation = off;
SELECT count(*) FROM parallel
WHERE env_decrypt(value, jsonb_build_object('id', id)) = 'value ' || id;
SELECT env_verify(value, jsonb_build_object('id', id)), env_key(value),
    env_key_version(value), count(*)
FROM parallel GROUP BY 1, 2, 3 ORDER BY 3;
SELECT env_verify(value, jsonb_build_object('id', id + 1)), count(*)
FROM parallel GROUP BY 1;

-- Errors come through with their SQLSTATE
SELECT count(env_decrypt(value, '{"id": 1}')) FROM parallel;
SELECT count(env_decrypt(value, NULL)) FROM parallel;
SELECT count(env_decrypt(value, jsonb_build_object('id', id), 'another'))
FROM parallel;

-- Encryption in workers: all values differ in nonce and wrap
EXPLAIN (COSTS OFF) CREATE TABLE sealed AS
    SELECT id, env_encrypt('value ' || id, '{}') AS value FROM parallel;
CREATE TABLE sealed AS
    SELECT id, env_encrypt('value ' || id, '{}') AS value FROM parallel;
SELECT count(DISTINCT env_inspect(value)->>'nonce') AS nonces,
    count(DISTINCT substr(envelope_send(value), 11, 40)) AS wraps,
    count(*) FILTER (WHERE env_decrypt(value, '{}') = 'value ' || id) AS open
FROM sealed;

-- Settings of the session reach the workers
SET pgenvelope.padding = 32;
CREATE TABLE padded AS
    SELECT id, env_encrypt('value ' || id, '{}') AS value FROM parallel;
RESET pgenvelope.padding;
SELECT env_inspect(value)->'ciphertext_length' AS length, count(*)
FROM padded GROUP BY 1;

-- Rights are those of the current user, also by SET ROLE and membership
CREATE ROLE parallel_group;
CREATE ROLE parallel_member IN ROLE parallel_group;
GRANT SELECT ON parallel TO PUBLIC;
SET ROLE parallel_member;
SELECT count(env_decrypt(value, jsonb_build_object('id', id))) FROM parallel;
RESET ROLE;
SELECT pgenvelope.grant_key('parallel', 'decrypt', 'parallel_group');
SET ROLE parallel_member;
SELECT count(env_decrypt(value, jsonb_build_object('id', id))) FROM parallel;
RESET ROLE;

-- Keys of an uncommitted transaction, and grants taken away in it
BEGIN;
SELECT pgenvelope.rotate_key('parallel');
INSERT INTO parallel VALUES (10001, env_encrypt('value 10001', '{"id": 10001}'));
SELECT env_key_version(value), count(*) FROM parallel
WHERE env_decrypt(value, jsonb_build_object('id', id)) = 'value ' || id
GROUP BY 1 ORDER BY 1;
SELECT pgenvelope.revoke_key('parallel', 'decrypt', current_user::regrole);
SAVEPOINT s;
SELECT count(env_decrypt(value, jsonb_build_object('id', id))) FROM parallel;
ROLLBACK;
SELECT count(env_decrypt(value, jsonb_build_object('id', id))) FROM parallel;

-- Hashing and joining
SELECT count(*) FROM parallel a JOIN parallel b ON a.value = b.value;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET parallel_leader_participation;

-- Every plan that can be, in one worker
SELECT set_config(name, 'on', false) FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT env_decrypt(env_encrypt('forced', '{}'), '{}');
SELECT env_decrypt(value, '{"id": 7}') FROM parallel WHERE id = 7;
SELECT env_decrypt(env_rebind(value, '{"id": 7}', '{"id": 8}'), '{"id": 8}'),
    env_decrypt(env_reencrypt(value, '{"id": 7}'), '{"id": 7}')
FROM parallel WHERE id = 7;
SELECT env_from_jwe(env_to_jwe(value, '{"id": 7}')) = value
FROM parallel WHERE id = 7;
SELECT env_decrypt(value, '{"id": 8}') FROM parallel WHERE id = 7;
SELECT pgenvelope.rotate_key('parallel');
SELECT env_key_version(env_encrypt('forced', '{}'));

DROP TABLE parallel, sealed, padded;
DROP ROLE parallel_member, parallel_group;
