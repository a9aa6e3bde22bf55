--
-- keys: pgenvelope.create_key and what it refuses, what a key looks like in tables
-- and views, who may call what, and pgenvelope.rotate_key.
--
\i test/sql/include/prepare.sql
CREATE ROLE keys_user;
CREATE ROLE keys_admin;

-- A key: one active version, sealed, with all privileges for its creator
SELECT id BETWEEN 1 AND 281474976710655 AS created
FROM pgenvelope.create_key('keys') AS id;
SELECT name, version, state, provider, root_key ~ '^[0-9a-f]{16}$' AS root_key,
    required_context, key_id ~ '^[0-9a-f]{12}$' AS key_id,
    created_at <= activated_at AS activated, deactivated_at
FROM pgenvelope.keys WHERE name = 'keys';
SELECT name, created_at > now() - interval '1 hour' AS now,
    created_by = current_user AS by_me
FROM pgenvelope.key WHERE name = 'keys';
SELECT length(sealed_kek) > 100 AS sealed, length(kcv), retired_at,
    destroyed_at
FROM pgenvelope.key_version JOIN pgenvelope.key USING (key_id)
WHERE name = 'keys';
SELECT privilege, grantee::regrole = current_user::regrole AS mine, context,
    granted_by = current_user AS by_me
FROM pgenvelope.key_grant JOIN pgenvelope.key USING (key_id)
WHERE name = 'keys' ORDER BY privilege;

-- Names
SELECT pgenvelope.create_key('keys');
SELECT pgenvelope.create_key(NULL);
SELECT pgenvelope.create_key('');
SELECT pgenvelope.create_key(repeat('k', 64));
SELECT pgenvelope.create_key('schlüssel');
SELECT pgenvelope.create_key(E'tab\tulator');
SELECT pgenvelope.create_key(E'delete\x7f');
SELECT pgenvelope.create_key(repeat('k', 63)) > 0 AS created;
SELECT pgenvelope.create_key(repeat('k', 62)) > 0 AS created;
SELECT pgenvelope.create_key('Keys, "quoted" @home/1 \ and ''apart''') > 0 AS created;
SELECT pgenvelope.create_key(' ') > 0 AS created;
SELECT env_decrypt(env_encrypt('x', '{"tenant": "a", "type": "t"}', name),
                   '{"tenant": "a", "type": "t"}', name),
    env_key(env_encrypt('x', '{"tenant": "a", "type": "t"}', name)) = name
FROM pgenvelope.key
WHERE name IN (repeat('k', 63), repeat('k', 62), ' ',
               'Keys, "quoted" @home/1 \ and ''apart''');
\set VERBOSITY default
SELECT pgenvelope.create_key('keys');
SELECT pgenvelope.create_key(repeat('k', 64));
SELECT pgenvelope.create_key('schlüssel');
SELECT env_encrypt('x', '{}', repeat('k', 64));
SELECT env_encrypt('x', '{}', repeat('k', 61));
SELECT env_encrypt('x', '{}', 'KEYS');
SELECT env_encrypt('x', '{}', '');
\set VERBOSITY sqlstate

-- Providers: by name, and only those that are configured
SELECT pgenvelope.create_key('keys spare', 'spare') > 0 AS created;
SELECT pgenvelope.create_key('keys main', provider => 'main') > 0 AS created;
SELECT provider, count(DISTINCT root_key) FROM pgenvelope.keys
GROUP BY provider ORDER BY 1;
SELECT pgenvelope.create_key('keys nowhere', 'nowhere');
SELECT pgenvelope.create_key('keys nowhere', '');
SELECT pgenvelope.create_key('keys nowhere', 'MAIN');
SELECT pgenvelope.create_key('keys nowhere', 'main, spare');
SELECT pgenvelope.create_key('keys nowhere', repeat('main', 100));
SELECT pgenvelope.create_key('keys nowhere', 'file:///etc/passwd');
\set VERBOSITY default
SELECT pgenvelope.create_key('keys nowhere', 'nowhere');
\set VERBOSITY sqlstate

-- The required context: the argument, else the setting
SHOW pgenvelope.required_context;
SELECT pgenvelope.create_key('keys own',
    required_context => '{"tenant": "acme", "id": null}') > 0 AS created;
SET pgenvelope.required_context = '{"region": null}';
SELECT pgenvelope.create_key('keys set') > 0 AS created;
SELECT pgenvelope.create_key('keys none', required_context => '{}') > 0 AS created;
SET pgenvelope.required_context = 'tenant';
SELECT pgenvelope.create_key('keys bad');
SET pgenvelope.required_context = '["tenant"]';
SELECT pgenvelope.create_key('keys bad');
SET pgenvelope.required_context = '{"tenant": {}}';
SELECT pgenvelope.create_key('keys bad');
RESET pgenvelope.required_context;
SELECT name, required_context FROM pgenvelope.key
WHERE name IN ('keys', 'keys own', 'keys set', 'keys none') ORDER BY name;
SELECT left(required, 27) AS required, pg_temp.outcome(format(
    'SELECT pgenvelope.create_key(%L, required_context => %L) > 0', 'keys bad',
    required))
