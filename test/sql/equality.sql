--
-- equality: = and <> compare what a rewrap may not change, which is all but
-- bytes 2 to 49, and the hash agrees.  So DISTINCT, joins, records and
-- REPLICA IDENTITY see one value before and after a rotation.  There is no
-- order, so nothing can sort values or index them by a btree.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'equality';
SELECT pgenvelope.create_key('equality', required_context => '{}') > 0 AS created;

-- What a rewrap does, as far as equality is concerned: another version, and
-- another wrap of the DEK
CREATE FUNCTION pg_temp.rewrapped(value envelope) RETURNS envelope
LANGUAGE sql AS $$
    SELECT pg_temp.envelope(overlay(overlay(pg_temp.bytes(value)
        PLACING '\x0009' FROM 3)
        PLACING decode(repeat('5a', 40), 'hex') FROM 11))
$$;

CREATE TABLE equality (id integer, value envelope);
INSERT INTO equality
    SELECT i, env_encrypt('value ' || i, '{}') FROM generate_series(1, 50) i;
INSERT INTO equality SELECT id, pg_temp.rewrapped(value) FROM equality;
ANALYZE equality;

-- Which of the bytes make another value.  (Of those that can be changed at
-- all: with another byte 0 it is no envelope.)
SELECT differs, min(i), max(i), count(*)
FROM equality, generate_series(2, length(pg_temp.bytes(value)) - 1) i,
    LATERAL (SELECT pg_temp.envelope(set_byte(pg_temp.bytes(value), i,
        get_byte(pg_temp.bytes(value), i) # 2)) <> value AS differs) AS d
WHERE id = 1 AND env_key_version(value) = 1
GROUP BY differs ORDER BY differs;
SELECT value = pg_temp.envelope(set_byte(pg_temp.bytes(value), 1, 16))
    AS text_and_bytea,
    value = pg_temp.envelope(pg_temp.bytes(value) || '\x00') AS longer
FROM equality WHERE id = 1 AND env_key_version(value) = 1;

-- Operators, both ways, and null
SELECT count(*) FILTER (WHERE a.value = b.value) AS equal,
    count(*) FILTER (WHERE NOT a.value <> b.value) AS not_different,
    count(*) FILTER (WHERE a.value = b.value AND a.id <> b.id) AS wrong,
    count(*) FILTER (WHERE a.value::text = b.value::text) AS same_bytes
FROM equality a, equality b;
SELECT value = NULL, value <> NULL, value IS DISTINCT FROM NULL,
    NULL::envelope IS NOT DISTINCT FROM NULL
FROM equality WHERE id = 1 AND env_key_version(value) = 1;

-- Sealed again, the same text in the same context is another value
SELECT env_encrypt('value 1', '{}') = env_encrypt('value 1', '{}');

-- Equal values hash alike, and few others do
SELECT bool_and(envelope_hash(a.value) = envelope_hash(b.value)) AS alike,
    bool_and(envelope_hash_extended(a.value, 0)
             = envelope_hash_extended(b.value, 0)) AS extended_alike,
    bool_or(envelope_hash_extended(a.value, 0)
            = envelope_hash_extended(b.value, 1)) AS seed_ignored
FROM equality a JOIN equality b USING (id);
SELECT count(DISTINCT envelope_hash(value)) > 45 AS spread,
    count(DISTINCT envelope_hash_extended(value, 7)) = 50 AS spread_extended,
    bool_and((envelope_hash_extended(value, 0) & 4294967295)
             = (envelope_hash(value)::bigint & 4294967295)) AS low_half
FROM equality;

-- Hash aggregation, joins, set operations, subplans
EXPLAIN (COSTS OFF) SELECT DISTINCT value FROM equality;
SELECT count(*) FROM (SELECT DISTINCT value FROM equality) AS d;
SELECT count(*), min(n), max(n)
FROM (SELECT count(*) AS n FROM equality GROUP BY value) AS g;
SELECT count(*) FROM (SELECT value FROM equality
                      UNION SELECT value FROM equality) AS u;
SELECT count(*) FROM (SELECT value FROM equality WHERE id <= 10
                      INTERSECT SELECT value FROM equality
                      WHERE id > 5 AND env_key_version(value) = 9) AS i;
SELECT count(*) FROM (SELECT value FROM equality
                      EXCEPT SELECT value FROM equality WHERE id > 5) AS e;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF)
SELECT count(*) FROM equality a JOIN equality b ON a.value = b.value;
SELECT count(*) FROM equality a JOIN equality b ON a.value = b.value;
RESET enable_nestloop;
SELECT count(*) FROM equality
WHERE value IN (SELECT value FROM equality WHERE id = 7);
SELECT count(*) FROM equality
WHERE value NOT IN (SELECT value FROM equality WHERE id = 7);
SELECT count(*) FROM equality a
WHERE value = ANY (ARRAY(SELECT value FROM equality WHERE id <= 2));

-- Records, whole rows and arrays compare by it; *= compares bytes.  Only
-- PostgreSQL's own "ROW(..) = ROW(..)" wants a btree.
SELECT count(*) FILTER (WHERE a = b) AS row_equal,
    count(*) FILTER (WHERE ROW(a.id, a.value) IS NOT DISTINCT FROM
                           ROW(b.id, b.value)) AS record_same,
    count(*) FILTER (WHERE a IS NOT DISTINCT FROM b) AS row_same,
    count(*) FILTER (WHERE a *= b) AS image_same,
    count(*) FILTER (WHERE ARRAY[a.value] = ARRAY[b.value]) AS array_equal,
    count(*) FILTER (WHERE array_position(ARRAY[a.value], b.value) = 1)
    AS array_found
FROM equality a JOIN equality b USING (id) WHERE id = 3;
SELECT count(*) FROM (SELECT DISTINCT equality FROM equality) AS rows;
SELECT count(*) FROM (SELECT DISTINCT ARRAY[value] FROM equality) AS arrays;

-- Hash indexes, exclusion by them, and hash partitions
CREATE INDEX equality_value ON equality USING hash (value);
SET enable_seqscan = off;
SELECT value AS one FROM equality
WHERE id = 4 AND env_key_version(value) = 9 \gset
PREPARE find (envelope) AS
    SELECT id, env_key_version(value) FROM equality WHERE value = $1
    ORDER BY 2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE find (:'one');
EXECUTE find (:'one');
RESET plan_cache_mode;
RESET enable_seqscan;
CREATE TABLE equality_once (value envelope,
    EXCLUDE USING hash (value WITH =));
INSERT INTO equality_once SELECT value FROM equality
WHERE env_key_version(value) = 1;
INSERT INTO equality_once VALUES (:'one');
CREATE TABLE equality_parts (value envelope) PARTITION BY HASH (value);
CREATE TABLE equality_part_0 PARTITION OF equality_parts
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE equality_part_1 PARTITION OF equality_parts
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO equality_parts SELECT value FROM equality;
SELECT count(*) FROM equality_part_0 JOIN equality_part_1 USING (value);

-- What needs an order
SELECT value FROM equality ORDER BY value;
SELECT count(DISTINCT value) FROM equality;
SELECT max(value) FROM equality;
SELECT value < value FROM equality;
CREATE INDEX ON equality (value);
CREATE UNIQUE INDEX ON equality USING hash (value);
ALTER TABLE equality ADD UNIQUE (value);
CREATE TABLE equality_key (value envelope PRIMARY KEY);
SELECT ROW(id, value) = ROW(id, value) FROM equality;
SELECT count(*) FROM equality a JOIN equality b ON a < b;

-- A trigger that compares OLD and NEW sleeps through a rewrap, and not
-- through anything else
CREATE FUNCTION pg_temp.changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'row % changed', NEW.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER changed BEFORE UPDATE ON equality FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION pg_temp.changed();
\set VERBOSITY terse
UPDATE equality SET value = pg_temp.rewrapped(value) WHERE id = 5;
UPDATE equality SET value = env_encrypt('value 6', '{}')
WHERE id = 6 AND env_key_version(value) = 9;
\set VERBOSITY sqlstate

-- After a rotation: rewrapped values are equal, sealed anew they are not
SELECT pgenvelope.rotate_key('equality');
SELECT value AS two FROM equality
WHERE id = 10 AND env_key_version(value) = 1 \gset
SELECT env_reencrypt(:'two', '{}') IS DISTINCT FROM :'two'::envelope
    AS reencrypted,
    pg_temp.rewrapped(:'two') IS DISTINCT FROM :'two'::envelope AS rewrapped;

DROP TABLE equality, equality_once, equality_parts;
