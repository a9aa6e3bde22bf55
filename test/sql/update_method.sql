--
-- update_method: what a rewrap does to tables of every kind.  Rows are
-- replaced like those of an UPDATE, with indexes, generated columns and
-- constraints, but nothing of the table's triggers, rules, policies and
-- privileges has a part in it.
--
\i test/sql/include/prepare.sql
\set ECHO none
-- Does the steps of the key's job for as long as there is something to do;
-- returns what became of one table.
CREATE FUNCTION pg_temp.rewrap(name regclass) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
    done record;
    moved bigint := 0;
    result text;
BEGIN
    SELECT max(job_id) INTO STRICT job FROM pgenvelope.rewrap_job
    JOIN pgenvelope.key USING (key_id) WHERE key.name = 'update method';
    FOR i IN 1..1000 LOOP
        done := pgenvelope.step_rewrap(job);
        IF done.relation = 'public.' || rewrap.name THEN
            moved := moved + done.rewrapped;
        END IF;
        EXIT WHEN done.step <> 'more' OR done.state = 'proving';
    END LOOP;
    SELECT string_agg(format(', %s %s', count, category), '' ORDER BY category)
    INTO result
    FROM (SELECT category, count(*) FROM pgenvelope.rewrap_failure f
          WHERE job_id = job AND f.relation = rewrap.name GROUP BY 1) AS f;
    RETURN format('%s moved%s', moved, result);
END
$$;
-- How many values of each version a table has, and whether they all open.
CREATE FUNCTION pg_temp.versions(name text, OUT version int, OUT count bigint, OUT opens boolean) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT env_key_version(c), count(*), '
        'bool_and(env_decrypt(c, jsonb_build_object(''id'', id)) = ''value '' || id) '
        'FROM %s GROUP BY 1 ORDER BY 1', name);
END
$$;
CREATE FUNCTION pg_temp.value(id int) RETURNS envelope LANGUAGE sql AS $$
    SELECT env_encrypt('value ' || id, jsonb_build_object('id', id), 'update method')
$$;
\set ECHO all
SELECT pgenvelope.create_key('update method', required_context => '{"id": null}') > 0 AS created;

-- Triggers of every kind, rules, forced row security, no privileges at all
CREATE ROLE update_method_owner;
CREATE TABLE armed (id int PRIMARY KEY, c envelope);
INSERT INTO armed SELECT g, pg_temp.value(g) FROM generate_series(1, 5) g;
CREATE FUNCTION update_method_raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'trigger % fired', TG_NAME;
END
$$;
CREATE TRIGGER b BEFORE UPDATE ON armed FOR EACH ROW
    EXECUTE FUNCTION update_method_raise();
CREATE TRIGGER always AFTER UPDATE ON armed FOR EACH ROW
    EXECUTE FUNCTION update_method_raise();
CREATE TRIGGER replica BEFORE UPDATE ON armed FOR EACH ROW
    EXECUTE FUNCTION update_method_raise();
CREATE TRIGGER statement BEFORE UPDATE ON armed
    EXECUTE FUNCTION update_method_raise();
ALTER TABLE armed ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica;
CREATE RULE nothing AS ON UPDATE TO armed DO INSTEAD NOTHING;
CREATE POLICY none ON armed USING (false);
ALTER TABLE armed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE armed OWNER TO update_method_owner;
REVOKE ALL ON armed FROM update_method_owner, PUBLIC;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('armed');
SELECT * FROM pg_temp.versions('armed');

-- Rows that need not be moved are left alone
CREATE TABLE mixed (id int PRIMARY KEY, c envelope, other envelope);
INSERT INTO mixed SELECT g, pg_temp.value(g), NULL FROM generate_series(1, 3) g;
SELECT pgenvelope.rotate_key('update method');
INSERT INTO mixed VALUES (4, pg_temp.value(4), pg_temp.value(4)), (5, NULL, NULL);
CREATE TEMP TABLE before AS SELECT id, ctid AS place FROM mixed;
SELECT pg_temp.rewrap('mixed');
SELECT id, m.ctid = place AS same_place, env_key_version(c), env_key_version(other)
FROM mixed m JOIN before USING (id) ORDER BY id;
SELECT pg_temp.rewrap('mixed');
-- ... nor those of other keys
SELECT pgenvelope.create_key('other', required_context => '{}') > 0 AS created;
INSERT INTO mixed VALUES (6, env_encrypt('x', '{}', 'other'));
SELECT pgenvelope.rotate_key('other', rewrap => false);
SELECT pg_temp.rewrap('mixed');
DELETE FROM mixed WHERE id > 4;

