--
-- reseal: pgenvelope.reseal_keys moves keys to another provider, or seals them anew
-- by their own.  No value changes, all decrypt, and a former seal is kept until
-- the new one has been read back.
--
\i test/sql/include/prepare.sql
\set CONTEXT '{"tenant": "acme"}'

CREATE ROLE reseal_admin;
GRANT EXECUTE ON FUNCTION pgenvelope.reseal_keys(text, text, boolean),
    pgenvelope.create_key, pgenvelope.rotate_key,
    pgenvelope.evict_key(text) TO reseal_admin;
GRANT pg_monitor TO reseal_admin;
CREATE TABLE reseal_value (key text, version int, v envelope, before text);
GRANT ALL ON reseal_value TO reseal_admin;
CREATE VIEW reseal_seals AS
SELECT k.name, v.version, v.provider, s.provider AS kept
FROM pgenvelope.key k JOIN pgenvelope.key_version v USING (key_id)
LEFT JOIN pgenvelope.key_seal s USING (key_id, version)
WHERE name LIKE 'reseal %';

SET ROLE reseal_admin;
SELECT pgenvelope.reseal_keys();
SELECT pgenvelope.create_key(k, p, '{"tenant": null}') > 0 AS created
FROM (VALUES ('reseal file', 'main'), ('reseal pass', 'typed'),
    ('reseal other', 'main')) AS x (k, p);
INSERT INTO reseal_value
SELECT k, 1, env_encrypt('plain', :'CONTEXT', k)
FROM unnest(ARRAY['reseal file', 'reseal pass', 'reseal other']) AS k;
SELECT pgenvelope.rotate_key('reseal file');
INSERT INTO reseal_value
SELECT 'reseal file', 2, env_encrypt('plain', :'CONTEXT', 'reseal file');
UPDATE reseal_value SET before = v::text;

-- Nothing to do: one root key, which is in use
SELECT pgenvelope.reseal_keys('main', 'reseal file');
SELECT pgenvelope.reseal_keys(NULL, 'reseal file');

-- One key only, with all its versions
SELECT pgenvelope.reseal_keys('spare', 'reseal file');
RESET ROLE;
TABLE reseal_seals ORDER BY 1, 2;
SET ROLE reseal_admin;
SELECT key, version, env_decrypt(v, :'CONTEXT'), v::text = before AS same
FROM reseal_value ORDER BY 1, 2;

-- In a second connection, with nothing cached
\c
\i test/sql/include/prepare.sql
SELECT pgenvelope.evict_key() >= 0 AS evicted;
SET ROLE reseal_admin;
SELECT key, version, env_decrypt(v, :'CONTEXT'), v::text = before AS same
FROM reseal_value ORDER BY 1, 2;

-- Once more: the new seals are read back, and the former ones erased
SELECT pgenvelope.reseal_keys('spare', 'reseal file');
RESET ROLE;
TABLE reseal_seals ORDER BY 1, 2;
SET ROLE reseal_admin;

-- All keys that one administers, from a passphrase too
SELECT pgenvelope.reseal_keys('spare');
RESET ROLE;
TABLE reseal_seals ORDER BY 1, 2;
SET ROLE reseal_admin;
SELECT pgenvelope.evict_key() >= 0 AS evicted;
SELECT key, version, env_decrypt(v, :'CONTEXT'), v::text = before AS same
FROM reseal_value ORDER BY 1, 2;
SELECT pgenvelope.reseal_keys('spare');

-- A new version stays with the provider that the key has now
SELECT pgenvelope.rotate_key('reseal other');
SELECT version, provider FROM pgenvelope.keys WHERE name = 'reseal other'
ORDER BY 1;

-- To a passphrase, where each seal has a root key of its own: that is moved
-- once, and sealed anew if no provider is named
SELECT pgenvelope.reseal_keys('typed', 'reseal pass');
SELECT pgenvelope.reseal_keys('typed', 'reseal pass');
SELECT root_key AS before FROM pgenvelope.keys WHERE name = 'reseal pass' \gset
SELECT pgenvelope.reseal_keys(key => 'reseal pass');
SELECT root_key <> :'before' AS anew FROM pgenvelope.keys
WHERE name = 'reseal pass';

