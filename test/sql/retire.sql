--
-- retire: a version is retired only when it is proved that no value needs it;
-- every reason that speaks against it is told, one by one.  Proofs are put
-- there by a superuser: taking them is a job's work.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'retire';
SELECT pgenvelope.create_key('retire', required_context => '{}') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'retire' \gset
SELECT env_encrypt('one', '{}') AS one \gset
CREATE PROCEDURE pg_temp.prove(key bigint, number integer,
    at timestamptz DEFAULT clock_timestamp(),
    place pg_lsn DEFAULT pg_current_wal_insert_lsn())
LANGUAGE sql AS $$
    INSERT INTO pgenvelope.key_proof
    VALUES (key, number, at, place, 1, 1, NULL)
    ON CONFLICT (key_id, version)
    DO UPDATE SET proved_at = excluded.proved_at, lsn = excluded.lsn
$$;

-- Not what encrypts, what is on trial, or what is not there
SELECT pgenvelope.retire_key('retire', 1);
SELECT pgenvelope.retire_key('retire', 1, true);
SELECT pgenvelope.rotate_key('retire', 10, false);
SELECT pgenvelope.retire_key('retire', 2, true);
SELECT pgenvelope.retire_key('retire', 3);
SELECT pgenvelope.retire_key('retire', NULL);
SELECT pgenvelope.retire_key(NULL, 1);
SELECT pgenvelope.retire_key('nowhere', 1);
SELECT pgenvelope.activate_key('retire');
SELECT state, target_version FROM pgenvelope.rewrap_job WHERE key_id = :id;

-- No proof
\set VERBOSITY default
SELECT pgenvelope.retire_key('retire', 1);
\set VERBOSITY sqlstate

-- A proof that is too old: of before the deactivation, or of long ago
CALL pg_temp.prove(:id, 1, now() - interval '1 hour');
\set VERBOSITY default
SELECT pgenvelope.retire_key('retire', 1);
\set VERBOSITY sqlstate
CALL pg_temp.prove(:id, 1);
SET pgenvelope.proof_max_age = 3600;
BEGIN;
UPDATE pgenvelope.key_version SET deactivated_at = '2001-01-01 00:00+00'
WHERE key_id = :id AND version = 1;
CALL pg_temp.prove(:id, 1, '2001-01-02 00:00+00');
SET LOCAL timezone = 'UTC';
\set VERBOSITY default
SELECT pgenvelope.retire_key('retire', 1);
\set VERBOSITY sqlstate
ROLLBACK;

-- A job that moves values to it
INSERT INTO pgenvelope.rewrap_job (kind, key_id, target_version, state)
VALUES ('rewrap', :id, 2, 'complete');
UPDATE pgenvelope.rewrap_job SET state = 'cancelled' WHERE key_id = :id;
INSERT INTO pgenvelope.rewrap_job (kind, key_id, target_version, state)
VALUES ('rewrap', :id, 1, 'paused');
SELECT pgenvelope.retire_key('retire', 1);
UPDATE pgenvelope.rewrap_job SET target_version = 2
WHERE key_id = :id AND state = 'paused';

-- A place that no proof covers
CALL pg_temp.prove(:id, 1);
CREATE TABLE retire_uncovered (id integer, many envelope[]);
\set VERBOSITY default
SELECT pgenvelope.retire_key('retire', 1);
\set VERBOSITY sqlstate
DROP TABLE retire_uncovered;

-- A slot that is behind the proof, used or not
SELECT slot_name FROM pg_create_physical_replication_slot('pgenvelope_retire', true);
CALL pg_temp.prove(:id, 1, place => 'FFFFFFFF/0');
SELECT pgenvelope.retire_key('retire', 1);
\set VERBOSITY terse
DO $$
DECLARE
    reasons text;
BEGIN
    PERFORM pgenvelope.retire_key('retire', 1);
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS reasons = PG_EXCEPTION_DETAIL;
    RAISE NOTICE '%', regexp_replace(reasons, '[0-9A-F]+/[0-9A-F]+', 'LSN',
                                     'g');
END
$$;
\set VERBOSITY sqlstate
SELECT pg_drop_replication_slot('pgenvelope_retire');
-- A slot that has kept nothing yet is behind nothing
SELECT slot_name FROM pg_create_physical_replication_slot('pgenvelope_retire');
SELECT pgenvelope.retire_key('retire', 1);
SELECT pg_drop_replication_slot('pgenvelope_retire');

-- Retired: decrypts no longer, in any session
SELECT state, retired_at >= deactivated_at AS after FROM pgenvelope.keys
WHERE name = 'retire' AND version = 1;
SELECT env_decrypt(:'one', '{}');
\c -
\set VERBOSITY sqlstate
SET pgenvelope.default_key = 'retire';
SELECT env_decrypt(:'one', '{}');
SELECT env_verify(:'one', '{}');
SELECT pgenvelope.retire_key('retire', 1);
SELECT pgenvelope.activate_key('retire', 1);

-- And brought back; the proof is still good
SELECT pgenvelope.restore_key('retire', 1);
SELECT env_decrypt(:'one', '{}');
BEGIN;
SELECT pgenvelope.retire_key('retire', 1);
SELECT env_verify(:'one', '{}');
ROLLBACK;
SELECT env_decrypt(:'one', '{}');

-- Activated again it is needed again: the proof is gone
SELECT pgenvelope.activate_key('retire', 1);
SELECT pgenvelope.activate_key('retire', 2, rewrap => false);
SELECT count(*) FROM pgenvelope.key_proof WHERE key_id = :id AND version = 1;
SELECT pgenvelope.retire_key('retire', 1);

-- Forced: it says what was not proved
\set VERBOSITY default
SELECT pgenvelope.retire_key('retire', 1, true);
\set VERBOSITY sqlstate
SELECT env_verify(:'one', '{}');
SELECT pgenvelope.restore_key('retire', 1);
SELECT env_decrypt(:'one', '{}');

DELETE FROM pgenvelope.rewrap_job WHERE key_id = :id;
