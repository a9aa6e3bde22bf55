-- A rewrap job, step by step: from filing to completion, and what its owner
-- can do with it in between.
\i test/sql/include/prepare.sql
\i test/sql/include/rewrap.sql

SET search_path = job, public, envelope;
CREATE SCHEMA job;
SELECT pgenvelope.create_key('job', required_context => '{}') > 0 AS created;
CREATE FUNCTION value(n int) RETURNS envelope LANGUAGE sql
AS $$ SELECT env_encrypt('value ' || n, '{}', 'job') $$;
CREATE DOMAIN secret AS envelope;

CREATE TABLE one (id int PRIMARY KEY, a envelope, b secret);
INSERT INTO one SELECT n, value(n), value(-n) FROM generate_series(1, 500) n;
CREATE TABLE parted (id int, a envelope) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + n % 2, value(n) FROM generate_series(1, 100) n;
INSERT INTO parted VALUES (1, NULL);

CREATE VIEW progress AS
SELECT relation, pass, relation_state, percent, rewrapped, in_place, failed,
       busy, last_error
FROM pgenvelope.rewrap_progress
WHERE relation ~ '^job\.'
  AND job_id = (SELECT max(job_id) FROM pgenvelope.rewrap_job)
ORDER BY relation COLLATE "C";
CREATE VIEW versions AS
SELECT relation, "column", version, count FROM pgenvelope.take_census() c
WHERE key = 'job' ORDER BY relation::text COLLATE "C", "column", version;

-- Rotation files the job, with a target that may be activated now.
SELECT pgenvelope.rotate_key('job');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
SELECT kind, target_version, state, pass, created_by = CURRENT_USER AS own
FROM pgenvelope.rewrap_job WHERE job_id = :job;

-- The first step looks for tables, the next ones do them.
SELECT step, state, phase FROM pgenvelope.step_rewrap(:job);
SELECT * FROM progress;
SELECT * FROM versions;
CALL pg_temp.finish(:job);
SELECT relation, pass, relation_state, percent, rewrapped, failed, busy
FROM progress;
SELECT * FROM versions;
SELECT count(*) FROM one
WHERE env_decrypt(a, '{}') <> 'value ' || id
   OR env_decrypt(b, '{}') <> 'value ' || -id;

-- It leaves a proof, and what it counted.
SELECT p.version, p.tables >= 3 AS tables, p.values_read >= 1100 AS read,
       p.job_id = :job AS by_job, p.lsn <= pg_current_wal_insert_lsn() AS lsn
FROM pgenvelope.key_proof p JOIN pgenvelope.key k USING (key_id)
WHERE k.name = 'job';
SELECT relation, "column", version, count FROM pgenvelope.census
WHERE key = 'job' ORDER BY relation::text COLLATE "C", "column", version;

-- A job that is over cannot be steered.
SELECT step, state FROM pgenvelope.step_rewrap(:job);
SELECT pg_temp.outcome(format('SELECT pgenvelope.pause_rewrap(%s)', :job));
SELECT pg_temp.outcome(format('SELECT pgenvelope.resume_rewrap(%s)', :job));
SELECT pg_temp.outcome(format('SELECT pgenvelope.retry_rewrap(%s)', :job));
SELECT pgenvelope.cancel_rewrap(:job);
SELECT pg_temp.outcome('SELECT pgenvelope.step_rewrap(0)');

-- Pause and resume: it goes on where it was.
SET pgenvelope.rewrap_batch_blocks = 4;
SELECT pgenvelope.rotate_key('job');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
SELECT step, state FROM pgenvelope.step_rewrap(:job);
SELECT step, relation, next_block, next_block < total_blocks AS more
FROM pgenvelope.step_rewrap(:job);
SELECT pgenvelope.pause_rewrap(:job);
SELECT pgenvelope.pause_rewrap(:job);
SELECT step, state FROM pgenvelope.step_rewrap(:job);
SELECT state, message LIKE 'paused by %' AS message FROM pgenvelope.rewrap_job
WHERE job_id = :job;
SELECT pgenvelope.resume_rewrap(:job);
SELECT pgenvelope.resume_rewrap(:job);
SELECT step, relation, next_block FROM pgenvelope.step_rewrap(:job);
RESET pgenvelope.rewrap_batch_blocks;

-- Another job of the key takes its place.
SELECT pgenvelope.start_rewrap('job') AS next \gset
SELECT state, message = 'superseded by job ' || :next AS message
FROM pgenvelope.rewrap_job WHERE job_id = :job;
CALL pg_temp.finish(:next);
SELECT DISTINCT version FROM versions;

-- A table that was rewritten, dropped or made meanwhile.
SELECT pgenvelope.rotate_key('job', rewrap => false);
SELECT pgenvelope.start_rewrap('job') AS job \gset
SELECT step, state FROM pgenvelope.step_rewrap(:job);
SET pgenvelope.rewrap_batch_blocks = 4;
SELECT relation, next_block FROM pgenvelope.step_rewrap(:job);
ALTER TABLE one ALTER id TYPE bigint;
SELECT relation, next_block FROM pgenvelope.step_rewrap(:job);
RESET pgenvelope.rewrap_batch_blocks;
DROP TABLE parted_1;
CREATE TABLE late AS SELECT a FROM parted_2;
CALL pg_temp.finish(:job);
SELECT relation, relation_state FROM progress;
SELECT relation, "column", version, count FROM versions;