-- Rolled back, by a savepoint too: what was, is
BEGIN;
SELECT pgenvelope.reseal_keys('main', 'reseal other');
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT pgenvelope.reseal_keys('main', 'reseal other');
SELECT key, version, env_decrypt(v, :'CONTEXT') FROM reseal_value
WHERE key = 'reseal other';
ROLLBACK TO a;
SELECT key, version, env_decrypt(v, :'CONTEXT') FROM reseal_value
WHERE key = 'reseal other';
-- Twice in one transaction: what was in use before it is what is kept
SELECT pgenvelope.reseal_keys('main', 'reseal other'),
    pgenvelope.reseal_keys('typed', 'reseal other');
COMMIT;
RESET ROLE;
TABLE reseal_seals ORDER BY 1, 2;
SET ROLE reseal_admin;
SELECT pgenvelope.evict_key() >= 0 AS evicted;
SELECT key, version, env_decrypt(v, :'CONTEXT') FROM reseal_value ORDER BY 1, 2;

-- A former seal is not given up for one that does not open.  The way back is a
-- superuser's, to the seal that was kept
SELECT pgenvelope.reseal_keys('spare', 'reseal other');
RESET ROLE;
UPDATE pgenvelope.key_version v SET sealed_kek = set_byte(sealed_kek, 150,
    get_byte(sealed_kek, 150) # 1)
FROM pgenvelope.key k
WHERE k.key_id = v.key_id AND name = 'reseal other' AND version = 1;
SET ROLE reseal_admin;
\set VERBOSITY terse
SELECT pgenvelope.reseal_keys('main', 'reseal other');
\set VERBOSITY sqlstate
SELECT pg_temp.outcome($$SELECT env_decrypt(v, '{"tenant": "acme"}')
    FROM reseal_value WHERE key = 'reseal other'$$);
RESET ROLE;
SELECT name, version, provider, kept FROM reseal_seals
WHERE name = 'reseal other' ORDER BY 2;
UPDATE pgenvelope.key_version v
SET provider = s.provider, sealed_kek = s.sealed_kek, root_key = s.root_key
FROM pgenvelope.key_seal s JOIN pgenvelope.key k USING (key_id)
WHERE s.key_id = v.key_id AND s.version = v.version AND name = 'reseal other';
SET ROLE reseal_admin;
SELECT env_decrypt(v, :'CONTEXT') FROM reseal_value WHERE key = 'reseal other';
SELECT pgenvelope.reseal_keys('main', 'reseal other');

-- Refused
\set VERBOSITY default
SELECT pgenvelope.reseal_keys('nowhere');
SELECT pgenvelope.reseal_keys('main', 'no such key');
\set VERBOSITY sqlstate
RESET ROLE;
SELECT pgenvelope.create_key('reseal foreign', 'main') > 0 AS created;
SET ROLE reseal_admin;
SELECT pgenvelope.reseal_keys('spare', 'reseal foreign');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pgenvelope.reseal_keys(text, text, boolean) FROM reseal_admin;
SET ROLE reseal_admin;
SELECT pgenvelope.reseal_keys('spare');
RESET ROLE;
SELECT provider FROM pgenvelope.keys WHERE name = 'reseal foreign';
BEGIN READ ONLY;
SELECT pgenvelope.reseal_keys('spare', 'reseal foreign');
ROLLBACK;

-- A superuser may, as with all administration
SELECT pgenvelope.reseal_keys('spare', 'reseal foreign');

-- Nobody but by the function
SET ROLE reseal_admin;
SELECT * FROM pgenvelope.key_seal;
RESET ROLE;

DELETE FROM pgenvelope.rewrap_job;
DELETE FROM pgenvelope.key_seal;
DELETE FROM pgenvelope.key_grant;
DELETE FROM pgenvelope.key_version;
DELETE FROM pgenvelope.key;
DROP VIEW reseal_seals;
DROP TABLE reseal_value;
REVOKE ALL ON FUNCTION pgenvelope.create_key,
    pgenvelope.rotate_key, pgenvelope.evict_key(text) FROM reseal_admin;
