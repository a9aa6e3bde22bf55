--
-- storage: values in tables.  COPY in both formats, arrays, domains,
-- composites, out-of-line and very large values, slices, and statistics that
-- hold no sample.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'storage';
SELECT pgenvelope.create_key('storage', required_context => '{}') > 0 AS created;

CREATE DOMAIN secret AS envelope NOT NULL
    CHECK (env_key_version(VALUE) > 0);
CREATE TYPE pair AS (name text, value envelope);
CREATE TABLE storage (id integer, value envelope, several envelope[],
    domain secret, composite pair);
INSERT INTO storage
    SELECT i, env_encrypt('value ' || i, '{}'),
        ARRAY[env_encrypt('first', '{}'), NULL, env_encrypt('third', '{}')],
        env_encrypt('\x00ff'::bytea, '{}'),
        ROW('name', env_encrypt('in a composite', '{}'))::pair
    FROM generate_series(1, 100) i;
INSERT INTO storage VALUES (101, NULL, '{}', env_encrypt('', '{}'), NULL);
INSERT INTO storage VALUES (102, NULL, NULL, NULL, NULL);
INSERT INTO storage (domain) VALUES ('plaintext');

-- Read back
SELECT bool_and(env_decrypt(value, '{}') = 'value ' || id) AS value,
    bool_and(env_decrypt(several[1], '{}') = 'first'
             AND env_decrypt(several[3], '{}') = 'third'
             AND env_decrypt(several[2], '{}') IS NULL) AS several,
    bool_and(env_decrypt_bytea(domain, '{}') = '\x00ff') AS domain,
    bool_and(env_decrypt((composite).value, '{}') = 'in a composite')
        AS composite
FROM storage WHERE id <= 100;
SELECT several = several AND cardinality(several) = 3 AS equal
FROM storage WHERE id = 1;

-- COPY, text and binary, gives the same bytes
CREATE TABLE copied (LIKE storage);
\copy storage TO 'results/storage.text'
\copy copied FROM 'results/storage.text'
SELECT count(*) FROM storage s JOIN copied c ON s *= c;
TRUNCATE copied;
\copy storage TO 'results/storage.binary' (FORMAT binary)
\copy copied FROM 'results/storage.binary' (FORMAT binary)
SELECT count(*) FROM storage s JOIN copied c ON s *= c;
TRUNCATE copied;
\copy storage TO 'results/storage.csv' (FORMAT csv, FORCE_QUOTE *)
\copy copied FROM 'results/storage.csv' (FORMAT csv)
SELECT count(*) FROM storage s JOIN copied c ON s *= c;
SELECT count(*) FROM copied
WHERE env_decrypt(value, '{}') = 'value ' || id;

-- No sample in the statistics
ANALYZE storage;
SELECT attname, null_frac > 0 AS has_null_frac, avg_width > 78 AS has_width,
    n_distinct < -0.9 AS distinct, most_common_vals, histogram_bounds,
    correlation
FROM pg_stats WHERE tablename = 'storage' AND attname IN ('value', 'domain')
ORDER BY attname;
SELECT count(*) AS samples FROM pg_statistic
WHERE starelid = 'storage'::regclass
    AND staattnum IN (SELECT attnum FROM pg_attribute
                      WHERE attrelid = starelid
                          AND attname IN ('value', 'domain'))
    AND COALESCE(stavalues1::text, stavalues2::text, stavalues3::text,
                 stavalues4::text, stavalues5::text) IS NOT NULL;
CREATE TABLE empty (value envelope);
ANALYZE empty;
INSERT INTO empty VALUES (NULL);
ANALYZE empty;
SELECT null_frac, n_distinct FROM pg_stats WHERE tablename = 'empty';
EXPLAIN (COSTS OFF) SELECT * FROM storage WHERE value = domain;
SELECT count(*) FROM storage WHERE value = domain;

-- Out of line, never compressed; the header is read from a slice
CREATE TABLE large (id integer, value envelope);
INSERT INTO large VALUES (1, env_encrypt(repeat('x', 100000), '{}'));
INSERT INTO large SELECT 2, pg_temp.envelope(overlay(pg_temp.bytes(value)
    PLACING '\x0009' FROM 3)) FROM large;
INSERT INTO large VALUES (3, env_encrypt(repeat('x', 100000), '{}'));
SELECT id, pg_column_size(value), pg_column_compression(value),
    env_key_version(value), env_key(value)
FROM large ORDER BY id;
SELECT a.id AS a, b.id AS b, a.value = b.value AS equal,
    envelope_hash(a.value) = envelope_hash(b.value) AS alike
FROM large a JOIN large b ON a.id < b.id ORDER BY 1, 2;
SELECT env_decrypt(value, '{}') = repeat('x', 100000) FROM large
WHERE id = 1;
SELECT env_inspect(value)->'length' FROM large WHERE id = 1;
ALTER TABLE large ALTER value SET STORAGE extended;
INSERT INTO large SELECT 4, value FROM large WHERE id = 1;
SELECT env_decrypt(value, '{}') = repeat('x', 100000) FROM large
WHERE id = 4;
SELECT count(*) FROM large a JOIN large b ON a.value = b.value
WHERE a.id = 1 AND b.id = 4;

-- 100 MB
ALTER TABLE large ALTER value SET STORAGE external;
INSERT INTO large VALUES
    (5, env_encrypt(repeat(repeat('0123456789', 10000), 1000), '{}')),
    (6, env_encrypt(decode(repeat('00ff', 5000000), 'hex'), '{}'));
SELECT id, octet_length(pg_temp.bytes(value)), env_key_version(value),
    env_key(value)
FROM large WHERE id >= 5 ORDER BY 1;
SELECT env_decrypt(value, '{}') = repeat(repeat('0123456789', 10000), 1000)
FROM large WHERE id = 5;
SELECT env_decrypt_bytea(value, '{}') = decode(repeat('00ff', 5000000), 'hex'),
    value::text::envelope = value
FROM large WHERE id = 6;

-- Over 512 MiB
\set VERBOSITY default
SELECT env_encrypt(repeat(repeat('x', 1048576), 513), '{}');
\set VERBOSITY sqlstate

DROP TABLE storage, copied, empty, large;
DROP DOMAIN secret;
DROP TYPE pair;