-- Columns that were dropped or added with a default, which is an envelope
CREATE TABLE fast (gone int, id int PRIMARY KEY, wide text);
INSERT INTO fast SELECT 0, g, repeat('x', 100) FROM generate_series(1, 3) g;
ALTER TABLE fast DROP COLUMN gone;
\set ECHO none
SELECT format('ALTER TABLE fast ADD COLUMN c envelope DEFAULT %L', pg_temp.value(1)) \gexec
\set ECHO all
ALTER TABLE fast ADD COLUMN n int NOT NULL DEFAULT 7;
SELECT atthasmissing FROM pg_attribute WHERE attrelid = 'fast'::regclass AND attname = 'c';
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('fast');
SELECT id, length(wide), n, env_key_version(c), env_decrypt(c, '{"id": 1}') FROM fast ORDER BY id;

-- Generated columns are computed anew, constraints checked
CREATE TABLE computed (id int PRIMARY KEY, c envelope,
    version int GENERATED ALWAYS AS (env_key_version(c)) STORED,
    twin envelope GENERATED ALWAYS AS (c) STORED,
    half int GENERATED ALWAYS AS (id / 2) STORED);
INSERT INTO computed SELECT g, pg_temp.value(g) FROM generate_series(1, 4) g;
ALTER TABLE computed ADD CONSTRAINT three_stays CHECK (id <> 3 OR env_key_version(c) < 5);
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('computed');
SELECT id, env_key_version(c), version, env_key_version(twin), half FROM computed ORDER BY id;

-- Domains over the type, with their constraints
CREATE DOMAIN secret AS envelope CHECK (octet_length(envelope_send(VALUE)) < 200);
CREATE DOMAIN secret_of_five AS secret CHECK (env_key_version(VALUE) <= 5);
CREATE TABLE domains (id int PRIMARY KEY, c secret, d secret_of_five);
INSERT INTO domains SELECT g, pg_temp.value(g) FROM generate_series(1, 2) g;
INSERT INTO domains VALUES (3, pg_temp.value(3), pg_temp.value(3));
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('domains');
SELECT * FROM pg_temp.versions('domains');

-- Indexes find the rows: hash, expression, partial, INCLUDE, unique, GiST
CREATE TABLE indexed (id int PRIMARY KEY, c envelope, place point, n int UNIQUE DEFERRABLE INITIALLY DEFERRED,
    EXCLUDE USING gist (circle(place, 0.1) WITH &&),
    EXCLUDE USING hash (c WITH =));
CREATE INDEX indexed_version ON indexed (env_key_version(c));
CREATE INDEX indexed_partial ON indexed (id) WHERE env_key_version(c) = 7;
CREATE INDEX indexed_include ON indexed (n) INCLUDE (c);
CREATE INDEX indexed_brin ON indexed USING brin (id);
INSERT INTO indexed SELECT g, pg_temp.value(g), point(g, g), g FROM generate_series(1, 100) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('indexed');
SELECT * FROM pg_temp.versions('indexed');
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM indexed WHERE env_key_version(c) = 7;
SELECT count(*) FROM indexed WHERE env_key_version(c) = 7;
SELECT count(*) FROM indexed WHERE env_key_version(c) = 6;
EXPLAIN (COSTS OFF) SELECT id FROM indexed WHERE id = 50 AND env_key_version(c) = 7;
SELECT id FROM indexed WHERE id = 50 AND env_key_version(c) = 7;
SELECT i.id FROM indexed i WHERE i.c = (SELECT env_rewrap(j.c) FROM indexed j WHERE j.id = 60);
SELECT id FROM indexed WHERE place <@ box '((9.5,9.5),(10.5,10.5))';
SELECT id FROM indexed WHERE n = 70;
RESET enable_seqscan;

-- HOT, where no index has the column
CREATE TABLE hot (id int PRIMARY KEY, c envelope) WITH (fillfactor = 40);
INSERT INTO hot SELECT g, pg_temp.value(g) FROM generate_series(1, 20) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('hot');
SELECT max(ctid) < '(1,0)' AS same_page FROM hot;
SELECT * FROM pg_temp.versions('hot');

