--
-- key_states: what each state of a key version allows, and what a damaged,
-- swapped or missing row of the key tables comes to.  States are set here by
-- a superuser's UPDATE, which takes effect at once.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'states';
SELECT pgenvelope.create_key('states', required_context => '{}') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'states' \gset
SELECT env_encrypt('one', '{}') AS one \gset
SELECT pgenvelope.rotate_key('states');
SELECT env_encrypt('two', '{}') AS two \gset

CREATE PROCEDURE pg_temp.set_state(key bigint, number integer, new text)
LANGUAGE sql AS $$
    UPDATE pgenvelope.key_version SET state = new,
        canary_percent = CASE WHEN new = 'pre_active' THEN 0 END
    WHERE key_id = key AND version = number
$$;
CREATE FUNCTION pg_temp.outcomes(one envelope, two envelope,
    OUT decrypt_one text, OUT verify_one text, OUT decrypt_two text,
    OUT encrypt text)
LANGUAGE sql AS $$
    SELECT pg_temp.outcome(format('SELECT env_decrypt(%L, %L)', one, '{}')),
        env_verify(one, '{}'),
        pg_temp.outcome(format('SELECT env_decrypt(%L, %L)', two, '{}')),
        pg_temp.outcome('SELECT env_key_version(env_encrypt(''x'', ''{}''))')
$$;

-- Two versions, each in every state
SELECT * FROM pg_temp.outcomes(:'one', :'two');
CALL pg_temp.set_state(:id, 1, 'retired');
SELECT * FROM pg_temp.outcomes(:'one', :'two');
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
CALL pg_temp.set_state(:id, 1, 'pre_active');
SELECT * FROM pg_temp.outcomes(:'one', :'two');
CALL pg_temp.set_state(:id, 2, 'deactivated');
SELECT * FROM pg_temp.outcomes(:'one', :'two');
\set VERBOSITY default
SELECT env_encrypt('x', '{}');
\set VERBOSITY sqlstate
SELECT env_reencrypt(:'one', '{}');
CALL pg_temp.set_state(:id, 1, 'active');
SELECT * FROM pg_temp.outcomes(:'one', :'two');
CALL pg_temp.set_state(:id, 2, 'active');
CALL pg_temp.set_state(:id, 1, 'deactivated');
CALL pg_temp.set_state(:id, 2, 'active');
SELECT * FROM pg_temp.outcomes(:'one', :'two');
CALL pg_temp.set_state(:id, 1, 'lost');

-- State comes before context: a retired version says so whatever is supplied
CALL pg_temp.set_state(:id, 1, 'retired');
SELECT env_decrypt(:'one', '{"wrong": 1}');
SELECT env_decrypt(:'one', NULL);
SELECT env_decrypt(:'one', '[]');

-- Destroyed: the row is left, and says what it was
CALL pg_temp.set_state(:id, 1, 'destroyed');
SELECT sealed_kek AS sealed_1, kcv AS kcv_1 FROM pgenvelope.key_version
WHERE key_id = :id AND version = 1 \gset
SELECT sealed_kek AS sealed_2, kcv AS kcv_2 FROM pgenvelope.key_version
WHERE key_id = :id AND version = 2 \gset
UPDATE pgenvelope.key_version SET sealed_kek = NULL
WHERE key_id = :id AND version = 1;
UPDATE pgenvelope.key_version SET state = 'destroyed', sealed_kek = NULL
WHERE key_id = :id AND version = 1;
SELECT * FROM pg_temp.outcomes(:'one', :'two');
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
SELECT env_inspect(:'one')->'key_version', env_key(:'one');

