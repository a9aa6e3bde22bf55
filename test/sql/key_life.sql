--
-- key_life: every way that a version of a key goes from state to state, and
-- every way that is refused, by SQLSTATE.  Retiring and destroying have tests
-- of their own.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'life';
SELECT pgenvelope.create_key('life', required_context => '{}') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'life' \gset

-- A version's state, with its times as far as they go, and the live job.
CREATE VIEW pg_temp.versions AS
SELECT version, state, canary_percent AS canary,
    activated_at IS NOT NULL AS activated,
    deactivated_at IS NOT NULL AS deactivated,
    retired_at IS NOT NULL AS retired, destroyed_at IS NOT NULL AS destroyed
FROM pgenvelope.keys WHERE name = 'life' ORDER BY version;
CREATE VIEW pg_temp.jobs AS
SELECT kind, target_version AS target, state FROM pgenvelope.rewrap_job
JOIN pgenvelope.key USING (key_id) WHERE name = 'life' ORDER BY job_id;

SELECT * FROM pg_temp.versions;
SELECT env_encrypt('one', '{}') AS one \gset

-- Rotated: the old version decrypts, the new one encrypts, a job is filed
SELECT pgenvelope.rotate_key('life');
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs;
SELECT env_decrypt(:'one', '{}'), env_key_version(env_encrypt('x', '{}'));

-- Without a job; one with another target ends
SELECT pgenvelope.rotate_key('life', rewrap => false);
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs;

-- There is nothing on trial
SELECT pgenvelope.activate_key('life');
SELECT pgenvelope.activate_key('life', canary_percent => 10);
SELECT pgenvelope.activate_key('life', 3);
SELECT pgenvelope.activate_key('life', 1, 10);
SELECT pgenvelope.activate_key('life', 9);
SELECT pgenvelope.activate_key('life', 0);
SELECT pgenvelope.activate_key('life', -1);
SELECT pgenvelope.rotate_key('life', 101);
SELECT pgenvelope.rotate_key('life', -1);
SELECT pgenvelope.activate_key('life', canary_percent => 101);
SELECT pgenvelope.activate_key(NULL);
SELECT pgenvelope.rollback_key(NULL);
SELECT pgenvelope.rollback_key('nowhere');
SELECT pgenvelope.activate_key('nowhere');

-- Rolled back, twice, until there is nothing to roll back to
SELECT pgenvelope.rollback_key('life');
SELECT * FROM pg_temp.versions;
SELECT env_decrypt(:'one', '{}'), env_key_version(env_encrypt('x', '{}'));
SELECT pgenvelope.rollback_key('life');
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs;
\set VERBOSITY default
SELECT pgenvelope.rollback_key('life');
\set VERBOSITY sqlstate

-- Any deactivated version can be activated
SELECT pgenvelope.activate_key('life', 3, rewrap => false);
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs WHERE state NOT IN ('complete', 'cancelled');

-- On trial: no second one, no rotation, no other activation
SELECT pgenvelope.rotate_key('life', 0);
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs WHERE state NOT IN ('complete', 'cancelled');
SELECT env_key_version(env_encrypt('x', '{}'));
\set VERBOSITY default
SELECT pgenvelope.rotate_key('life');
\set VERBOSITY sqlstate
SELECT pgenvelope.rotate_key('life', 5);
SELECT pgenvelope.activate_key('life', 1);
SELECT pgenvelope.activate_key('life', 3);
SELECT pgenvelope.activate_key('life', 2, 50);
SELECT pgenvelope.activate_key('life', 4, 100);
SELECT * FROM pg_temp.versions;
SELECT env_encrypt('four', '{}') AS four \gset
SELECT env_key_version(:'four');

-- The trial ends: its values are read, and moved back
SELECT pgenvelope.rollback_key('life');
SELECT * FROM pg_temp.versions;
SELECT * FROM pg_temp.jobs WHERE state NOT IN ('complete', 'cancelled');
SELECT env_key_version(env_encrypt('x', '{}')), env_decrypt(:'four', '{}');

-- A version that was only on trial is not rolled back to
SELECT pgenvelope.rotate_key('life');
SELECT pgenvelope.rollback_key('life');
SELECT * FROM pg_temp.versions;

