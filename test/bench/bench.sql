-- What test/bench/bench.sh runs, in one session.  :rows values of 16 bytes,
-- a tenth as many of 1 KiB, :rounds rounds.

\pset footer off
SET client_min_messages = warning;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('bench') IS NULL AS made \gset
SET pgenvelope.default_key = 'bench';

-- Two contexts in each row, of the same length, so that reading them costs the
-- same: "same" is one context throughout, "own" the row's.
CREATE TABLE small AS
SELECT i AS id, lpad(i::text, 16, '0') AS plain,
    convert_to(lpad(i::text, 16, '0'), 'UTF8') AS bytes,
    '{"tenant": "acme", "type": "small.plain", "id": 100000}'::jsonb AS same,
    jsonb_build_object('tenant', 'acme', 'type', 'small.plain', 'id',
        100000 + i) AS own
FROM generate_series(1, :rows) AS i;

-- PLAIN: else the server would compress them, and measure that.
CREATE TABLE large (plain text, bytes bytea);
ALTER TABLE large ALTER plain SET STORAGE PLAIN,
    ALTER bytes SET STORAGE PLAIN;
INSERT INTO large
SELECT repeat(lpad(i::text, 16, '0'), 64),
    convert_to(repeat(lpad(i::text, 16, '0'), 64), 'UTF8')
FROM generate_series(1, :rows / 10) AS i;

-- The stored forms, for decryption.
CREATE TABLE stored AS
SELECT env_encrypt(plain, '{"tenant": "acme", "type": "small.plain", "id": 100000}')
        AS value,
    encrypt_iv(bytes, '0123456789abcdef0123456789abcdef', '0123456789abcdef',
        'aes') AS pgcrypto
FROM small;
CREATE TABLE stored_with_context AS
SELECT env_encrypt(plain, same) AS value, env_encrypt(plain, own) AS own_value,
    same, own
FROM small;
VACUUM (FREEZE, ANALYZE) small;
VACUUM (FREEZE, ANALYZE) large;
VACUUM (FREEZE, ANALYZE) stored;
VACUUM (FREEZE, ANALYZE) stored_with_context;

CREATE TABLE query (name text PRIMARY KEY, source text, text text);
INSERT INTO query VALUES
('scan', 'small', 'octet_length(plain)'),
('env_encrypt', 'small',
    'env_encrypt(plain, ''{"tenant": "acme", "type": "small.plain", "id": 100000}'')'),
('env_encrypt bytea', 'small',
    'env_encrypt(bytes, ''{"tenant": "acme", "type": "small.plain", "id": 100000}'')'),
('encrypt_iv, fixed IV', 'small',
    'encrypt_iv(bytes, ''0123456789abcdef0123456789abcdef'', ''0123456789abcdef'', ''aes'')'),
('encrypt_iv, random IV', 'small',
    'encrypt_iv(bytes, ''0123456789abcdef0123456789abcdef'', gen_random_bytes(16), ''aes'')'),
('env_encrypt, same context', 'small', 'env_encrypt(plain, same)'),
('env_encrypt, own context', 'small', 'env_encrypt(plain, own)'),
('env_encrypt, context built', 'small',
    'env_encrypt(plain, jsonb_build_object(''tenant'', ''acme'', ''type'', ''small.plain'', ''id'', id))'),
('scan stored', 'stored', 'value'),
('env_decrypt', 'stored',
    'env_decrypt(value, ''{"tenant": "acme", "type": "small.plain", "id": 100000}'')'),
('decrypt_iv', 'stored',
    'decrypt_iv(pgcrypto, ''0123456789abcdef0123456789abcdef'', ''0123456789abcdef'', ''aes'')'),
('env_decrypt, same context', 'stored_with_context',
    'env_decrypt(value, same)'),
('env_decrypt, own context', 'stored_with_context',
    'env_decrypt(own_value, own)'),
('scan 1 KiB', 'large', 'octet_length(plain)'),
('env_encrypt 1 KiB', 'large',
    'env_encrypt(plain, ''{"tenant": "acme", "type": "small.plain", "id": 100000}'')'),
('encrypt_iv, fixed IV 1 KiB', 'large',
    'encrypt_iv(bytes, ''0123456789abcdef0123456789abcdef'', ''0123456789abcdef'', ''aes'')');

CREATE TABLE took (round integer, name text, us float8);

-- Round 0 warms up.  Each round takes the queries in another order.
CREATE PROCEDURE measure(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    q query;
    started timestamptz;
    count bigint;
BEGIN
    FOR i IN 0..rounds LOOP
        FOR q IN SELECT * FROM query ORDER BY md5(name || i) LOOP
            started := clock_timestamp();
            EXECUTE format('SELECT count(%s) FROM %I', q.text, q.source)
                INTO count;
            INSERT INTO took VALUES (i, q.name, 1e6 / count
                * extract(epoch FROM clock_timestamp() - started));
        END LOOP;
    END LOOP;
    DELETE FROM took WHERE round = 0;
END $$;
CALL measure(:rounds);

\echo
\echo 'Microseconds per value, scan included'
SELECT name AS query,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric, 3) AS median,
    round(min(us)::numeric, 3) AS least,
    round(max(us)::numeric, 3) AS most
FROM took JOIN query USING (name) GROUP BY name, source
ORDER BY source <> 'small', source NOT LIKE 'stored%', median;

\echo 'Medians of the rounds'' ratios (differences, where it says us)'
WITH wanted(name, one, other, target, ratio) AS (VALUES
    (1, 'env_encrypt', 'encrypt_iv, fixed IV', 0.60, true),
    (2, 'env_encrypt', 'encrypt_iv, random IV', 0.35, true),
    (3, 'env_decrypt', 'decrypt_iv', 1.00, true),
    (4, 'env_encrypt 1 KiB', 'encrypt_iv, fixed IV 1 KiB', 0.60, true),
    (5, 'env_encrypt, own context', 'env_encrypt, same context', 0.6, false),
    (6, 'env_decrypt, own context', 'env_decrypt, same context', 0.6, false)
), medians AS (
    SELECT wanted.*, percentile_cont(0.5) WITHIN GROUP (ORDER BY
        CASE WHEN ratio THEN a.us / b.us ELSE a.us - b.us END) AS median
    FROM wanted JOIN took a ON a.name = one
        JOIN took b ON b.name = other AND b.round = a.round
    GROUP BY wanted.name, one, other, target, ratio
)
SELECT one || CASE WHEN ratio THEN ' / ' ELSE ' - ' END || other AS what,
    round(median::numeric, 2) || CASE WHEN ratio THEN '' ELSE ' us' END
        AS median,
    '<= ' || target || CASE WHEN ratio THEN '' ELSE ' us' END AS target,
    CASE WHEN median <= target THEN 'met' ELSE 'MISSED' END AS verdict
FROM medians ORDER BY name;
