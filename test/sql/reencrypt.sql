--
-- reencrypt: env_reencrypt seals a value anew with the active version,
-- env_rebind moves one to another context.  Both need the right to decrypt
-- and to encrypt, and keep whether the payload is text.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'reencrypt';
SELECT pgenvelope.create_key('reencrypt', required_context => '{"id": null}') > 0
    AS created;
CREATE TABLE reencrypt AS
    SELECT 1 AS id, env_encrypt('text', '{"id": 1}') AS value
    UNION ALL SELECT 2, env_encrypt('\x00ff'::bytea, '{"id": 2}');
SELECT pgenvelope.rotate_key('reencrypt');

SELECT id, env_key_version(value) AS was, env_key_version(new) AS is,
    value = new AS equal, env_inspect(new)->>'payload' AS payload,
    env_decrypt_bytea(new, jsonb_build_object('id', id)),
    substr(pg_temp.bytes(value), 11, 52) = substr(pg_temp.bytes(new), 11, 52)
        AS same_dek_or_nonce
FROM reencrypt, LATERAL env_reencrypt(value, jsonb_build_object('id', id))
    AS new;
SELECT env_reencrypt(value, '{"id": 2}') FROM reencrypt WHERE id = 1;
SELECT env_reencrypt(value, '{}') FROM reencrypt WHERE id = 1;

-- Rebound, it opens in the new context only
SELECT id, env_verify(new, jsonb_build_object('id', id)) AS old,
    env_verify(new, '{"id": 3}') AS new, env_inspect(new)->>'payload' AS payload,
    env_key_version(new)
FROM reencrypt, LATERAL env_rebind(value, jsonb_build_object('id', id),
                                   '{"id": 3}') AS new;
SELECT env_rebind(value, '{"id": 2}', '{"id": 3}') FROM reencrypt WHERE id = 1;
SELECT env_rebind(value, '{"id": 1}', '{}') FROM reencrypt WHERE id = 1;
SELECT env_rebind(value, '{"id": 1}', '{"id": ""}') FROM reencrypt
WHERE id = 1;
SELECT env_rebind(value, '{"id": 1}', '{"id": null}') FROM reencrypt
WHERE id = 1;
SELECT env_decrypt(env_rebind(value, '{"id": 1}', '{"id": 1}'), '{"id": 1}')
FROM reencrypt WHERE id = 1;

-- Settings of the day are those of the new value; the key is the old one's
SELECT pgenvelope.create_key('reencrypt 2', required_context => '{}') > 0 AS created;
SET pgenvelope.default_key = 'reencrypt 2';
SET pgenvelope.padding = 64;
SET pgenvelope.store_context = on;
SELECT env_key(new), env_inspect(new)->'stored_context' AS stored,
    env_inspect(new)->'ciphertext_length' AS length,
    env_decrypt(new, '{"id": 5}')
FROM reencrypt, LATERAL env_rebind(value, '{"id": 1}', '{"id": 5}') AS new
WHERE id = 1;
RESET pgenvelope.padding;
RESET pgenvelope.store_context;

-- In place, for a table
UPDATE reencrypt SET value = env_reencrypt(value, jsonb_build_object('id', id));
SELECT id, env_key_version(value) FROM reencrypt ORDER BY id;
UPDATE reencrypt SET id = id + 10, value = env_rebind(value,
    jsonb_build_object('id', id), jsonb_build_object('id', id + 10));
SELECT id, env_verify(value, jsonb_build_object('id', id)) FROM reencrypt
ORDER BY id;

-- Large values
SELECT env_decrypt(env_rebind(env_reencrypt(env_encrypt(
    repeat('x', 1000000), '{"id": 1}', 'reencrypt'), '{"id": 1}'),
    '{"id": 1}', '{"id": 2}'), '{"id": 2}') = repeat('x', 1000000);
DROP TABLE reencrypt;
