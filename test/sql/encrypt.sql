--
-- encrypt: env_encrypt, env_decrypt and env_decrypt_bytea, of text and bytes,
-- empty, short and null; keys named and not; padding; stored contexts.
--
\i test/sql/include/prepare.sql
SELECT pgenvelope.create_key('encrypt', required_context => '{}') > 0 AS created;
SELECT pgenvelope.create_key('encrypt 2', required_context => '{}') > 0 AS created;

-- Which key: the argument, else the setting
SELECT env_encrypt('x', '{}');
SELECT env_key(env_encrypt('x', '{}', 'encrypt 2'));
SELECT env_key(env_encrypt('x', context => '{}', key => 'encrypt'));
SELECT env_key(env_encrypt(plaintext => '\x00'::bytea, context => '{}',
                           key => 'encrypt'));
SET pgenvelope.default_key = 'encrypt';
SELECT env_key(env_encrypt('x', '{}')), env_key(env_encrypt('x', '{}', NULL)),
    env_key(env_encrypt('x', '{}', 'encrypt 2'));
SET pgenvelope.default_key = 'nothing';
SELECT env_encrypt('x', '{}');
SELECT env_key(env_encrypt('x', '{}', 'encrypt'));
SET pgenvelope.default_key = 'encrypt';

-- The key given to decrypt is an expectation
SELECT env_encrypt('x', '{}') AS value \gset
SELECT env_decrypt(:'value', '{}', 'encrypt'),
    env_decrypt(:'value', '{}', NULL),
    env_decrypt_bytea(:'value', '{}', key => 'encrypt');
SELECT env_decrypt(:'value', '{}', 'encrypt 2');
SELECT env_decrypt(:'value', '{}', 'nothing');
SELECT env_decrypt(:'value', '{}', '');
SELECT env_decrypt_bytea(:'value', '{}', 'encrypt 2');
\set VERBOSITY default
SELECT env_decrypt(:'value', '{}', 'encrypt 2');
\set VERBOSITY sqlstate
SET pgenvelope.default_key = 'encrypt 2';
SELECT env_decrypt(:'value', '{}');
SET pgenvelope.default_key = 'encrypt';

-- An untyped literal is text
SELECT env_inspect(env_encrypt('\x00', '{}'))->>'payload',
    env_inspect(env_encrypt('\x00'::bytea, '{}'))->>'payload',
    env_inspect(env_encrypt('x'::varchar, '{}'))->>'payload',
    env_inspect(env_encrypt('x'::name, '{}'))->>'payload';
SELECT env_encrypt(1, '{}');
SELECT env_encrypt('{}'::jsonb, '{}');
SELECT env_decrypt(env_encrypt(1::text, '{}'), '{}');

-- Text, and its length: 78 bytes more than its UTF-8
SELECT t = env_decrypt(v, '{}') AS same,
    convert_to(t, 'UTF8') = env_decrypt_bytea(v, '{}') AS same_bytes,
    length(pg_temp.bytes(v)) - octet_length(t) AS overhead,
    octet_length(t) AS length
FROM (SELECT t, env_encrypt(t, '{}') AS v FROM unnest(ARRAY['', ' ', 'x', 'é',
    '€', '😀', E'line\nfeed\ttab\\', 'env1.4Q', repeat('x', 127),
    repeat('x', 4000), repeat('é', 100000)]) AS t) AS sealed;
SELECT env_decrypt('env1.4Q', '{}');

-- Bytes, of any value and length around the blocks of the cipher
SELECT bool_and(b = env_decrypt_bytea(v, '{}')) AS same,
    bool_and(length(pg_temp.bytes(v)) - length(b) = 78) AS overhead, count(*)
FROM (SELECT b, env_encrypt(b, '{}') AS v
      FROM generate_series(0, 300) i, decode(repeat('00ff', i), 'hex') AS b)
    AS sealed;
SELECT bool_and(b = env_decrypt_bytea(env_encrypt(b, '{}'), '{}'))
FROM (SELECT decode(lpad(to_hex(i), 2, '0'), 'hex') AS b
      FROM generate_series(0, 255) i) AS single;
SELECT env_decrypt_bytea(env_encrypt(''::bytea, '{}'), '{}') AS empty,
    env_decrypt(env_encrypt('', '{}'), '{}') = '' AS empty_text;