-- On trial, then active
SELECT pgenvelope.rotate_key('life', 10);
SELECT pgenvelope.activate_key('life', canary_percent => 20);
SELECT * FROM pg_temp.versions WHERE version > 4;
SELECT pgenvelope.activate_key('life');
SELECT * FROM pg_temp.versions WHERE version IN (3, 6);
SELECT * FROM pg_temp.jobs WHERE state NOT IN ('complete', 'cancelled');

-- Not back to a version that is retired or destroyed
UPDATE pgenvelope.key_version SET state = 'retired', retired_at = now()
WHERE key_id = :id AND version = 5;
SELECT pgenvelope.rollback_key('life');
SELECT pgenvelope.activate_key('life', 5);
SELECT pgenvelope.restore_key('life', 6);
SELECT pgenvelope.restore_key('life', 4);
SELECT pgenvelope.restore_key('life', 9);
SELECT pgenvelope.restore_key('life', NULL);
SELECT pgenvelope.restore_key('life', 5);
SELECT * FROM pg_temp.versions WHERE version = 5;
SELECT pgenvelope.rollback_key('life');
UPDATE pgenvelope.key_version SET state = 'destroyed', sealed_kek = NULL
WHERE key_id = :id AND version = 3;
SELECT pgenvelope.rollback_key('life');
SELECT pgenvelope.activate_key('life', 3);
SELECT pgenvelope.restore_key('life', 3);

-- A number is never given away again
SELECT pgenvelope.rotate_key('life');

-- No active version: nothing to roll back, but any can be activated
UPDATE pgenvelope.key_version SET state = 'deactivated'
WHERE key_id = :id AND state = 'active';
SELECT pgenvelope.rollback_key('life');
SELECT env_encrypt('x', '{}');
SELECT pgenvelope.activate_key('life', 7);
SELECT env_key_version(env_encrypt('x', '{}'));

