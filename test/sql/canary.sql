--
-- canary: a pre_active version gets its share of new values, right to a per
-- cent of 100,000 whatever the statements and transactions, and the values of
-- either version decrypt.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'canary';
SELECT pgenvelope.create_key('canary', required_context => '{}') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'canary' \gset

-- How many of so many values the pre_active version got, per cent.
CREATE FUNCTION pg_temp.share(count integer) RETURNS numeric
LANGUAGE sql AS $$
    SELECT round(100.0 * count(*) FILTER (WHERE
        env_key_version(env_encrypt('x', '{}')) > 1) / count(*), 2)
    FROM generate_series(1, count)
$$;

-- 10 per cent, in one statement; of a few the share is right to two or three
SELECT pgenvelope.rotate_key('canary', 10);
SELECT abs(pg_temp.share(100000) - 10) < 1 AS share,
    abs(pg_temp.share(100000) - 10) < 0.01 AS precise,
    abs(pg_temp.share(1000) - 10) <= 0.3 AS few;

-- In statements, transactions and savepoints of their own
CREATE TABLE canary (value envelope);
DO $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        INSERT INTO canary VALUES (env_encrypt('value', '{}'));
        IF i % 10 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END
$$;
SELECT env_key_version(value), abs(count(*) - 100) < 10
    OR abs(count(*) - 900) < 10 AS share,
    count(*) = count(env_decrypt(value, '{}')) AS readable
FROM canary GROUP BY 1 ORDER BY 1;

-- A share of its own start wherever the catalog is read anew
\set VERBOSITY terse
DO $$
DECLARE
    trial integer := 0;
BEGIN
    FOR i IN 1 .. 2000 LOOP
        IF i % 4 = 0 THEN
            PERFORM pgenvelope.grant_key('canary', 'rewrap', 'pg_monitor');
            PERFORM pgenvelope.revoke_key('canary', 'rewrap', 'pg_monitor');
        END IF;
        trial := trial + (env_key_version(env_encrypt('x', '{}')) - 1);
    END LOOP;
    RAISE NOTICE 'within four standard deviations: %',
        trial BETWEEN 146 AND 254;
END
$$;
\set VERBOSITY sqlstate

-- Two keys side by side, two columns of one key
SELECT pgenvelope.create_key('canary 2', required_context => '{}') > 0 AS created;
SELECT pgenvelope.rotate_key('canary 2', 50);
SELECT abs(count(*) FILTER (WHERE env_key_version(one) = 2) - 1000) < 50 AS one,
    abs(count(*) FILTER (WHERE env_key_version(two) = 2) - 5000) < 250 AS two,
    abs(count(*) FILTER (WHERE env_key_version(three) = 2) - 1000) < 50 AS three
FROM (SELECT env_encrypt('x', '{}') AS one,
          env_encrypt('x', '{}', 'canary 2') AS two,
          env_encrypt('x', '{}') AS three
      FROM generate_series(1, 10000) OFFSET 0) AS s;

-- 0, 1, 99 and 100 per cent
SELECT pgenvelope.activate_key('canary', 2, 0);
SELECT pg_temp.share(1000);
SELECT pgenvelope.activate_key('canary', 2, 1);
SELECT abs(pg_temp.share(10000) - 1) < 0.1 AS one;
SELECT pgenvelope.activate_key('canary', 2, 99);
SELECT abs(pg_temp.share(10000) - 99) < 0.1 AS ninety_nine;
SELECT pgenvelope.activate_key('canary', 2, 100);
SELECT pg_temp.share(1000);

-- All ways to make a value
SELECT env_key_version(env_reencrypt(value, '{}')) AS reencrypted,
    env_key_version(env_rebind(value, '{}', '{"a": "b"}')) AS rebound
FROM canary LIMIT 1;

-- Rolled back: no value more, and those that are there decrypt
SELECT pgenvelope.rollback_key('canary');
SELECT pg_temp.share(1000);
SELECT count(env_decrypt(value, '{}')) FROM canary;
SELECT target_version, state FROM pgenvelope.rewrap_job WHERE key_id = :id;

-- Without an active version there is no trial either
SELECT pgenvelope.rotate_key('canary', 100);
UPDATE pgenvelope.key_version SET state = 'deactivated'
WHERE key_id = :id AND state = 'active';
SELECT env_encrypt('x', '{}');
SELECT pgenvelope.rollback_key('canary');
SELECT pgenvelope.activate_key('canary');
SELECT pg_temp.share(100);

DELETE FROM pgenvelope.rewrap_job WHERE key_id = :id;
DROP TABLE canary;