-- Bytes are not text, whatever they hold
\set VERBOSITY default
SELECT env_decrypt(env_encrypt('text'::bytea, '{}'), '{}');
\set VERBOSITY sqlstate
SELECT env_decrypt(env_encrypt(''::bytea, '{}'), '{}');
SELECT env_decrypt_bytea(env_encrypt('text', '{}'), '{}');

-- Null is null, where a value or a plaintext is
SELECT env_encrypt(NULL::text, '{}') IS NULL,
    env_decrypt(NULL, '{}') IS NULL, env_decrypt_bytea(NULL, '{}') IS NULL,
    env_verify(NULL, '{}') IS NULL, env_reencrypt(NULL, '{}') IS NULL,
    env_rebind(NULL, '{}', '{}') IS NULL, env_inspect(NULL) IS NULL,
    env_key(NULL) IS NULL, env_key_version(NULL) IS NULL,
    env_to_jwe(NULL, '{}') IS NULL, env_from_jwe(NULL) IS NULL;
SELECT env_encrypt('x', NULL);
SELECT env_decrypt(:'value', NULL);
SELECT env_decrypt_bytea(:'value', NULL);
SELECT env_verify(:'value', NULL);
SELECT env_reencrypt(:'value', NULL);
SELECT env_rebind(:'value', NULL, '{}');
SELECT env_rebind(:'value', '{}', NULL);
SELECT env_to_jwe(:'value', NULL);

-- Never twice the same: nonces, wraps and so values
CREATE TABLE encrypt AS SELECT env_encrypt('same', '{}') AS value
    FROM generate_series(1, 2000);
SELECT count(DISTINCT env_inspect(value)->>'nonce') AS nonces,
    count(DISTINCT substr(pg_temp.bytes(value), 11, 40)) AS wraps,
    count(DISTINCT substr(pg_temp.bytes(value), 63, 4)) > 1990 AS ciphertexts
FROM encrypt;
SELECT count(*) FROM encrypt WHERE env_decrypt(value, '{}') = 'same';
DROP TABLE encrypt;

-- Padding hides the length, up to a multiple
SELECT padding, p, length(env_inspect(v)->>'nonce') / 2 AS nonce,
    (env_inspect(v)->>'padded')::boolean AS padded,
    (env_inspect(v)->>'ciphertext_length')::integer AS length,
    env_decrypt(v, '{}') = p AS same,
    env_decrypt_bytea(env_encrypt(p::bytea, '{}'), '{}') = p::bytea AS bytes
FROM (VALUES (0), (1), (8), (64)) AS paddings(padding),
    unnest(ARRAY['', 'x', '1234567', '12345678']) AS p,
    LATERAL (SELECT set_config('pgenvelope.padding', padding::text, false),
        env_encrypt(p, '{}') AS v) AS sealed;
SET pgenvelope.padding = 65536;
SELECT env_inspect(v)->'ciphertext_length', env_decrypt(v, '{}')
FROM env_encrypt('x', '{}') AS v;
SET pgenvelope.padding = 65537;
SET pgenvelope.padding = -1;
SET pgenvelope.padding = 32;
SELECT env_encrypt('x', '{}') AS padded \gset
SELECT env_encrypt('\x800000'::bytea, '{}') AS padded_bytes \gset
RESET pgenvelope.padding;
SELECT env_decrypt(:'padded', '{}'),
    env_decrypt_bytea(:'padded_bytes', '{}'),
    env_inspect(:'padded')->>'padded' AS padded,
    env_inspect(env_reencrypt(:'padded', '{}'))->>'padded' AS reencrypted;
SELECT env_verify(pg_temp.envelope(set_byte(pg_temp.bytes(:'padded'), 1, 18)),
                  '{}') AS not_padded,
    env_verify(pg_temp.envelope(set_byte(pg_temp.bytes(:'value'), 1, 22)),
               '{}') AS padded;

-- A stored context is shown and never trusted
SET pgenvelope.store_context = on;
SELECT env_encrypt('x', '{"tenant": "acme", "id": 1}') AS stored \gset
SELECT env_encrypt('x', '{}') AS stored_empty \gset
SELECT env_encrypt('x', '{"name": "é€"}') AS stored_names \gset
RESET pgenvelope.store_context;
SELECT env_inspect(v)->'stored_context' AS stored_context,
    env_inspect(v)->'stored_context_verified' AS verified,
    length(pg_temp.bytes(v)) AS length
