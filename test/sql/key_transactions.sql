--
-- key_transactions: keys are created, rotated and granted in transactions.
-- What is rolled back, also by a savepoint or an exception, and done again
-- is done anew: a repeated rotation reuses the version's number with another
-- KEK, and values find the right one.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'transactions';

-- Created, used and rolled back
BEGIN;
SELECT pgenvelope.create_key('transactions', required_context => '{}') > 0 AS created;
SELECT env_encrypt('lost', '{}') AS lost \gset
SELECT env_decrypt(:'lost', '{}'), env_key(:'lost');
ROLLBACK;
SELECT env_decrypt(:'lost', '{}');
SELECT env_encrypt('x', '{}');
SELECT env_key(:'lost');

-- Created again: another key
SELECT pgenvelope.create_key('transactions', required_context => '{}') > 0 AS created;
SELECT env_decrypt(env_encrypt('kept', '{}'), '{}');
SELECT env_decrypt(:'lost', '{}');

-- A rotation rolled back by a savepoint, and repeated
SELECT env_encrypt('one', '{}') AS one \gset
BEGIN;
SAVEPOINT before;
SELECT pgenvelope.rotate_key('transactions');
SELECT env_encrypt('lost', '{}') AS lost \gset
SELECT env_decrypt(:'lost', '{}'), env_key_version(:'lost');
ROLLBACK TO before;
SELECT env_key_version(env_encrypt('x', '{}')), env_verify(:'lost', '{}');
SELECT pgenvelope.rotate_key('transactions');
SELECT env_encrypt('two', '{}') AS two \gset
SELECT env_key_version(:'two'), env_decrypt(:'two', '{}'),
    env_decrypt(:'one', '{}'), env_verify(:'lost', '{}');
RELEASE before;
COMMIT;
SELECT env_key_version(:'two'), env_decrypt(:'two', '{}'),
    env_decrypt(:'one', '{}'), env_verify(:'lost', '{}');

-- Rolled back whole, and repeated; the cache knows both KEKs
BEGIN;
SELECT pgenvelope.rotate_key('transactions');
SELECT env_encrypt('lost', '{}') AS lost \gset
SELECT env_decrypt(:'lost', '{}'), env_key_version(:'lost');
ROLLBACK;
SELECT env_verify(:'lost', '{}');
SELECT pgenvelope.rotate_key('transactions');
SELECT env_encrypt('three', '{}') AS three \gset
SELECT env_key_version(:'three'), env_decrypt(:'three', '{}'),
    env_verify(:'lost', '{}');
SELECT pgenvelope.evict_key('transactions') > 0 AS evicted;
SELECT env_decrypt(:'one', '{}'), env_decrypt(:'two', '{}'),
    env_decrypt(:'three', '{}'), env_verify(:'lost', '{}');

-- By an exception
\set VERBOSITY terse
DO $$
DECLARE
    value envelope;
BEGIN
    BEGIN
        RAISE NOTICE 'version %', pgenvelope.rotate_key('transactions');
        value := env_encrypt('lost', '{}');
        RAISE NOTICE '%', env_decrypt(value, '{}');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RAISE NOTICE 'version %, %',
            env_key_version(env_encrypt('x', '{}')), env_verify(value, '{}');
    END;
END
$$;

\set VERBOSITY sqlstate

-- Ten times, with values of each round that nobody else may open
CREATE TABLE transactions (round integer, value envelope);
DO $$
DECLARE
    value envelope;
BEGIN
    FOR round IN 1 .. 10 LOOP
        BEGIN
            PERFORM pgenvelope.rotate_key('transactions');
            value := env_encrypt('round ' || round, '{}');
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
            INSERT INTO transactions VALUES (round, value);
        END;
    END LOOP;
END
$$;
SELECT pgenvelope.rotate_key('transactions');
SELECT env_key_version(value), env_verify(value, '{}'), count(*)
FROM transactions GROUP BY 1, 2;
SELECT env_decrypt(env_encrypt('four', '{}'), '{}');

-- Grants
BEGIN;
SAVEPOINT before;
SELECT pgenvelope.revoke_key('transactions', 'decrypt', current_user::regrole);
SELECT pg_temp.outcome(format('SELECT env_decrypt(%L, %L)', :'one', '{}'));
ROLLBACK TO before;
SELECT env_decrypt(:'one', '{}');
SELECT pgenvelope.revoke_key('transactions', 'encrypt', current_user::regrole);
SELECT pg_temp.outcome('SELECT env_encrypt(''x'', ''{}'')');
ROLLBACK;
SELECT env_decrypt(env_encrypt('granted', '{}'), '{}');
BEGIN;
SELECT pgenvelope.revoke_key('transactions', 'decrypt', current_user::regrole);
COMMIT;
SELECT env_decrypt(:'one', '{}');
SELECT pgenvelope.grant_key('transactions', 'decrypt', current_user::regrole);
SELECT env_decrypt(:'one', '{}');

-- Two-phase commit
BEGIN;
SELECT pgenvelope.create_key('transactions 2', required_context => '{}') > 0 AS created;
SELECT env_encrypt('prepared', '{}', 'transactions 2') AS prepared \gset
PREPARE TRANSACTION 'pgenvelope';
SELECT env_decrypt(:'prepared', '{}');
COMMIT PREPARED 'pgenvelope';
SELECT env_decrypt(:'prepared', '{}');
BEGIN;
SELECT pgenvelope.rotate_key('transactions 2');
SELECT env_encrypt('lost', '{}', 'transactions 2') AS lost \gset
PREPARE TRANSACTION 'pgenvelope';
SELECT env_key_version(env_encrypt('x', '{}', 'transactions 2'));
ROLLBACK PREPARED 'pgenvelope';
SELECT pgenvelope.rotate_key('transactions 2');
SELECT env_verify(:'lost', '{}'), env_decrypt(:'prepared', '{}');

-- Read-only transactions read
BEGIN READ ONLY;
SELECT env_decrypt(:'one', '{}');
SELECT env_decrypt(env_encrypt('x', '{}'), '{}');
SELECT pgenvelope.rotate_key('transactions');
ROLLBACK;
BEGIN READ ONLY;
SELECT pgenvelope.create_key('transactions 3');
ROLLBACK;
BEGIN READ ONLY;
SELECT pgenvelope.grant_key('transactions', 'rewrap', current_user::regrole);
ROLLBACK;
BEGIN READ ONLY;
SELECT pgenvelope.revoke_key('transactions', 'rewrap', current_user::regrole);
ROLLBACK;
BEGIN READ ONLY;
SELECT pgenvelope.evict_key('transactions') > 0 AS evicted;
ROLLBACK;

-- Eviction costs a provider call, nothing else
SELECT pgenvelope.evict_key('transactions 4');
SELECT pgenvelope.evict_key('');
SELECT env_decrypt(:'one', '{}');
SELECT pgenvelope.evict_key('transactions') AS evicted;
SELECT pgenvelope.evict_key('transactions') AS evicted;
SELECT env_decrypt(:'one', '{}'), env_decrypt(:'two', '{}');
SELECT pgenvelope.evict_key('transactions') AS evicted;
SELECT env_decrypt(:'one', '{}');
SELECT pgenvelope.evict_key() >= 1 AS evicted;
SELECT pgenvelope.evict_key() AS evicted;
SELECT env_decrypt(:'two', '{}');
BEGIN;
SELECT env_encrypt('before', '{}') AS before \gset
SELECT pgenvelope.evict_key('transactions') > 0 AS evicted;
SELECT env_decrypt(:'before', '{}');
COMMIT;

DROP TABLE transactions;
