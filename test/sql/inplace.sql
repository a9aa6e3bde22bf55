--
-- inplace: values rewrapped where they are on the page.  What is overwritten
-- and what goes through UPDATE, what stays as it was, and what stands against
-- the method, by name.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'inplace';
SELECT pgenvelope.create_key('inplace', required_context => '{}') > 0 AS created;

-- Does a job but for its proof, step by step
CREATE PROCEDURE run_inplace(job bigint) LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    LOOP
        SELECT * INTO one FROM pgenvelope.step_rewrap(job);
        COMMIT;
        EXIT WHEN one.step <> 'more' OR one.state NOT IN ('waiting', 'running');
    END LOOP;
END
$$;

-- Short and long headers, NULLs, several columns; then out of line, and
-- compressed (a context that is stored, and repeats itself)
CREATE TABLE inplace (id integer PRIMARY KEY, note text, value envelope,
    second envelope, shape text);
CREATE INDEX inplace_hash ON inplace USING hash (value);
ALTER TABLE inplace ALTER second SET STORAGE EXTENDED;
INSERT INTO inplace
    SELECT i, repeat('n', i % 9), env_encrypt('short ' || i, '{}'),
        CASE WHEN i % 3 > 0 THEN env_encrypt('second ' || i, '{}') END, 'inline'
    FROM generate_series(1, 300) i;
INSERT INTO inplace VALUES
    (301, NULL, NULL, NULL, 'inline'),
    (302, NULL, env_encrypt(repeat('long', 100), '{}'), NULL, 'inline'),
    (303, 'x', env_encrypt(repeat('long', 100), '{}'),
     env_encrypt('second', '{}'), 'inline'),
    (304, NULL, env_encrypt(repeat('far', 2000), '{}'), NULL, 'out of line'),
    (305, NULL, env_encrypt(repeat('far', 2000), '{}'),
     env_encrypt('second', '{}'), 'out of line');
SET pgenvelope.store_context = on;
INSERT INTO inplace
    SELECT 306, NULL, NULL,
        env_encrypt('squeezed', jsonb_build_object('a', repeat('a', 3000))),
        'compressed';
RESET pgenvelope.store_context;
SELECT shape, count(*), bool_or(pg_column_size(value) > 2000) AS far,
    bool_or(pg_column_size(second) < octet_length(envelope_send(second)))
        AS squeezed
FROM inplace GROUP BY shape ORDER BY shape;

-- A row that was there before its column
CREATE TABLE inplace_older (id integer);
INSERT INTO inplace_older SELECT generate_series(1, 3);
SELECT env_encrypt('default', '{}') AS constant \gset
ALTER TABLE inplace_older ADD value envelope DEFAULT :'constant';
INSERT INTO inplace_older VALUES (4, env_encrypt('own', '{}'));

-- Tables without WAL
CREATE UNLOGGED TABLE inplace_unlogged AS
SELECT i AS id, env_encrypt('value ' || i, '{}') AS value
FROM generate_series(1, 10) i;
CREATE TEMPORARY TABLE inplace_mine AS SELECT * FROM inplace_unlogged;

SELECT pgenvelope.set_rewrap_method(t, 'inplace')
FROM unnest('{inplace, inplace_older, inplace_unlogged}'::regclass[])
    AS t;
VACUUM inplace;
CREATE TABLE before_inplace AS
SELECT id, ctid AS place, xmin AS made, envelope_send(value) AS value,
    value::text AS text
FROM inplace;

-- Not in the transaction that made the version: that could be rolled back
BEGIN;
SELECT pgenvelope.rotate_key('inplace', rewrap => false) AS version;
SELECT pgenvelope.start_rewrap('inplace') AS job \gset
SELECT set_config('inplace.job', :'job', false) IS NULL AS set \gset
DO $$
BEGIN
    WHILE (SELECT state IN ('waiting', 'running') FROM pgenvelope.rewrap_job
           WHERE job_id = current_setting('inplace.job')::bigint) LOOP
        PERFORM pgenvelope.step_rewrap(current_setting('inplace.job')::bigint);
    END LOOP;
END
$$;
SELECT sum(in_place) AS in_place,
    count(*) FILTER (WHERE last_error ~ 'not in place: version 2 was made') > 0
        AS told
FROM pgenvelope.rewrap_progress WHERE job_id = :job;
ROLLBACK;
SELECT pg_relation_size('inplace') AS size,
    pg_relation_size('inplace_hash') AS index_size \gset

SELECT pgenvelope.rotate_key('inplace', rewrap => false) AS version;
SELECT pgenvelope.start_rewrap('inplace') AS job \gset
CALL run_inplace(:job);
SELECT regexp_replace(relation, 'pg_temp_\d+', 'pg_temp') AS relation, method,
    rewrapped, in_place, failed, last_error
FROM pgenvelope.rewrap_progress
WHERE job_id = :job AND relation ~ '\.inplace' ORDER BY relation;

-- Rows stay where they were, and are whose they were
SELECT shape, count(*),
    count(*) FILTER (WHERE inplace.ctid = place AND inplace.xmin = made) AS in_place,
    count(*) FILTER (WHERE env_key_version(inplace.value) = 2
                     OR inplace.value IS NULL) AS moved,
    count(*) FILTER (WHERE env_key_version(inplace.second) = 2
                     OR inplace.second IS NULL) AS second_moved