-- Undone by a savepoint: the right key each time
BEGIN;
SAVEPOINT s;
SELECT pgenvelope.rotate_key('life', 100);
SELECT env_encrypt('lost', '{}') AS lost \gset
SELECT env_key_version(:'lost'), env_decrypt(:'lost', '{}');
ROLLBACK TO s;
SELECT env_key_version(env_encrypt('x', '{}')), env_verify(:'lost', '{}');
SELECT pgenvelope.rotate_key('life', 100);
SELECT env_encrypt('eight', '{}') AS eight \gset
SELECT env_key_version(:'eight'), env_verify(:'lost', '{}');
COMMIT;
SELECT env_verify(:'lost', '{}'), env_decrypt(:'eight', '{}');
BEGIN;
SELECT pgenvelope.rollback_key('life');
SELECT env_key_version(env_encrypt('x', '{}'));
ROLLBACK;
SELECT env_key_version(env_encrypt('x', '{}')), env_decrypt(:'eight', '{}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pgenvelope.activate_key('life');
SELECT pgenvelope.rotate_key('life');
SELECT env_encrypt('nine', '{}') AS nine \gset
SELECT env_key_version(:'nine'), env_decrypt(:'eight', '{}');
COMMIT;
SELECT env_decrypt(:'one', '{}'), env_decrypt(:'eight', '{}'),
    env_decrypt(:'nine', '{}');

-- By the calendar
SELECT pgenvelope.schedule_rotation('life', '1 month');
SELECT DISTINCT rotate_every FROM pgenvelope.keys WHERE name = 'life';
SELECT pgenvelope.schedule_rotation('life', '0');
SELECT pgenvelope.schedule_rotation('life', '-1 day');
-- One that no time can be added to would stop the care of all keys
SELECT pgenvelope.schedule_rotation('life', '178000000 years');
SELECT pgenvelope.schedule_rotation('life', '1001 years');
SELECT pgenvelope.schedule_rotation('life',
    make_interval(years => 2000, days => -365 * 2000));
SELECT pgenvelope.schedule_rotation('life', make_interval(hours => 24 * 366 * 1001));
-- A session does not grow by what it is told to do
SELECT count(pgenvelope.schedule_rotation('life', make_interval(days => i)))
FROM generate_series(1, 100) AS i;
SELECT total_bytes <= 16384 AS small FROM pg_backend_memory_contexts
WHERE name = 'pgenvelope audit';
SELECT pgenvelope.schedule_rotation('nowhere', '1 day');
SELECT pgenvelope.schedule_rotation('life', NULL);
SELECT DISTINCT rotate_every FROM pgenvelope.keys WHERE name = 'life';

-- Not without the privilege, nor read-only, whoever may execute
CREATE ROLE regress_life;
GRANT EXECUTE ON FUNCTION pgenvelope.rotate_key, pgenvelope.activate_key, pgenvelope.rollback_key,
    pgenvelope.retire_key, pgenvelope.restore_key, pgenvelope.destroy_key, pgenvelope.schedule_rotation
TO regress_life;
SET ROLE regress_life;
SELECT pgenvelope.rotate_key('life', 10);
SELECT pgenvelope.activate_key('life', 1);
SELECT pgenvelope.rollback_key('life');
SELECT pgenvelope.retire_key('life', 1);
SELECT pgenvelope.restore_key('life', 1);
SELECT * FROM pgenvelope.destroy_key('life', 1, 'life/1', true);
SELECT pgenvelope.schedule_rotation('life', '1 day');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pgenvelope.rotate_key, pgenvelope.activate_key, pgenvelope.rollback_key,
    pgenvelope.retire_key, pgenvelope.restore_key, pgenvelope.destroy_key, pgenvelope.schedule_rotation
FROM regress_life;
SELECT pgenvelope.grant_key('life', 'admin', 'regress_life');
SET ROLE regress_life;
SELECT pgenvelope.rotate_key('life');
SELECT pgenvelope.activate_key('life', 1);
SELECT pgenvelope.rollback_key('life');
SELECT pgenvelope.retire_key('life', 1);
SELECT pgenvelope.restore_key('life', 1);
SELECT * FROM pgenvelope.destroy_key('life', 1, 'life/1', true);
SELECT pgenvelope.schedule_rotation('life', '1 day');
RESET ROLE;

-- With both, also without any right to the tables
GRANT EXECUTE ON FUNCTION pgenvelope.rotate_key, pgenvelope.activate_key, pgenvelope.rollback_key,
    pgenvelope.retire_key, pgenvelope.restore_key, pgenvelope.destroy_key, pgenvelope.schedule_rotation
TO regress_life;
SET ROLE regress_life;
SET client_min_messages = error;
SELECT pgenvelope.rotate_key('life', 10), pgenvelope.activate_key('life'),
    pgenvelope.rollback_key('life'), pgenvelope.retire_key('life', 10, true),
    pgenvelope.restore_key('life', 10), pgenvelope.retire_key('life', 10, true),
    pgenvelope.schedule_rotation('life', '1 day');
SELECT holder FROM pgenvelope.destroy_key('life', 10, 'life/10', true);
RESET client_min_messages;
RESET ROLE;
SELECT * FROM pg_temp.versions WHERE version > 8;
SELECT target, state FROM pg_temp.jobs
WHERE state NOT IN ('complete', 'cancelled');
REVOKE EXECUTE ON FUNCTION pgenvelope.rotate_key, pgenvelope.activate_key, pgenvelope.rollback_key,
    pgenvelope.retire_key, pgenvelope.restore_key, pgenvelope.destroy_key, pgenvelope.schedule_rotation
FROM regress_life;
SELECT pgenvelope.revoke_key('life', 'admin', 'regress_life');
DROP ROLE regress_life;
SET default_transaction_read_only = on;
SELECT pgenvelope.activate_key('life', 1);
SELECT pgenvelope.rollback_key('life');
SELECT pgenvelope.retire_key('life', 1);
SELECT pgenvelope.restore_key('life', 1);
SELECT * FROM pgenvelope.destroy_key('life', 1, 'life/1', true);
SELECT pgenvelope.schedule_rotation('life', '1 day');
RESET default_transaction_read_only;
DELETE FROM pgenvelope.rewrap_job WHERE key_id = :id;
