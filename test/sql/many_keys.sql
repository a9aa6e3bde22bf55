--
-- many_keys: one statement may meet more keys than a session holds, and more
-- than the server's cache does.  Keys that had to leave come back.
--
\i test/sql/include/prepare.sql
SHOW pgenvelope.key_cache_size;
SELECT count(pgenvelope.create_key('many ' || i, required_context => '{}'))
FROM generate_series(1, 300) i;
SELECT cached_keys > cache_size * 0.9 AS full FROM pgenvelope.stat;
CREATE TABLE many AS
    SELECT i, j, env_encrypt(i || '/' || j, '{}', 'many ' || i) AS value
    FROM generate_series(1, 4) j, generate_series(1, 300) i;
SELECT count(*), count(DISTINCT env_key(value)) FROM many
WHERE env_decrypt(value, '{}') = i || '/' || j;

-- Neighbours of one key, and of another each time
SELECT count(*) FROM (SELECT * FROM many ORDER BY i, j OFFSET 0) AS m
WHERE env_decrypt(value, '{}') = i || '/' || j;
SELECT count(*) FROM (SELECT * FROM many ORDER BY j, i DESC OFFSET 0) AS m
WHERE env_decrypt(value, '{}') = i || '/' || j;

-- Each value sealed anew while others are opened
UPDATE many SET value = env_reencrypt(value, '{}');
SELECT count(*) FROM many WHERE env_decrypt(value, '{}') = i || '/' || j;

-- Versions are keys of their own: with each row another one begins
SELECT i, pgenvelope.rotate_key('many 1'),
    env_key_version(env_encrypt('x', '{}', 'many 1'))
FROM generate_series(1, 3) i;
INSERT INTO many
    SELECT 1, pgenvelope.rotate_key('many 1'), env_encrypt('new', '{}', 'many 1')
    FROM generate_series(1, 100);
SELECT count(*), count(DISTINCT env_key_version(value)) FROM many
WHERE env_decrypt(value, '{}') = 'new' AND env_key_version(value) = j;
SELECT count(*) FROM pgenvelope.keys
WHERE name = 'many 1' AND state = 'deactivated';

-- All of them evicted: one call for each that is met
SELECT pgenvelope.evict_key() > 0 AS evicted;
SELECT unseal_calls AS was FROM pgenvelope.stat \gset
SELECT count(*) FROM many
WHERE i <= 50 AND env_decrypt(value, '{}') IS NOT NULL AND j <= 4;
SELECT unseal_calls - :was AS unseals FROM pgenvelope.stat;
DROP TABLE many;
