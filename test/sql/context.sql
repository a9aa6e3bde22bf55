--
-- context: which encryption contexts are taken, which are one and the same,
-- and what a key's required context asks of them.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'context';
SELECT pgenvelope.create_key('context', required_context => '{}') > 0 AS created;
SELECT env_encrypt('x', '{}') AS any \gset

-- The canonical bytes, as the AAD of a JWE has them
CREATE FUNCTION pg_temp.canonical(context jsonb) RETURNS text
LANGUAGE sql AS $$
    SELECT convert_from(pg_temp.decoded(
        env_to_jwe(env_encrypt('x', context), context)->>'aad'), 'UTF8')
$$;
SELECT context, pg_temp.canonical(context) FROM unnest(ARRAY[
    '{}',
    '{"type": "customers.email", "tenant": "acme", "id": 4711}',
    '{"b": 2, "a": 1, "aa": 3, "B": 4}',
    '{"a": "1"}', '{"a": 1}', '{"a": true}', '{"a": false}',
    '{"a": 0}', '{"a": -0}', '{"a": 0.0}', '{"a": 1.0}', '{"a": 1e3}',
    '{"a": 10e-1}', '{"a": -1.000}', '{"a": 9007199254740991}',
    '{"a": -9007199254740991}', '{"a": 9007199254740991.00}',
    '{"a": ""}', '{"": ""}', '{"a": " "}',
    '{"a": "\"\\/\b\f\n\r\t\u0001\u007f"}',
    '{"a": "é\u00e9"}', '{"a": "\u2028"}',
    '{"\ufb33": 1, "\ud83d\ude00": 2, "\u20ac": 3, "\r": 4, "1": 5}',
    '{"a": 1, "a": 2}'
]::jsonb[]) AS context;

-- Refused, each with a hint
\set VERBOSITY default
SELECT env_encrypt('x', NULL);
SELECT env_encrypt('x', 'null');
SELECT env_encrypt('x', '["tenant"]');
SELECT env_encrypt('x', '{"a": null}');
SELECT env_encrypt('x', '{"a": {}}');
SELECT env_encrypt('x', '{"a": 1.5}');
SELECT env_encrypt('x', '{"a": 9007199254740992}');
SELECT env_encrypt('x', jsonb_build_object('a', repeat('x', 4089)));
\set VERBOSITY sqlstate
SELECT left(context, 40) AS context, pg_temp.outcome(format(
    'SELECT env_encrypt(%L, %L)', 'x', context)) AS encrypt,
    pg_temp.outcome(format('SELECT env_decrypt(%L, %L)', :'any', context))
    AS decrypt, env_verify(:'any', context::jsonb) AS verify
FROM unnest(ARRAY['null', '1', '"tenant"', 'true', '[]', '[{"a": 1}]',
    '{"a": null}', '{"a": []}', '{"a": {}}', '{"a": {"b": 1}}',
    '{"a": 0.5}', '{"a": 1e-400}', '{"a": 1e400}',
    '{"a": 123456789012345678901234567890}', '{"a": 9007199254740992}',
    '{"a": -9007199254740992}', '{"a": 9223372036854775808}',
    '{"a": 100000000000000000.0}',
    '{"a": "' || repeat('x', 4089) || '"}',
    '{"' || repeat('x', 4090) || '": ""}',
    '{"a": "' || repeat('\n', 2045) || '"}',
    (SELECT jsonb_object_agg('m' || i, 1)::text
     FROM generate_series(1, 1025) i),
    (SELECT jsonb_object_agg('m' || i, 1)::text
     FROM generate_series(1, 100000) i)]) AS context;
SELECT length(pg_temp.canonical(context)) FROM unnest(ARRAY[
    jsonb_build_object('a', repeat('x', 4088)),
    jsonb_build_object('a', repeat('é', 2044)),
    jsonb_build_object(repeat('x', 4090), 1),
    (SELECT jsonb_object_agg(i, 1) FROM generate_series(1, 480) i)])
    AS context;

-- What jsonb itself does not take
SELECT env_encrypt('x', '{a: 1}');
SELECT env_encrypt('x', '{"a": NaN}');
SELECT env_encrypt('x', '{"a": "\u0000"}');
SELECT env_encrypt('x', '{"a": "\ud800"}');
SELECT env_encrypt('x', '');

-- The same context however it is spelled, another if it differs at all
SELECT env_encrypt('x', '{"tenant": "acme", "id": 1000, "new": true}') AS value
\gset
SELECT context, env_verify(:'value', context::jsonb) FROM unnest(ARRAY[
    '{"new": true, "id": 1000, "tenant": "acme"}',
    '{"tenant":"acme","id":1e3,"new":true}',
    '{"tenant": "\u0061cme", "id": 1000.000, "new": true}',
    '{"tenant": "other", "tenant": "acme", "id": 1000, "new": true}',
    '{"tenant": "acme", "id": "1000", "new": true}',
    '{"tenant": "acme", "id": 1000, "new": "true"}',
    '{"tenant": "acme", "id": 1000, "new": 1}',
    '{"tenant": "acme", "id": 1000, "new": false}',
    '{"tenant": "acme", "id": 1001, "new": true}',
    '{"tenant": "Acme", "id": 1000, "new": true}',
    '{"tenant": "acme ", "id": 1000, "new": true}',
    '{"tenant": "acme", "ID": 1000, "new": true}',
    '{"tenant": "acme", "id": 1000}',
    '{"tenant": "acme", "id": 1000, "new": true, "more": ""}',
    '{}'
]) AS context;
SELECT env_verify(env_encrypt('x', '{"a": "é"}'), '{"a": "é"}') AS composed,
    env_verify(env_encrypt('x', '{"a": "é"}'), '{"a": "e\u0301"}')
        AS decomposed;

