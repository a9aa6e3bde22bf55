--
-- destroy: the seals of a version are erased, when it has been retired for
-- long and nothing needs it, or at once with "shred"; its values are lost, its
-- number is never used again, and what may hold a copy is told.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'destroy';
SELECT pgenvelope.create_key('destroy', required_context => '{}') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'destroy' \gset
SELECT env_encrypt('one', '{}') AS one \gset
SELECT pgenvelope.rotate_key('destroy', rewrap => false);
SELECT env_encrypt('two', '{}') AS two \gset
CREATE PROCEDURE pg_temp.prove(key bigint, number integer)
LANGUAGE sql AS $$
    INSERT INTO pgenvelope.key_proof
    VALUES (key, number, clock_timestamp(), '0/1', 1, 1, NULL)
$$;
INSERT INTO pgenvelope.key_seal
SELECT key_id, version, 'spare', sealed_kek, 'former'
FROM pgenvelope.key_version WHERE key_id = :id AND version = 1;

-- What is to be destroyed is named twice
SELECT pgenvelope.destroy_key('destroy', 1, NULL);
SELECT pgenvelope.destroy_key('destroy', 1, '');
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy');
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/2', true);
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1 ', true);
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/all', true);
SELECT pgenvelope.destroy_key('destroy', NULL, 'destroy/1', true);
SELECT pgenvelope.destroy_key('destroy', 9, 'destroy/9', true);
SELECT pgenvelope.destroy_key('nowhere', 1, 'nowhere/1');
SELECT pgenvelope.destroy_key(NULL, 1, 'destroy/1');

-- Not what encrypts, decrypts, has been retired just now, or may be needed
SELECT pgenvelope.destroy_key('destroy', 2, 'destroy/2');
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1');
SET client_min_messages = error;
SELECT pgenvelope.retire_key('destroy', 1, true);
RESET client_min_messages;
UPDATE pgenvelope.key_version SET retired_at = '2999-01-01 00:00+00'
WHERE key_id = :id AND version = 1;
BEGIN;
SET LOCAL timezone = 'UTC';
\set VERBOSITY default
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1');
\set VERBOSITY sqlstate
ROLLBACK;
UPDATE pgenvelope.key_version SET retired_at = now() - interval '31 days'
WHERE key_id = :id AND version = 1;
\set VERBOSITY default
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1');
\set VERBOSITY sqlstate
CALL pg_temp.prove(:id, 1);
UPDATE pgenvelope.key_version SET retired_at = now()
WHERE key_id = :id AND version = 1;
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1');
UPDATE pgenvelope.key_version SET retired_at = now() - interval '31 days'
WHERE key_id = :id AND version = 1;

-- Rolled back, nothing has happened
BEGIN;
SELECT count(*) > 0 AS told FROM pgenvelope.destroy_key('destroy', 1, 'destroy/1');
SELECT env_verify(:'one', '{}'), env_verify(:'two', '{}');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT count(*) > 0 AS told FROM pgenvelope.destroy_key('destroy', 2, 'destroy/2', true);
ROLLBACK TO s;
COMMIT;
SELECT env_decrypt(:'two', '{}'), env_decrypt(env_encrypt('x', '{}'), '{}');
SELECT pgenvelope.restore_key('destroy', 1);
SELECT env_decrypt(:'one', '{}');
SET client_min_messages = error;
SELECT pgenvelope.retire_key('destroy', 1, true);
RESET client_min_messages;
UPDATE pgenvelope.key_version SET retired_at = now() - interval '31 days'
WHERE key_id = :id AND version = 1;

-- Not by two-phase commit: nobody would evict the key then
BEGIN;
SELECT count(*) > 0 AS told FROM pgenvelope.destroy_key('destroy', 1, 'destroy/1');
PREPARE TRANSACTION 'destroy';
SELECT count(*) FROM pg_prepared_xacts;

SET datestyle = 'ISO';
-- Destroyed; lsns, times, and fingerprints are masked
SELECT holder, regexp_replace(detail,
    '\d{4}-\d\d-\d\d .*|[0-9A-F]+/[0-9A-F]+|\m[0-9a-f]{16}\M', '...') AS detail
FROM pgenvelope.destroy_key('destroy', 1, 'destroy/1');
SELECT state, sealed_kek, canary_percent, destroyed_at > retired_at AS at,
    length(kcv) AS kcv
FROM pgenvelope.key_version WHERE key_id = :id AND version = 1;
SELECT count(*) FROM pgenvelope.key_seal WHERE key_id = :id;
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
SELECT env_verify(:'one', '{}'), env_decrypt(:'two', '{}');
\c -
\set VERBOSITY sqlstate
SET pgenvelope.default_key = 'destroy';
SELECT env_verify(:'one', '{}'), env_decrypt(:'two', '{}');
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1');
SELECT pgenvelope.destroy_key('destroy', 1, 'destroy/1', true);
SELECT pgenvelope.restore_key('destroy', 1);
SELECT pgenvelope.retire_key('destroy', 1, true);
SELECT pgenvelope.activate_key('destroy', 1);
SELECT pgenvelope.rollback_key('destroy');

-- Shredded: the active version alone, with one on trial beside it, and then
-- all that are left
SELECT pgenvelope.rotate_key('destroy', 50);
SELECT pgenvelope.destroy_key('destroy', NULL, 'destroy/all');
\set VERBOSITY default
SELECT count(*) > 0 AS told FROM pgenvelope.destroy_key('destroy', 2, 'destroy/2', true);
\set VERBOSITY sqlstate
SELECT env_verify(:'two', '{}');
SELECT env_encrypt('x', '{}');
SELECT pgenvelope.activate_key('destroy');
SELECT env_encrypt('three', '{}') AS three \gset
SELECT pgenvelope.rotate_key('destroy');
SELECT env_encrypt('four', '{}') AS four \gset
SELECT pgenvelope.rotate_key('destroy', 0);
SET client_min_messages = error;
SELECT count(*) > 0 AS told FROM pgenvelope.destroy_key('destroy', NULL, 'destroy/all', true);
RESET client_min_messages;
SELECT version, state FROM pgenvelope.keys WHERE name = 'destroy' ORDER BY 1;
SELECT target_version, state, regexp_replace(message, 'job \d+', 'job N') AS message FROM pgenvelope.rewrap_job
WHERE key_id = :id;
SELECT env_verify(:'three', '{}'), env_verify(:'four', '{}');
SELECT env_encrypt('x', '{}');
SELECT pgenvelope.destroy_key('destroy', NULL, 'destroy/all', true);

-- The key goes on with a number that is new
SELECT pgenvelope.rotate_key('destroy');
SELECT env_key_version(env_encrypt('six', '{}'));

DELETE FROM pgenvelope.rewrap_job WHERE key_id = :id;
