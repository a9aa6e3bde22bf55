--
-- stat: the counters of pgenvelope.stat, and by them that a KEK is unsealed
-- once, however many values of however many sessions need it.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'stat';
SELECT pgenvelope.create_key('stat', required_context => '{}') > 0 AS created;
SELECT keeper_pid > 0 AS keeper, keeper_starts > 0 AS started,
    cached_keys BETWEEN 1 AND cache_size AS cached,
    cache_size, memory_locked IS NOT NULL AS known
FROM pgenvelope.stat;

-- What a statement adds
CREATE TABLE before AS SELECT * FROM pgenvelope.stat;
CREATE FUNCTION pg_temp.since(OUT hits bigint, OUT misses bigint,
    OUT evictions bigint, OUT seals bigint, OUT unseals bigint,
    OUT failures bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.hits - b.hits, s.misses - b.misses, s.evictions - b.evictions,
        s.seal_calls - b.seal_calls, s.unseal_calls - b.unseal_calls,
        s.failed_unavailable + s.failed_throttled + s.failed_denied
            + s.failed_not_found + s.failed_disabled + s.failed_integrity
            + s.failed_misconfigured
        - b.failed_unavailable - b.failed_throttled - b.failed_denied
            - b.failed_not_found - b.failed_disabled - b.failed_integrity
            - b.failed_misconfigured
    INTO hits, misses, evictions, seals, unseals, failures
    FROM pgenvelope.stat s, before b;
    DELETE FROM before;
    INSERT INTO before SELECT * FROM pgenvelope.stat;
END
$$;

-- Creating a key is one call to seal it and one to prove the seal; then it is
-- in the cache
SELECT pgenvelope.create_key('stat 2', required_context => '{}') > 0 AS created;
SELECT seals, unseals, failures FROM pg_temp.since();
SELECT count(*) FROM generate_series(1, 1000)
WHERE env_encrypt('x', '{}', 'stat 2') IS NOT NULL;
SELECT hits, misses, seals, unseals FROM pg_temp.since();
SELECT pgenvelope.rotate_key('stat 2');
SELECT seals, unseals, failures FROM pg_temp.since();

-- Evicted, it is unsealed once for any number of values
CREATE TABLE stat AS SELECT env_encrypt('x', '{}') AS value
    FROM generate_series(1, 1000);
SELECT pgenvelope.evict_key('stat');
SELECT evictions FROM pg_temp.since();
SELECT count(*) FROM stat WHERE env_decrypt(value, '{}') = 'x';
SELECT hits, misses, evictions, unseals, failures FROM pg_temp.since();
SELECT pgenvelope.evict_key('stat');
SELECT evictions FROM pg_temp.since();
SELECT count(*) FROM stat WHERE env_verify(value, '{"a": 1}') <> 'ok';
SELECT hits, misses, unseals, failures FROM pg_temp.since();

-- Another session has it of the cache
\connect -
\i test/sql/include/prepare.sql
SELECT unseal_calls AS was FROM pgenvelope.stat \gset
SELECT count(*) FROM stat WHERE env_decrypt(value, '{}') = 'x';
SELECT unseal_calls - :was AS unseals FROM pgenvelope.stat;

-- Both versions of a key, one call each
SELECT pgenvelope.rotate_key('stat');
INSERT INTO stat SELECT env_encrypt('x', '{}', 'stat')
    FROM generate_series(1, 1000);
SELECT pgenvelope.evict_key('stat');
SELECT unseal_calls AS was FROM pgenvelope.stat \gset
SELECT env_key_version(value), count(*) FROM stat
WHERE env_decrypt(value, '{}') = 'x' GROUP BY 1 ORDER BY 1;
SELECT unseal_calls - :was AS unseals FROM pgenvelope.stat;

-- A KEK that cannot be had is asked for once in a while, and counted
SELECT key_id AS id FROM pgenvelope.key WHERE name = 'stat' \gset
UPDATE pgenvelope.key_version SET sealed_kek = 'rubbish'
WHERE key_id = :id AND version = 1;
SELECT failed_integrity AS was FROM pgenvelope.stat \gset
SELECT env_verify(value, '{}'), count(*) FROM stat GROUP BY 1 ORDER BY 1;
SELECT failed_integrity - :was AS failures FROM pgenvelope.stat;
\set VERBOSITY default
SELECT count(env_decrypt(value, '{}')) FROM stat;
\set VERBOSITY sqlstate

-- A key of another database is not in this one's cache, not even where its
-- rows are copied there: it is unsealed anew
SELECT encode(sealed_kek, 'hex') AS sealed, encode(kcv, 'hex') AS kcv, root_key,
    value
FROM pgenvelope.key_version, stat
WHERE key_id = :id AND version = 2 AND env_key_version(value) = 2
LIMIT 1 \gset
SELECT current_database() AS home \gset
CREATE DATABASE stat;
\connect stat
\i test/sql/include/prepare.sql
SELECT env_decrypt(:'value', '{}');
INSERT INTO pgenvelope.key (key_id, name, required_context)
VALUES (:id, 'stat', '{}');
INSERT INTO pgenvelope.key_version (key_id, version, state, provider,
    sealed_kek, kcv, root_key)
VALUES (:id, 2, 'active', 'main', decode(:'sealed', 'hex'),
        decode(:'kcv', 'hex'), :'root_key');
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
VALUES (:id, 'decrypt', current_user::regrole);
SELECT unseal_calls AS was FROM pgenvelope.stat \gset
SELECT env_decrypt(:'value', '{}');
SELECT unseal_calls - :was AS unseals FROM pgenvelope.stat;
-- and eviction is each database's own
SELECT pgenvelope.evict_key() AS evicted;
\connect :"home"
\i test/sql/include/prepare.sql
SELECT unseal_calls AS was FROM pgenvelope.stat \gset
SELECT env_decrypt(:'value', '{}');
SELECT unseal_calls - :was AS unseals FROM pgenvelope.stat;
DROP DATABASE stat;
DROP TABLE stat, before;
