-- What test/bench/rewrap.sh runs, in one session: :rows rows, :rounds rounds.

\pset footer off
SET client_min_messages = warning;
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('bench') IS NULL AS made \gset
SET pgenvelope.default_key = 'bench';

-- 32 bytes sealed make an envelope of 110, with its header 111.
-- As bytea, so that no job meets them there.
CREATE CAST (envelope AS bytea) WITHOUT FUNCTION;
CREATE CAST (bytea AS envelope) WITHOUT FUNCTION;
CREATE TABLE filled AS
SELECT i::bigint AS id, repeat('x', 110) AS pad,
    env_encrypt(lpad(i::text, 32, '0'),
        '{"tenant": "acme", "type": "bench.value", "id": 1}')::bytea AS value
FROM generate_series(1, :rows) AS i;
CREATE TABLE measured (id bigint PRIMARY KEY, pad text, value envelope);

-- PostgreSQL's own bytea_send: a copy, and nothing else.
CREATE FUNCTION copy_of(envelope) RETURNS envelope
    AS 'byteasend' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;

CREATE TABLE took (round integer, method text, seconds float8, values bigint,
    wal bigint, heap_before bigint, heap_after bigint, index_before bigint,
    index_after bigint);

-- As many rows as a batch of the method update has, and a commit for each.
CREATE PROCEDURE update_by_sql(expression text, step bigint)
LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. (SELECT max(id) FROM measured) / step LOOP
        EXECUTE format('UPDATE measured SET value = %s'
            ' WHERE id > $1 AND id <= $2', expression)
            USING i * step, (i + 1) * step;
        COMMIT;
    END LOOP;
END
$$;

-- The first pass of a job, as the worker does it.
CREATE PROCEDURE update_by_job(job bigint) LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    LOOP
        SELECT * INTO one FROM pgenvelope.step_rewrap(job);
        COMMIT;
        EXIT WHEN one.step <> 'more'
            OR (SELECT pass FROM pgenvelope.rewrap_job WHERE job_id = job) > 1;
    END LOOP;
END
$$;

CREATE PROCEDURE measure(round integer, method text) LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
    moved bigint;
    heap bigint := pg_relation_size('measured');
    index bigint := pg_relation_size('measured_pkey');
    lsn pg_lsn := pg_current_wal_insert_lsn();
    started timestamptz := clock_timestamp();
BEGIN
    IF method LIKE 'SQL%' THEN
        CALL update_by_sql(CASE method WHEN 'SQL copy' THEN 'copy_of(value)'
            ELSE 'env_rewrap(value)' END, 4000);
    ELSIF method = 'proof scan' THEN
        PERFORM * FROM pgenvelope.take_census();
    ELSE
        PERFORM pgenvelope.set_rewrap_method('measured', method);
        job := pgenvelope.start_rewrap('bench');
        CALL update_by_job(job);
    END IF;
    INSERT INTO took VALUES (round, method,
        extract(epoch FROM clock_timestamp() - started),
        (SELECT count(*) FROM filled),
        pg_current_wal_insert_lsn() - lsn, heap,
        pg_relation_size('measured'), index,
        pg_relation_size('measured_pkey'));
    COMMIT;
    SELECT count(*) INTO moved FROM measured
    WHERE env_key_version(value) > 1 AND method NOT IN ('SQL copy', 'proof scan');
    IF moved <> (SELECT CASE WHEN method IN ('SQL copy', 'proof scan') THEN 0
                 ELSE count(*) END FROM filled) THEN
        RAISE 'method % moved % values', method, moved;
    END IF;
    IF job IS NOT NULL THEN
        PERFORM pgenvelope.cancel_rewrap(job);
    END IF;
END
$$;

-- One key version further than the values: what is written is always new.
SELECT pgenvelope.rotate_key('bench', rewrap => false) AS version \gset

SELECT format('TRUNCATE measured; INSERT INTO measured SELECT id, pad, value::envelope FROM filled;'),
    'VACUUM (FREEZE) measured', 'CHECKPOINT',
    format('CALL measure(%s, %L)', round, method)
FROM generate_series(0, :rounds) AS round,
    unnest(CASE WHEN round = 0 THEN '{inplace}' ELSE
        '{SQL copy, SQL rewrap, update, inplace, proof scan}' END::text[])
    AS method
ORDER BY round, md5(method || round) \gexec
DELETE FROM took WHERE round = 0;

\echo
\echo 'Medians'
SELECT method,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY
        values / seconds / 1000)::numeric) AS "1000 values/s",
    round(avg(wal / values)) AS "WAL bytes/row",
    round(max(heap_after::numeric / heap_before), 2) AS "heap grows",
    round(max(index_after::numeric / index_before), 2) AS "index grows"
FROM took GROUP BY method ORDER BY 2;

\echo 'Medians of the rounds'' ratios of speed'
WITH wanted(name, one, other, target) AS (VALUES
    (1, 'update', 'SQL copy', 0.9), (2, 'inplace', 'update', 3.5),
    (3, 'inplace', 'SQL rewrap', 5)
)
SELECT one || ' / ' || other AS what,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY b.seconds / a.seconds)
          ::numeric, 2) AS median,
    '>= ' || target AS target
FROM wanted JOIN took a ON a.method = one
    JOIN took b ON b.method = other AND b.round = a.round
GROUP BY name, one, other, target ORDER BY name;