-- Partitions with columns in another order; the partitioned table has none
CREATE TABLE parts (id int, c envelope, note text) PARTITION BY LIST (id);
CREATE TABLE parts_1 (note text, gone int, c envelope, id int);
ALTER TABLE parts_1 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES IN (1, 2, 3);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (4, 5);
CREATE INDEX ON parts (note);
INSERT INTO parts SELECT g, pg_temp.value(g), 'note ' || g FROM generate_series(1, 5) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('parts_1');
SELECT * FROM pg_temp.versions('parts');
SELECT id, note FROM parts ORDER BY id;
CREATE TABLE hashed (c envelope, id int) PARTITION BY HASH (c);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT pg_temp.value(g), g FROM generate_series(1, 10) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('hashed_0') IS NOT NULL AS done;
SELECT * FROM pg_temp.versions('hashed');

-- Inheritance: each table by itself
CREATE TABLE ancestor (id int, c envelope);
CREATE TABLE heir (more envelope) INHERITS (ancestor);
INSERT INTO ancestor VALUES (1, pg_temp.value(1));
INSERT INTO heir VALUES (2, pg_temp.value(2), pg_temp.value(3));
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('heir');
SELECT * FROM pg_temp.versions('ONLY ancestor');
SELECT * FROM pg_temp.versions('ancestor');

-- Foreign keys, in both directions, and rows that they lock
CREATE TABLE parent (id int PRIMARY KEY, c envelope);
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE, c envelope);
INSERT INTO parent SELECT g, pg_temp.value(g) FROM generate_series(1, 3) g;
INSERT INTO child SELECT g, pg_temp.value(g) FROM generate_series(1, 3) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('parent');
SELECT * FROM pg_temp.versions('parent');
SELECT * FROM pg_temp.versions('child');
DELETE FROM parent WHERE id = 2;
SELECT id FROM child ORDER BY id;

-- Values out of line, with others that stay where they are; compressed ones
CREATE TABLE large (id int PRIMARY KEY, c envelope, big envelope, note text);
ALTER TABLE large ALTER note SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, pg_temp.value(g), env_encrypt(repeat('0123456789', 10000), '{"id": 0}', 'update method'),
    repeat('note', 5000) FROM generate_series(1, 4) g;
SET pgenvelope.store_context = on;
ALTER TABLE large ALTER big SET STORAGE EXTENDED;
INSERT INTO large SELECT g, pg_temp.value(g), env_encrypt('short', jsonb_build_object('id', g, 'x', repeat('x', 3500)), 'update method')
FROM generate_series(5, 6) g;
RESET pgenvelope.store_context;
SELECT id, pg_column_size(big) < 2000 AS compressed FROM large WHERE id > 4;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('large');
SELECT * FROM pg_temp.versions('large');
SELECT id, env_key_version(big), length(env_decrypt(big, CASE WHEN id < 5 THEN '{"id": 0}' ELSE jsonb_build_object('id', id, 'x', repeat('x', 3500)) END)), note = repeat('note', 5000) AS note
FROM large ORDER BY id;

