-- Values that cannot be moved are queued by category and tried again ever
-- more rarely; they hold up no other value, and the job ends when they are
-- repaired, or gone.
\i test/sql/include/prepare.sql
\i test/sql/include/rewrap.sql

SET search_path = failure, public, envelope;
CREATE SCHEMA failure;
SELECT pgenvelope.create_key('failure', required_context => '{}') > 0 AS created;
CREATE TABLE t (id int PRIMARY KEY, a envelope, b envelope);
INSERT INTO t SELECT n, env_encrypt('a', '{}', 'failure'),
    env_encrypt('b', '{}', 'failure') FROM generate_series(1, 200) n;
CREATE TABLE good AS SELECT * FROM t;
CREATE VIEW failures AS
SELECT relation, "column", row_at, category, attempts,
       next_try - last_at AS wait
FROM pgenvelope.rewrap_failures WHERE relation = 'failure.t'
ORDER BY row_at, "column";

-- Poison: a bit of the wrap, and versions that are not there.
CREATE FUNCTION poison(value envelope, at int, byte bytea) RETURNS envelope
LANGUAGE sql AS $$
    SELECT pg_temp.envelope(overlay(pg_temp.bytes(value) PLACING byte FROM at))
$$;
UPDATE t SET a = poison(a, 20,
    set_byte('\x00', 0, get_byte(pg_temp.bytes(a), 19) # 1)) WHERE id = 3;
UPDATE t SET b = poison(b, 3, '\x0909') WHERE id = 4;
UPDATE t SET a = poison(a, 3, '\x0909') WHERE id = 5;
VACUUM FULL t;

SELECT pgenvelope.rotate_key('failure');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.finish(:job);

-- All others have moved; the job waits, says so, and proves nothing.
SELECT version, count(*) FROM (
    SELECT env_key_version(a) AS version FROM t
    UNION ALL SELECT env_key_version(b) FROM t) AS v GROUP BY 1 ORDER BY 1;
SELECT relation, "column", category FROM failures;
SELECT state, message FROM pgenvelope.rewrap_job WHERE job_id = :job;
SELECT count(*) FROM pgenvelope.key_proof
JOIN pgenvelope.key USING (key_id) WHERE name = 'failure';

-- Each failure waits for twice as long.
UPDATE pgenvelope.rewrap_failure SET attempts = 1 WHERE job_id = :job;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);
SELECT "column", attempts, wait FROM failures;
UPDATE pgenvelope.rewrap_failure SET attempts = 100 WHERE job_id = :job;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);
SELECT "column", attempts, wait FROM failures;

-- Without being asked, when the time has come.
UPDATE pgenvelope.rewrap_failure SET attempts = 1, next_try = now()
WHERE job_id = :job;
UPDATE pgenvelope.rewrap_job SET not_before = now() WHERE job_id = :job;
SELECT step, failed FROM pgenvelope.step_rewrap(:job);
SELECT DISTINCT attempts FROM failures;

-- Two are repaired, where they are and by a new row; one is deleted.
UPDATE t SET a = good.a FROM good WHERE t.id = good.id AND t.id = 3;
UPDATE t SET b = good.b FROM good WHERE t.id = good.id AND t.id = 4;
DELETE FROM t WHERE id = 5;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);
SELECT count(*) FROM failures;
SELECT count(*) FROM t
WHERE env_key_version(a) <> 2 OR env_key_version(b) <> 2
   OR env_decrypt(a, '{}') <> 'a' OR env_decrypt(b, '{}') <> 'b';

-- Too many: the job pauses, and goes on when it is told to.
CREATE TABLE many AS
SELECT n AS id, poison(env_encrypt('a', '{}', 'failure'), 3, '\x0909') AS a
FROM generate_series(1, 20) n;
SET pgenvelope.rewrap_max_failures = 10;
SELECT pgenvelope.start_rewrap('failure') AS job \gset
CALL pg_temp.finish(:job);
SELECT state, message FROM pgenvelope.rewrap_job WHERE job_id = :job;
SELECT pgenvelope.resume_rewrap(:job);
CALL pg_temp.finish(:job);
DELETE FROM many;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);