FROM unnest(ARRAY[:'stored', :'stored_empty', :'stored_names', :'value']
            ::envelope[]) AS v;
SELECT env_decrypt(:'stored', '{"id": 1, "tenant": "acme"}'),
    env_decrypt(:'stored_empty', '{}'),
    env_decrypt(:'stored_names', '{"name": "é€"}');
SELECT env_decrypt(:'stored', NULL);
SELECT env_decrypt(:'stored', '{}');
SELECT env_verify(:'stored', '{"id": 2, "tenant": "acme"}');
-- rewritten, it is found out even where the reader supplies the right one
SELECT env_verify(v, '{"id": 1, "tenant": "acme"}') AS right_one,
    env_verify(v, '{"id": 1, "tenant": "evil"}') AS stored_one,
    env_inspect(v)->'stored_context' AS stored_context
FROM pg_temp.envelope(overlay(pg_temp.bytes(:'stored')
    PLACING '\x6576696c' FROM position('\x61636d65' IN pg_temp.bytes(:'stored'))))
    AS v;
SELECT pg_temp.outcome(format('SELECT pg_temp.envelope(%L)',
    overlay(pg_temp.bytes(:'stored') PLACING '\x7b20' FROM 65)));
-- taken away, the value opens: it is a convenience only
SELECT env_decrypt(pg_temp.envelope(substr(b, 1, 1) || '\x12' ||
    substr(b, 3, 60) || substr(b, 65 + 24)), '{"id": 1, "tenant": "acme"}')
FROM pg_temp.bytes(:'stored') AS b;

-- Who may set what
CREATE ROLE encrypt_user;
SET ROLE encrypt_user;
SET pgenvelope.default_key = 'encrypt 2';
SET pgenvelope.padding = 16;
SET pgenvelope.key_timeout = '5s';
SET pgenvelope.store_context = on;
SET pgenvelope.required_context = '{}';
SET pgenvelope.allow_maintenance_decrypt = on;
RESET ROLE;
DROP ROLE encrypt_user;

-- env_encrypt_bytea: bytes, also where a driver leaves the parameter's type
-- open, which env_encrypt takes for text
PREPARE open_type AS SELECT env_decrypt_bytea(
    env_encrypt_bytea($1, '{}', 'try'), '{}') = '\x8950'::bytea AS bytes;
SELECT pgenvelope.create_key('try', required_context => '{}') > 0 AS created;
EXECUTE open_type ('\x8950');
SELECT (env_inspect(env_encrypt_bytea('x', '{}', 'try')) ->> 'payload') AS payload,
    env_encrypt_bytea(NULL, '{}', 'try') IS NULL AS null_in;

-- env_try_decrypt: null for what does not open here, an error for the rest
SELECT env_encrypt('plain', '{"a": 1}', 'try') AS tried,
    env_encrypt('bytes'::bytea, '{"a": 1}', 'try') AS tried_bytes \gset
SELECT env_try_decrypt(:'tried', '{"a": 1}') AS opens,
    env_try_decrypt(:'tried', '{"a": 1}', 'try') AS with_key,
    env_try_decrypt(:'tried', '{"a": 2}') AS other_context,
    env_try_decrypt(:'tried', '{"a": 1}', 'encrypt') AS other_key,
    env_try_decrypt(NULL, '{"a": 1}') AS no_value;
SELECT env_try_decrypt(:'tried', NULL);
SELECT env_try_decrypt(:'tried_bytes', '{"a": 1}');
CREATE ROLE try_nobody;
GRANT USAGE ON SCHEMA public TO try_nobody;
SET ROLE try_nobody;
SELECT env_try_decrypt(:'tried', '{"a": 1}');
RESET ROLE;
SELECT pgenvelope.rotate_key('try', rewrap => false);
SELECT pgenvelope.retire_key('try', 1, force => true);
SELECT env_try_decrypt(:'tried', '{"a": 1}') IS NULL AS retired;
DROP OWNED BY try_nobody;
DROP ROLE try_nobody;
