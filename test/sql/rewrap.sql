--
-- rewrap: env_rewrap moves a value to the active version of its key.  The
-- privilege rewrap is all that it takes, and no plaintext is to be had by it.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'rewrap';
SELECT pgenvelope.create_key('rewrap', required_context => '{"id": null}') > 0
    AS created;
CREATE TABLE rewrap (id integer, value envelope);
INSERT INTO rewrap VALUES (1, env_encrypt('text', '{"id": 1}')),
    (2, env_encrypt('\x00ff'::bytea, '{"id": 2}')),
    (3, env_encrypt('', '{"id": 3}'));
SET pgenvelope.padding = 64;
SET pgenvelope.store_context = on;
INSERT INTO rewrap VALUES (4, env_encrypt('padded', '{"id": 4}'));
RESET pgenvelope.padding;
RESET pgenvelope.store_context;
INSERT INTO rewrap VALUES (5, env_encrypt(repeat('large', 100000),
                                          '{"id": 5}'));
-- Nothing to do
SELECT bool_and(pg_temp.bytes(env_rewrap(value)) = pg_temp.bytes(value))
    AS same FROM rewrap;
SELECT env_rewrap(NULL) IS NULL AS is_null;

-- What is changed: the version and the wrap, bytes 2 to 3 and 10 to 49
SELECT pgenvelope.rotate_key('rewrap');
SELECT id, env_key_version(value) AS was, env_key_version(new) AS is,
    value = new AS equal,
    substr(pg_temp.bytes(value), 5, 6) = substr(pg_temp.bytes(new), 5, 6)
        AND substr(pg_temp.bytes(value), 51) = substr(pg_temp.bytes(new), 51)
        AS same_seal,
    substr(pg_temp.bytes(value), 11, 40) = substr(pg_temp.bytes(new), 11, 40)
        AS same_wrap,
    md5(env_decrypt_bytea(value, jsonb_build_object('id', id))) =
        md5(env_decrypt_bytea(new, jsonb_build_object('id', id))) AS opens
FROM rewrap, LATERAL env_rewrap(value) AS new ORDER BY id;

-- The same value gives the same bytes: it is STABLE for that
SELECT pg_temp.bytes(env_rewrap(value)) = pg_temp.bytes(env_rewrap(value))
    AS same FROM rewrap WHERE id = 1;

-- The values of a version on trial stay with it
SELECT pgenvelope.rotate_key('rewrap', canary_percent => 100);
SELECT env_key_version(value) AS was, env_key_version(env_rewrap(value)) AS is
FROM env_encrypt('trial', '{"id": 6}') AS value;
SELECT env_key_version(value) AS was, env_key_version(env_rewrap(value)) AS is
FROM rewrap WHERE id = 1;
SELECT pgenvelope.activate_key('rewrap', 3);
SELECT env_key_version(env_rewrap(value)) AS is FROM rewrap WHERE id = 1;

-- Rights: rewrap and nothing else
CREATE ROLE rewrap_nobody;
CREATE ROLE rewrap_worker;
GRANT SELECT, UPDATE ON rewrap TO rewrap_nobody, rewrap_worker;
SELECT pgenvelope.grant_key('rewrap', 'encrypt', 'rewrap_nobody'),
    pgenvelope.grant_key('rewrap', 'decrypt', 'rewrap_nobody'),
    pgenvelope.grant_key('rewrap', 'rewrap', 'rewrap_worker');
SET ROLE rewrap_nobody;
\set VERBOSITY default
SELECT env_rewrap(value) FROM rewrap WHERE id = 1;
\set VERBOSITY sqlstate
SET ROLE rewrap_worker;
UPDATE rewrap SET value = env_rewrap(value);
SELECT env_decrypt(value, '{"id": 1}') FROM rewrap WHERE id = 1;
RESET ROLE;
SELECT env_key_version(value), count(*),
    bool_and(env_verify(value, jsonb_build_object('id', id)) = 'ok') AS opens
FROM rewrap GROUP BY 1;

-- What does not unwrap, whatever the reason
SELECT pgenvelope.rotate_key('rewrap');
\set VERBOSITY default
SELECT env_rewrap(pg_temp.envelope(set_byte(b, 20, get_byte(b, 20) # 1)))
FROM rewrap, pg_temp.bytes(value) AS b WHERE id = 1;
\set VERBOSITY sqlstate
SELECT env_rewrap(pg_temp.envelope(set_byte(b, 2, 77)))
FROM rewrap, pg_temp.bytes(value) AS b WHERE id = 1;
SELECT env_rewrap(pg_temp.envelope(set_byte(b, 4, get_byte(b, 4) # 1)))
FROM rewrap, pg_temp.bytes(value) AS b WHERE id = 1;
-- ... and what a rewrap does not look at: the payload
SELECT env_verify(env_rewrap(pg_temp.envelope(
    set_byte(b, 63, get_byte(b, 63) # 1))), '{"id": 1}')
FROM rewrap, pg_temp.bytes(value) AS b WHERE id = 1;

-- Values of retired versions are refused
SELECT pgenvelope.retire_key('rewrap', 3, force => true);
\set VERBOSITY default
SELECT env_rewrap(value) FROM rewrap WHERE id = 1;
\set VERBOSITY sqlstate
SELECT pgenvelope.restore_key('rewrap', 3);
SELECT env_key_version(env_rewrap(value)) FROM rewrap WHERE id = 1;

-- In parallel workers
INSERT INTO rewrap SELECT g, env_encrypt('x', jsonb_build_object('id', g))
FROM generate_series(100, 4000) g;
SELECT pgenvelope.rotate_key('rewrap');
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM rewrap
WHERE env_key_version(env_rewrap(value)) = 5;
SELECT count(*) FROM rewrap WHERE env_key_version(env_rewrap(value)) = 5;

SELECT pgenvelope.revoke_key('rewrap', p, r::regrole) FROM (VALUES
    ('encrypt', 'rewrap_nobody'), ('decrypt', 'rewrap_nobody'),
    ('rewrap', 'rewrap_worker')) AS g(p, r);
DROP TABLE rewrap;
DROP ROLE rewrap_nobody, rewrap_worker;
