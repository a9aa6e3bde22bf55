--
-- honey: values that raise an alert when they are opened, and may lock the
-- grant.  Who opens one gets what he expects; nobody can tell which values
-- they are, or make one without administering the key.  (Alerts, and locks
-- that no rollback undoes, are in test/t/036_limits.pl.)
--
\i test/sql/include/prepare.sql
CREATE ROLE honey_a;
CREATE ROLE honey_b;
CREATE ROLE honey_admin;
CREATE ROLE honey_reader IN ROLE pg_read_all_data;
CREATE ROLE honey_writer IN ROLE pg_write_all_data, pg_read_all_data;
GRANT EXECUTE ON FUNCTION pgenvelope.mark_honey, pgenvelope.unmark_honey, pgenvelope.unlock_grant
    TO honey_a, honey_admin;
SELECT pgenvelope.create_key('honey', required_context => '{"id": null}') > 0
    AS created;
CREATE TABLE honey AS
    SELECT i AS id, env_encrypt('plain ' || i, jsonb_build_object('id', i),
                                'honey') AS value
    FROM generate_series(1, 100) i;
GRANT SELECT ON honey TO PUBLIC;
SELECT pgenvelope.grant_key('honey', 'decrypt', 'honey_a');
SELECT pgenvelope.grant_key('honey', 'encrypt', 'honey_a');
SELECT pgenvelope.grant_key('honey', 'admin', 'honey_admin');
CREATE FUNCTION pg_temp.context(id int) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id)
$$;

-- Marking one: by who administers the key, in the value's context.  It shows
-- nobody the plaintext
SET ROLE honey_a;
SELECT pgenvelope.mark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SET ROLE honey_admin;
SELECT pgenvelope.mark_honey(value, pg_temp.context(8)) FROM honey WHERE id = 7;
SELECT pgenvelope.mark_honey(value, '{}') FROM honey WHERE id = 7;
SELECT pgenvelope.mark_honey(value, NULL) FROM honey WHERE id = 7;
SELECT pgenvelope.mark_honey(NULL, '{}');
SELECT pgenvelope.mark_honey(value, pg_temp.context(id), note => repeat('x', 201))
FROM honey WHERE id = 7;
CREATE TABLE pg_temp.before AS SELECT * FROM honey WHERE id = 7;
SELECT pgenvelope.mark_honey(value, pg_temp.context(id), note => 'seven')
FROM honey WHERE id = 7;
SELECT pgenvelope.mark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 7;
RESET ROLE;
BEGIN READ ONLY;
SELECT pgenvelope.mark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 8;
ROLLBACK;

-- The value is what it was, and nothing in the table tells which it is
CREATE VIEW pg_temp.marks AS
    SELECT * FROM pgenvelope.honey
    WHERE key_id = (SELECT key_id FROM pgenvelope.key WHERE name = 'honey');
SELECT b.value::text = h.value::text AS same
FROM pg_temp.before b, honey h WHERE h.id = 7;
SELECT count(*), octet_length(mark), lock_grant, note, created_by
FROM pg_temp.marks GROUP BY mark, lock_grant, note, created_by;
SELECT count(*) AS found FROM pg_temp.marks m, honey h
WHERE position(m.mark IN pg_temp.bytes(h.value)) > 0
    OR position(substring(m.mark FOR 16) IN pg_temp.bytes(h.value)) > 0;
SET ROLE honey_a;
SELECT count(*) FROM pgenvelope.honey;
SET ROLE honey_writer;
INSERT INTO pgenvelope.honey SELECT * FROM pgenvelope.honey;
DELETE FROM pgenvelope.honey;
TRUNCATE pgenvelope.honey;
UPDATE pgenvelope.key_grant SET locked_at = NULL;
RESET ROLE;