FROM unnest(ARRAY['null', '1', '"tenant"', '["tenant"]', '{"a": 1.5}',
    '{"a": {}}', '{"a": []}', '{"a": 9007199254740992}',
    '{"a": "' || repeat('x', 4096) || '"}']) AS required;

-- grant_creator => false leaves its creator to administer it, no more
SELECT pgenvelope.create_key('keys apart', grant_creator => false) > 0 AS created;
SELECT privilege FROM pgenvelope.key_grant JOIN pgenvelope.key USING (key_id)
WHERE name = 'keys apart';
SELECT env_encrypt('x', '{"tenant": "a", "type": "t"}', 'keys apart');
SELECT pgenvelope.create_key('keys null', grant_creator => NULL) > 0 AS created;
SELECT count(*) FROM pgenvelope.key_grant JOIN pgenvelope.key USING (key_id)
WHERE name = 'keys null';

-- Nobody may call these until told so
SET ROLE keys_user;
SELECT pgenvelope.create_key('keys user');
SELECT pgenvelope.rotate_key('keys');
SELECT pgenvelope.grant_key('keys', 'decrypt', 'keys_user');
SELECT pgenvelope.revoke_key('keys', 'decrypt', 'keys_user');
SELECT pgenvelope.evict_key();
SELECT * FROM pgenvelope.stat();
RESET ROLE;

-- A role that may: it administers what it created, and nothing else
GRANT EXECUTE ON FUNCTION pgenvelope.create_key, pgenvelope.rotate_key, pgenvelope.grant_key,
    pgenvelope.revoke_key, pgenvelope.evict_key TO keys_admin;
SET ROLE keys_admin;
SELECT pgenvelope.create_key('keys of admin') > 0 AS created;
SELECT pgenvelope.rotate_key('keys of admin');
SELECT env_decrypt(env_encrypt('x', '{"tenant": "a", "type": "t"}',
                               'keys of admin'),
                   '{"tenant": "a", "type": "t"}');
SELECT pgenvelope.rotate_key('keys');
SELECT pgenvelope.grant_key('keys', 'decrypt', 'keys_admin');
SELECT pgenvelope.revoke_key('keys', 'decrypt', 'keys_admin');
SELECT pgenvelope.evict_key('keys') AS evicted;     -- costs a provider call, no more
RESET ROLE;
SELECT created_by, granted_by, grantee, count(*)
FROM pgenvelope.key JOIN pgenvelope.key_grant USING (key_id)
WHERE name = 'keys of admin' GROUP BY 1, 2, 3;

-- Rotation: a new version encrypts, every version decrypts
SELECT env_encrypt('first', '{"tenant": "a", "type": "t"}', 'keys') AS first
\gset
SELECT pgenvelope.rotate_key('keys');
SELECT env_encrypt('second', '{"tenant": "a", "type": "t"}', 'keys') AS second
\gset
SELECT pgenvelope.rotate_key('keys');
SELECT env_decrypt(v, '{"tenant": "a", "type": "t"}'), env_key(v),
    env_key_version(v)
FROM unnest(ARRAY[:'first', :'second',
    env_encrypt('third', '{"tenant": "a", "type": "t"}', 'keys')]::envelope[])
    AS v;
SELECT version, state, activated_at IS NOT NULL AS activated,
    deactivated_at IS NOT NULL AS deactivated
FROM pgenvelope.keys WHERE name = 'keys' ORDER BY version;
SELECT count(DISTINCT kcv), count(DISTINCT sealed_kek)
FROM pgenvelope.key_version JOIN pgenvelope.key USING (key_id)
WHERE name = 'keys';
SELECT pgenvelope.rotate_key('keys nowhere');
SELECT pgenvelope.rotate_key(NULL);
SELECT pgenvelope.rotate_key('keys spare');
SELECT version, provider FROM pgenvelope.keys WHERE name = 'keys spare'
ORDER BY 1;

-- The last version number
DELETE FROM pgenvelope.rewrap_job;
UPDATE pgenvelope.key_version SET version = 65534
WHERE version = 3 AND key_id = (SELECT key_id FROM pgenvelope.key
                                WHERE name = 'keys');
SELECT pgenvelope.rotate_key('keys');
SELECT env_decrypt(v, '{"tenant": "a", "type": "t"}'), env_key_version(v)
FROM env_encrypt('last', '{"tenant": "a", "type": "t"}', 'keys') AS v;
SELECT pgenvelope.rotate_key('keys');
SELECT version, state FROM pgenvelope.keys WHERE name = 'keys' ORDER BY 1;

-- Renamed by the owner of the tables, a key still opens what it sealed
UPDATE pgenvelope.key SET name = 'keys renamed' WHERE name = 'keys';
SELECT env_decrypt(:'first', '{"tenant": "a", "type": "t"}'),
    env_key(:'first');
SELECT env_encrypt('x', '{"tenant": "a", "type": "t"}', 'keys');

-- Encrypting a NULL is a NULL, in any context and without a key
SELECT env_encrypt(NULL::text, '{}', 'keys nowhere') IS NULL,
    env_encrypt(NULL::bytea, NULL) IS NULL;

DROP OWNED BY keys_admin;
DROP ROLE keys_user, keys_admin;