-- Required members, pinned values, and the empty context
SELECT pgenvelope.create_key('context pinned', required_context =>
    '{"tenant": "acme", "kind": 1, "live": true, "id": null}') > 0 AS created;
SELECT context, pg_temp.outcome(format(
    'SELECT env_decrypt(env_encrypt(%L, %L, %L), %2$L)', 'x', context,
    'context pinned'))
FROM unnest(ARRAY[
    '{"tenant": "acme", "kind": 1, "live": true, "id": 5}',
    '{"tenant": "acme", "kind": 1, "live": true, "id": 5, "more": ""}',
    '{"tenant": "acme", "kind": 1.0, "live": true, "id": false}',
    '{"tenant": "acme", "kind": 1, "live": true}',
    '{"tenant": "acme", "kind": 1, "live": true, "id": ""}',
    '{"tenant": "acme", "kind": 1, "live": true, "id": null}',
    '{"tenant": "other", "kind": 1, "live": true, "id": 5}',
    '{"tenant": "", "kind": 1, "live": true, "id": 5}',
    '{"tenant": "ACME", "kind": 1, "live": true, "id": 5}',
    '{"tenant": "acme", "kind": "1", "live": true, "id": 5}',
    '{"tenant": "acme", "kind": 2, "live": true, "id": 5}',
    '{"tenant": "acme", "kind": 1, "live": "true", "id": 5}',
    '{"tenant": "acme", "kind": 1, "live": 1, "id": 5}',
    '{"Tenant": "acme", "kind": 1, "live": true, "id": 5}',
    '{}'
]) AS context;
\set VERBOSITY default
SELECT env_encrypt('x', '{}', 'context pinned');
SELECT env_encrypt('x', '{"id": 1}', 'context pinned');
SELECT env_encrypt('x', '{"tenant": "other", "kind": 1, "live": true, "id": 5}',
                   'context pinned');
SELECT env_encrypt('x', '{"tenant": "acme", "kind": 1, "live": true, "id": ""}',
                   'context pinned');
\set VERBOSITY sqlstate

-- A long name is shown in part, in whole characters, which every client can
-- read
SELECT pgenvelope.create_key('context long', required_context =>
    jsonb_build_object('x' || repeat('é', 100), NULL)) > 0 AS created;
SET client_encoding = 'LATIN1';
SELECT env_encrypt('x', '{"a": 1}', 'context long');
SELECT env_encrypt('x', '{"a": 1}', 'xx' || repeat(chr(233), 40));
SELECT pgenvelope.create_key('context x', 'xx' || repeat(chr(233), 40));
SELECT pgenvelope.grant_key('context', 'x' || repeat(chr(233), 400),
                 current_user::regrole);
SELECT pgenvelope.rotate_key('xx' || repeat(chr(233), 40));
SELECT pgenvelope.evict_key('xx' || repeat(chr(233), 40));
RESET client_encoding;

-- A key whose required context is empty takes any; the default asks for two
SELECT pgenvelope.create_key('context default') > 0 AS created;
SELECT context, pg_temp.outcome(format(
    'SELECT env_key(env_encrypt(%L, %L, %L))', 'x', context,
    'context default'))
FROM unnest(ARRAY['{}', '{"tenant": "a"}', '{"tenant": "a", "type": "t"}',
                  '{"tenant": "", "type": "t"}']) AS context;

-- The rules hold for decryption too, also when they came after the value
SELECT env_encrypt('x', '{"id": 1}') AS value \gset
UPDATE pgenvelope.key SET required_context = '{"tenant": null}'
WHERE name = 'context';
SELECT env_decrypt(:'value', '{"id": 1}');
SELECT env_verify(:'value', '{"id": 1}');
SELECT env_decrypt(:'value', '{"id": 1, "tenant": "acme"}');
SELECT env_rebind(:'value', '{"id": 1}', '{"id": 1, "tenant": "acme"}');
UPDATE pgenvelope.key SET required_context = '{}' WHERE name = 'context';
SELECT env_decrypt(:'value', '{"id": 1}');

-- Changing contexts, in and out of the few that a session remembers
SELECT bool_and(env_decrypt(env_encrypt('row ' || i, jsonb_build_object('id',
    i % n)), jsonb_build_object('id', i % n)) = 'row ' || i)
FROM generate_series(1, 500) i, unnest(ARRAY[1, 2, 3, 7, 8, 9, 100]) n;
SELECT bool_and(env_verify(env_encrypt('x', jsonb_build_object('id', i)),
    jsonb_build_object('id', i + 1)) = 'authentication_failed')
FROM generate_series(1, 100) i;
SELECT bool_and(env_decrypt(env_encrypt('x', context), context) = 'x')
FROM generate_series(1, 50) i, LATERAL (SELECT jsonb_build_object('id', i,
    'long', repeat('l', 50 * i)) AS context) AS c;
CREATE TABLE context (id integer, context jsonb, value envelope);
INSERT INTO context SELECT i, c, env_encrypt('x', c)
    FROM generate_series(1, 100) i, LATERAL (SELECT jsonb_build_object('id', i,
        'long', repeat('l', 3900)) AS c) AS c;
SELECT count(*) FROM context WHERE env_decrypt(value, context) = 'x';
SELECT count(*) FROM context
WHERE env_verify(value, context || '{"id": 0}') = 'authentication_failed';
DROP TABLE context;