-- Another version's blob, another version's check value: refused by name
UPDATE pgenvelope.key_version
SET state = 'deactivated', sealed_kek = :'sealed_2'
WHERE key_id = :id AND version = 1;
\set VERBOSITY terse
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
SELECT * FROM pg_temp.outcomes(:'one', :'two');
UPDATE pgenvelope.key_version SET sealed_kek = :'sealed_1', kcv = :'kcv_2'
WHERE key_id = :id AND version = 1;
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
SELECT * FROM pg_temp.outcomes(:'one', :'two');
UPDATE pgenvelope.key_version SET sealed_kek = 'rubbish', kcv = :'kcv_1'
WHERE key_id = :id AND version = 1;
SELECT * FROM pg_temp.outcomes(:'one', :'two');
UPDATE pgenvelope.key_version SET sealed_kek = :'sealed_1'
WHERE key_id = :id AND version = 1;
SELECT * FROM pg_temp.outcomes(:'one', :'two');

-- Another provider has another root key; an unlisted one is not asked
UPDATE pgenvelope.key_version SET provider = 'spare' WHERE key_id = :id;
SELECT pgenvelope.evict_key('states') >= 0 AS evicted;
SELECT * FROM pg_temp.outcomes(:'one', :'two');
UPDATE pgenvelope.key_version SET provider = 'nowhere' WHERE key_id = :id;
SELECT pgenvelope.evict_key('states') >= 0 AS evicted;
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
UPDATE pgenvelope.key_version SET provider = 'main' WHERE key_id = :id;
SELECT pgenvelope.evict_key('states') >= 0 AS evicted;
SELECT * FROM pg_temp.outcomes(:'one', :'two');

-- Rows that are missing
DELETE FROM pgenvelope.rewrap_job WHERE key_id = :id;
DELETE FROM pgenvelope.key WHERE key_id = :id;
DELETE FROM pgenvelope.key_version WHERE key_id = :id AND version = 1;
SELECT * FROM pg_temp.outcomes(:'one', :'two');
\set VERBOSITY default
SELECT env_decrypt(:'one', '{}');
\set VERBOSITY sqlstate
DELETE FROM pgenvelope.key_version WHERE key_id = :id;
SELECT * FROM pg_temp.outcomes(:'one', :'two');
-- No number is given away again that stored values may bear
\set VERBOSITY default
SELECT pgenvelope.rotate_key('states');
\set VERBOSITY sqlstate
DELETE FROM pgenvelope.key_grant WHERE key_id = :id;
DELETE FROM pgenvelope.key_version WHERE key_id = :id;
DELETE FROM pgenvelope.key WHERE key_id = :id;
SELECT env_encrypt('x', '{}');
SELECT env_decrypt(:'one', '{}');
SELECT env_verify(:'one', '{}'), env_key(:'one'), env_inspect(:'one')->'key';

-- What the constraints refuse, superuser or not
SELECT pgenvelope.create_key('states') > 0 AS created;
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'states' \gset
UPDATE pgenvelope.key_version SET version = 0 WHERE key_id = :id;
UPDATE pgenvelope.key_version SET version = 65536 WHERE key_id = :id;
UPDATE pgenvelope.key_version SET kcv = '\x00' WHERE key_id = :id;
UPDATE pgenvelope.key_version SET sealed_kek = '' WHERE key_id = :id;
UPDATE pgenvelope.key_version
SET sealed_kek = decode(repeat('00', 4097), 'hex') WHERE key_id = :id;
UPDATE pgenvelope.key SET key_id = 0 WHERE key_id = :id;
UPDATE pgenvelope.key SET key_id = 281474976710656 WHERE key_id = :id;
UPDATE pgenvelope.key SET name = '' WHERE key_id = :id;
UPDATE pgenvelope.key SET name = repeat('x', 64) WHERE key_id = :id;
UPDATE pgenvelope.key SET required_context = '[]' WHERE key_id = :id;
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'select', current_user::regrole);
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', current_user::regrole);
UPDATE pgenvelope.key SET required_context = '{"a": 1.5}'
WHERE key_id = :id;
SELECT env_encrypt('x', '{"a": 1}');