-- A value of a version that was never there, which whoever can write a table can
-- forge, keeps its job from its end and no version from its proof; a value of
-- the version does.
INSERT INTO many SELECT 1, poison(a, 3, '\x0909') FROM good LIMIT 1;
SELECT pgenvelope.rotate_key('failure');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.finish(:job);
SELECT state, message FROM pgenvelope.rewrap_job WHERE job_id = :job;
SELECT version, tables > 0 AS tables FROM pgenvelope.key_proof
JOIN pgenvelope.key USING (key_id) WHERE name = 'failure' AND job_id = :job
ORDER BY 1;
SELECT pgenvelope.retire_key('failure', 1) IS NOT NULL AS retired;
SELECT pgenvelope.restore_key('failure', 1) IS NOT NULL AS restored;
INSERT INTO many SELECT 2, poison(a, 20,
    set_byte('\x00', 0, get_byte(pg_temp.bytes(a), 19) # 1)) FROM good LIMIT 1;
SELECT pgenvelope.rotate_key('failure');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.finish(:job);
SELECT DISTINCT env_key_version(a) FROM many ORDER BY 1;
SELECT version FROM pgenvelope.key_proof
JOIN pgenvelope.key USING (key_id) WHERE name = 'failure' AND job_id = :job
ORDER BY 1;
DELETE FROM many;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);

-- A cancelled job has no failures, nor has a table that was dropped.
INSERT INTO many SELECT 1, poison(a, 3, '\x0909') FROM good LIMIT 1;
SELECT pgenvelope.start_rewrap('failure') AS job \gset
CALL pg_temp.finish(:job);
SELECT count(*) FROM pgenvelope.rewrap_failure WHERE job_id = :job;
SELECT pgenvelope.cancel_rewrap(:job);
SELECT count(*) FROM pgenvelope.rewrap_failure WHERE job_id = :job;
-- Whatever cancels it: here a version that becomes the active one.
SELECT pgenvelope.start_rewrap('failure') AS job \gset
CALL pg_temp.finish(:job);
SELECT count(*) FROM pgenvelope.rewrap_failure WHERE job_id = :job;
SELECT pgenvelope.rotate_key('failure', rewrap => false) IS NOT NULL AS rotated;
SELECT state, message ~ '^version [0-9]+ is active now$' AS told
FROM pgenvelope.rewrap_job WHERE job_id = :job;
SELECT count(*) FROM pgenvelope.rewrap_failure WHERE job_id = :job;
SELECT pgenvelope.start_rewrap('failure') AS job \gset
CALL pg_temp.finish(:job);
DROP TABLE many;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);

-- A batch that fails as a whole, here for want of room, is put off for ever
-- longer; until then nothing is done, and other tables are.
CREATE TABLE room (is_there boolean);
INSERT INTO room VALUES (true);
CREATE FUNCTION find_room(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (SELECT is_there FROM failure.room) THEN
        RAISE disk_full USING MESSAGE = 'no room';
    END IF;
    RETURN true;
END
$$;
CREATE TABLE whole (id int CHECK (failure.find_room(id)), a envelope);
INSERT INTO whole SELECT id, a FROM good;
UPDATE room SET is_there = false;
CREATE PROCEDURE pg_temp.walk(job bigint, INOUT outcome text DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    result record;
BEGIN
    LOOP
        SELECT * INTO result FROM pgenvelope.step_rewrap(job);
        COMMIT;
        EXIT WHEN result.step <> 'more';
    END LOOP;
    outcome := concat_ws(' ', result.step, result.state, result.message);
END
$$;
CREATE VIEW targets AS
SELECT t.name, t.state, t.rewrapped, t.last_error, t.batches, t.errors,
       not_before > '-infinity' AS waits,
       not_before > clock_timestamp() + interval '8 s' AS waits_long
FROM pgenvelope.rewrap_target t
WHERE job_id = (SELECT max(job_id) FROM pgenvelope.rewrap_job)
  AND name ~ '^failure\.(whole|t)$' ORDER BY 1;
SELECT pgenvelope.rotate_key('failure');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.walk(:job);
TABLE targets;
UPDATE pgenvelope.rewrap_target SET not_before = now() + interval '1 hour'
WHERE errors = 1;
UPDATE pgenvelope.rewrap_job SET not_before = now() WHERE job_id = :job;
CALL pg_temp.walk(:job);
TABLE targets;
UPDATE pgenvelope.rewrap_target SET not_before = now(), errors = 4
WHERE errors = 1;
UPDATE pgenvelope.rewrap_job SET not_before = now() WHERE job_id = :job;
CALL pg_temp.walk(:job);
TABLE targets;
UPDATE room SET is_there = true;
SELECT pgenvelope.retry_rewrap(:job);
CALL pg_temp.finish(:job);
TABLE targets;

SET client_min_messages = error;
DROP SCHEMA failure CASCADE;