-- Who opens it gets the plaintext; verifying and rewrapping it is no opening
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SELECT env_decrypt_bytea(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SELECT env_verify(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SELECT count(env_decrypt(value, pg_temp.context(id))) FROM honey;
RESET ROLE;
SELECT count(*) FROM pgenvelope.key_grant
WHERE grantee = 'honey_a'::regrole AND locked_at IS NOT NULL;

-- One that locks: the value comes, the next does not, whatever is rolled back
SELECT pgenvelope.mark_honey(value, pg_temp.context(id), true, 'nine') FROM honey
WHERE id = 9;
SET ROLE honey_a;
SELECT env_verify(value, pg_temp.context(id)) FROM honey WHERE id = 9;
SELECT env_decrypt(value, '{"id": 8}') FROM honey WHERE id = 9;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
BEGIN;
SAVEPOINT s;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 9;
ROLLBACK TO s;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
ROLLBACK;
\set VERBOSITY default
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
\set VERBOSITY sqlstate
SELECT env_verify(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SELECT env_reencrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;

-- To encrypt is not locked, nor is anybody else
SELECT env_key(env_encrypt('x', '{"id": 1}', 'honey'));
RESET ROLE;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;

-- Unlocking, by who may grant
SET ROLE honey_a;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SET ROLE honey_admin;
BEGIN;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
ROLLBACK;
SELECT pg_temp.outcome($$SELECT pgenvelope.unlock_grant('honey', NULL)$$);
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_admin;
BEGIN;
SAVEPOINT s;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
ROLLBACK TO s;
COMMIT;
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_admin;
BEGIN;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
PREPARE TRANSACTION 'unlock';
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SELECT pgenvelope.unlock_grant('honey', 'honey_b');
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;

-- A statement that comes upon it gets no further
SELECT count(env_decrypt(value, pg_temp.context(id))) FROM honey WHERE id >= 9;
SET ROLE honey_admin;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');

-- All grants by which the role could decrypt, or it would go on by another
RESET ROLE;
GRANT honey_b TO honey_a;
SELECT pgenvelope.grant_key('honey', 'decrypt', 'honey_b');
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 9;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_b;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_admin;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SELECT pgenvelope.unlock_grant('honey', 'honey_b');
RESET ROLE;
REVOKE honey_b FROM honey_a;

-- It stays honey under another version, and as a copy
SELECT pgenvelope.rotate_key('honey', rewrap => false);
CREATE TABLE honey_copy AS SELECT id, env_rewrap(value) AS value FROM honey;
GRANT SELECT ON honey_copy TO PUBLIC;
SET ROLE honey_a;
SELECT env_key_version(value), env_decrypt(value, pg_temp.context(id))
FROM honey_copy WHERE id = 9;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_admin;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');

-- Sealed anew by a job it is still honey; by a role that opens it, it is not
RESET ROLE;
DROP TABLE pg_temp.before;
SELECT pgenvelope.set_rewrap_context(t, 'value', 'id=id')
FROM (VALUES ('honey'::regclass), ('honey_copy')) AS tables (t);
\i test/sql/include/rewrap.sql
SELECT pgenvelope.start_rewrap('honey', kind => 'reencrypt') AS job \gset
CALL pg_temp.finish(:job);
SELECT count(*) FROM pg_temp.marks;
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey_copy WHERE id = 9;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
SET ROLE honey_admin;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SET ROLE honey_a;
CREATE TABLE pg_temp.anew AS
    SELECT env_reencrypt(value, pg_temp.context(id)) AS value FROM honey
    WHERE id = 9;
SET ROLE honey_admin;
SELECT pgenvelope.unlock_grant('honey', 'honey_a');
SET ROLE honey_a;
SELECT env_decrypt(value, pg_temp.context(9)) FROM pg_temp.anew;
SELECT env_decrypt(value, pg_temp.context(10)) FROM honey WHERE id = 10;

-- Taking the mark away
SET ROLE honey_admin;
SELECT pgenvelope.unmark_honey(value, pg_temp.context(8)) FROM honey WHERE id = 9;
SELECT pgenvelope.unmark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 9;
SELECT pgenvelope.unmark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 9;
SET ROLE honey_a;
SELECT pgenvelope.unmark_honey(value, pg_temp.context(id)) FROM honey WHERE id = 7;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 9;
SELECT env_decrypt(value, pg_temp.context(id)) FROM honey WHERE id = 10;
RESET ROLE;

DROP TABLE honey, honey_copy;
DROP OWNED BY honey_a, honey_b, honey_admin, honey_reader, honey_writer;
DROP ROLE honey_a, honey_b, honey_admin, honey_reader, honey_writer;