FROM inplace JOIN before_inplace USING (id) GROUP BY shape ORDER BY shape;
SELECT count(*) FROM inplace JOIN before_inplace b USING (id)
WHERE overlay(envelope_send(inplace.value) PLACING '' FROM 3 FOR 48)
    <> overlay(b.value PLACING '' FROM 3 FOR 48)
    OR envelope_send(inplace.value) = b.value;
-- (the rows that were updated may need a page)
SELECT pg_relation_size('inplace') - :size <= 8192 AS size,
    pg_relation_size('inplace_hash') = :index_size AS index_size;
SELECT bool_and(env_decrypt(value, '{}') = 'short ' || id) AS value,
    bool_and(env_decrypt(second, '{}') = 'second ' || id) AS second
FROM inplace WHERE id <= 300;
SELECT length(env_decrypt(value, '{}')) FROM inplace
WHERE id BETWEEN 301 AND 305 ORDER BY id;
SELECT env_key_version(value), env_decrypt(value, '{}')
FROM inplace_older ORDER BY id;
SELECT env_key_version(value), bool_and(env_decrypt(value, '{}') = 'value ' || id)
FROM inplace_unlogged GROUP BY 1;

-- Found by the hash index, as it was and as it is
SET enable_seqscan = off;
SELECT count(*) FROM inplace JOIN inplace AS other USING (value)
WHERE other.id = 7;
SELECT id FROM inplace
WHERE value = (SELECT text::envelope FROM before_inplace WHERE id = 7);
RESET enable_seqscan;

-- A table that has nothing to do is not written
SELECT pgenvelope.start_rewrap('inplace') AS job \gset
CALL run_inplace(:job);
SELECT sum(rewrapped) FROM pgenvelope.rewrap_progress WHERE job_id = :job;

-- A damaged wrap fails alone; a row that nobody sees does not fail
UPDATE inplace SET second = (
    'env1.' || translate(replace(rtrim(encode(
        set_byte(envelope_send(second), 20,
                 get_byte(envelope_send(second), 20) # 1),
        'base64'), '='), E'\n', ''), '+/', '-_'))::envelope
WHERE id IN (1, 2);
DELETE FROM inplace WHERE id = 2;
SELECT pgenvelope.rotate_key('inplace', rewrap => false) AS version;
SELECT pgenvelope.start_rewrap('inplace') AS job \gset
CALL run_inplace(:job);
SELECT relation, "column", category FROM pgenvelope.rewrap_failures
WHERE job_id = :job;
SELECT env_key_version(second), count(*) FROM inplace
WHERE second IS NOT NULL GROUP BY 1 ORDER BY 1;
SELECT pgenvelope.cancel_rewrap(:job);

-- What stands against it.  The job says so, and goes by UPDATE
CREATE DOMAIN inplace_domain AS envelope CHECK (env_key_version(VALUE) > 0);
CREATE TABLE inplace_1 (id integer, value envelope);
CREATE INDEX inplace_include ON inplace_1 (id) INCLUDE (value);
CREATE TABLE inplace_2 (id integer, value envelope);
CREATE INDEX inplace_expression ON inplace_2 (env_key_version(value));
CREATE TABLE inplace_3 (id integer, value envelope);
CREATE INDEX inplace_predicate ON inplace_3 (id)
    WHERE env_key_version(value) > 0;
CREATE TABLE inplace_4 (id integer, value envelope);
CREATE FUNCTION inplace_row(inplace_4) RETURNS integer
    IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE INDEX inplace_whole ON inplace_4 (inplace_row(inplace_4));
CREATE TABLE inplace_5 (id integer, value envelope,
    version integer GENERATED ALWAYS AS (env_key_version(value)) STORED);
CREATE TABLE inplace_6 (id integer, value envelope
    CONSTRAINT inplace_check CHECK (env_key_version(value) > 0));
CREATE TABLE inplace_7 (id integer, value inplace_domain);
CREATE TABLE inplace_all (id integer, value envelope)
    PARTITION BY RANGE (env_key_version(value));
CREATE TABLE inplace_8 PARTITION OF inplace_all FOR VALUES FROM (0) TO (1000);
CREATE TABLE inplace_hashed (id integer, value envelope)
    PARTITION BY HASH (value);
CREATE TABLE inplace_9 PARTITION OF inplace_hashed
    FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT format('INSERT INTO inplace_%s VALUES (1, env_encrypt(''x'', ''{}''))', i)
FROM generate_series(1, 9) i \gexec
DO $$
BEGIN
    PERFORM pgenvelope.set_rewrap_method(to_regclass('inplace_' || i), 'inplace')
    FROM generate_series(1, 9) i;
END
$$;
SELECT pgenvelope.rotate_key('inplace', rewrap => false) AS version;
SELECT pgenvelope.start_rewrap('inplace') AS job \gset
CALL run_inplace(:job);
SELECT relation, rewrapped, in_place, last_error
FROM pgenvelope.rewrap_progress
WHERE job_id = :job AND relation ~ 'inplace_\d' ORDER BY relation;
SELECT pgenvelope.cancel_rewrap(:job);

DROP TABLE inplace, inplace_older, inplace_unlogged, inplace_mine, before_inplace,
    inplace_1, inplace_2, inplace_3, inplace_5, inplace_6, inplace_7,
    inplace_all, inplace_hashed;
SET client_min_messages = warning;
DROP FUNCTION inplace_row CASCADE;
DROP TABLE inplace_4;
DROP DOMAIN inplace_domain;
DROP PROCEDURE run_inplace;