-- Cancelled: what was done stays done.
SELECT pgenvelope.rotate_key('job');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
SELECT step FROM pgenvelope.step_rewrap(:job);
SELECT pgenvelope.cancel_rewrap(:job);
SELECT pgenvelope.cancel_rewrap(:job);
SELECT step, state FROM pgenvelope.step_rewrap(:job);

-- Only the active version is a target.
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap('job', version => 1)$$);
SELECT pgenvelope.start_rewrap('job', version => 5) > 0 AS started;
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap('job', 'other')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap('no such key')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap(NULL)$$);

-- One whose target no longer encrypts gives up.
SELECT pgenvelope.rotate_key('job', rewrap => false);
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
SELECT step, state FROM pgenvelope.step_rewrap(:job);

-- Rolling back is the same job, the other way round.
SELECT pgenvelope.start_rewrap('job') AS job \gset
CALL pg_temp.finish(:job);
SELECT pgenvelope.rollback_key('job');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.finish(:job);
SELECT DISTINCT version FROM versions;

-- A step wants the newest rows, and a proof a transaction of its own.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pgenvelope.step_rewrap(:job);
ROLLBACK;

-- Rights: of the key, admin or rewrap; of a table, its owner.
CREATE ROLE regress_rewrap;
GRANT USAGE ON SCHEMA job TO regress_rewrap;
GRANT EXECUTE ON FUNCTION pgenvelope.start_rewrap, pgenvelope.pause_rewrap,
    pgenvelope.step_rewrap, pgenvelope.set_rewrap_method, pgenvelope.set_rewrap_context
    TO regress_rewrap;
SET ROLE regress_rewrap;
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap('job')$$);
SELECT pg_temp.outcome(format('SELECT pgenvelope.step_rewrap(%s)', :job));
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_method('job.one', 'inplace')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('job.one', 'a')$$);
RESET ROLE;
SELECT pgenvelope.grant_key('job', 'rewrap', 'regress_rewrap');
SET ROLE regress_rewrap;
SELECT pgenvelope.start_rewrap('job') AS job \gset
SELECT step FROM pgenvelope.step_rewrap(:job);
SELECT pgenvelope.pause_rewrap(:job);
SELECT pg_temp.outcome($$SELECT pgenvelope.start_rewrap('job', 'reencrypt')$$);
RESET ROLE;

-- Methods: a partition has its parent's.
SELECT pgenvelope.set_rewrap_method('parted', 'inplace');
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_method('parted', 'other')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_method('versions', 'update')$$);
SELECT pgenvelope.start_rewrap('job') AS job \gset
SELECT step FROM pgenvelope.step_rewrap(:job);
SELECT name, method FROM pgenvelope.rewrap_target
WHERE job_id = :job AND name ~ '^job\.' ORDER BY name COLLATE "C";
SELECT pgenvelope.rotate_key('job');
SELECT max(job_id) AS job FROM pgenvelope.rewrap_job \gset
CALL pg_temp.finish(:job);
SELECT relation, rewrapped, in_place, last_error FROM progress;
SELECT DISTINCT version FROM versions;

-- Contexts, without which nothing is encrypted anew.
SELECT pgenvelope.start_rewrap('job', 'reencrypt');
\set VERBOSITY terse
SELECT pgenvelope.start_rewrap('job', 'reencrypt');
\set VERBOSITY sqlstate
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('one', 'id')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('one', 'nothing')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('one', 'a', 'id')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('one', 'a', 'id=none')$$);
SELECT pg_temp.outcome($$SELECT pgenvelope.set_rewrap_context('one', 'a', 'id=a')$$);
SELECT pgenvelope.set_rewrap_context('one', 'a');
SELECT pgenvelope.set_rewrap_context('one', 'b', 'id=id', 'type:one.b');
SELECT pgenvelope.set_rewrap_context('parted', 'a');
SELECT pgenvelope.set_rewrap_context('late', 'a');
SELECT contexts FROM pgenvelope.rewrap_table WHERE relation = 'one'::regclass;
SELECT pgenvelope.set_rewrap_context('one', 'b');
SELECT pgenvelope.rotate_key('job', rewrap => false);
CREATE TABLE before AS SELECT id, a FROM one;
ALTER TABLE before ALTER a TYPE bytea USING envelope_send(a);
SELECT pgenvelope.start_rewrap('job', 'reencrypt') AS job \gset
CALL pg_temp.finish(:job);
SELECT relation, method, rewrapped, failed FROM pgenvelope.rewrap_progress
WHERE job_id = :job AND relation ~ '^job\.' ORDER BY relation COLLATE "C";
SELECT DISTINCT version FROM versions;

-- The payload is another one, not just its wrap.
SELECT count(*) FROM one JOIN before USING (id)
WHERE one.a = pg_temp.envelope(before.a);
SELECT count(*) FROM one WHERE env_decrypt(a, '{}') <> 'value ' || id;

DROP OWNED BY regress_rewrap;
SELECT pgenvelope.revoke_key('job', 'rewrap', 'regress_rewrap');
DROP ROLE regress_rewrap;
SET client_min_messages = error;
DROP SCHEMA job CASCADE;