-- What does not open is passed over, and all else is done
CREATE TABLE damaged (id int PRIMARY KEY, c envelope);
INSERT INTO damaged SELECT g, pg_temp.value(g) FROM generate_series(1, 300) g;
UPDATE damaged SET c = pg_temp.envelope(set_byte(pg_temp.bytes(c), 20, get_byte(pg_temp.bytes(c), 20) # 1)) WHERE id % 100 = 7;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('damaged');
SELECT env_key_version(c), count(*) FROM damaged GROUP BY 1 ORDER BY 1;

-- An index whose expression fails on what would be written: the table's rows
-- but those are moved, and nothing of what it says is kept
CREATE TABLE refused (id int PRIMARY KEY, c envelope);
CREATE FUNCTION update_method_refuse(id int, c envelope) RETURNS int
IMMUTABLE LANGUAGE plpgsql SET search_path = public, envelope AS $$
BEGIN
    IF env_key_version(c) > 14 AND id IN (1, 6, 7, 20) THEN
        RAISE 'the secret is %', c;
    END IF;
    RETURN 0;
END
$$;
CREATE INDEX ON refused (update_method_refuse(id, c));
INSERT INTO refused SELECT g, pg_temp.value(g) FROM generate_series(1, 20) g;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('refused');
SELECT * FROM pg_temp.versions('refused');
SELECT id FROM refused WHERE env_key_version(c) = 14 ORDER BY id;
SELECT DISTINCT last_error FROM pgenvelope.rewrap_target
WHERE relation = 'refused'::regclass AND last_error IS NOT NULL;

-- Code of the table's owner runs as the owner, and may not decrypt
CREATE TABLE acting (id int PRIMARY KEY, c envelope);
CREATE FUNCTION update_method_acting(id int, c envelope) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF envelope.env_key_version(c) > 15 THEN
        RAISE WARNING 'role %, search path %, decrypt %', current_user,
            current_setting('search_path'), pg_temp.outcome(format(
            'SELECT envelope.env_decrypt(%L, ''{"id": 1}'')', c));
    END IF;
    RETURN true;
END
$$;
ALTER TABLE acting ADD CHECK (update_method_acting(id, c));
INSERT INTO acting VALUES (1, pg_temp.value(1));
ALTER TABLE acting OWNER TO update_method_owner;
SELECT pgenvelope.grant_key('update method', 'decrypt', 'update_method_owner');
SELECT pgenvelope.rotate_key('update method');
\set VERBOSITY terse
SELECT pg_temp.rewrap('acting');
\set VERBOSITY sqlstate
SELECT current_user = session_user AS as_before,
    current_setting('search_path') AS search_path;
SELECT pgenvelope.revoke_key('update method', 'decrypt', 'update_method_owner');

-- A published table needs a replica identity, as for UPDATE
CREATE TABLE published (id int, c envelope);
INSERT INTO published VALUES (1, pg_temp.value(1));
CREATE PUBLICATION update_method FOR TABLE published;
SELECT pgenvelope.rotate_key('update method');
SELECT pg_temp.rewrap('published');
SELECT last_error FROM pgenvelope.rewrap_target
WHERE relation = 'published'::regclass AND last_error IS NOT NULL;
ALTER TABLE published REPLICA IDENTITY FULL;
SELECT pgenvelope.start_rewrap('update method') > 0 AS started;
SELECT pg_temp.rewrap('published');
SELECT * FROM pg_temp.versions('published');
DROP PUBLICATION update_method;

DROP TABLE armed, mixed, fast, computed, domains, indexed, hot, parts, hashed,
    heir, ancestor, child, parent, large, damaged, refused, acting, published;
DROP DOMAIN secret_of_five, secret;

-- Reencrypt: payloads are sealed anew, in the context that the row gives
CREATE TABLE sealed (id int, c envelope, part text) PARTITION BY LIST (part);
CREATE TABLE sealed_a PARTITION OF sealed FOR VALUES IN ('a');
INSERT INTO sealed SELECT g, pg_temp.value(g), 'a' FROM generate_series(1, 5) g;
INSERT INTO sealed VALUES (NULL, pg_temp.value(6), 'a'),    -- no context
    (8, pg_temp.value(7), 'a'),                             -- another one
    (9, NULL, 'a');
INSERT INTO sealed SELECT 10, env_encrypt(repeat('large', 20000),
    '{"id": 10}', 'update method'), 'a';
CREATE TEMP TABLE sealed_before AS SELECT id, pg_temp.bytes(c) AS c FROM sealed;
SELECT pgenvelope.rotate_key('update method', rewrap => false);
\set VERBOSITY default
SELECT pgenvelope.start_rewrap('update method', 'reencrypt') > 0 AS started;
\set VERBOSITY sqlstate
SELECT pgenvelope.set_rewrap_context('sealed', 'c', 'id=id');
SELECT pgenvelope.start_rewrap('update method', 'reencrypt') > 0 AS started;
SELECT pg_temp.rewrap('sealed_a');
SELECT id, env_key_version(s.c), env_verify(s.c, jsonb_build_object('id', id)),
    env_inspect(s.c)->>'payload' AS payload,
    substr(pg_temp.bytes(s.c), 51) = substr(b.c, 51) AS same_seal
FROM sealed s JOIN sealed_before b USING (id) ORDER BY id;

SELECT count(pgenvelope.cancel_rewrap(job_id)) >= 0 AS cancelled
FROM pgenvelope.rewrap_job JOIN pgenvelope.key USING (key_id)
WHERE name = 'update method' AND state NOT IN ('complete', 'cancelled');
SET client_min_messages = warning;
DELETE FROM pgenvelope.rewrap_table;
DROP TABLE sealed;
DROP FUNCTION update_method_raise(), update_method_refuse, update_method_acting;
DROP ROLE update_method_owner;
