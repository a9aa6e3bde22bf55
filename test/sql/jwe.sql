--
-- jwe: a value as a JWE and back, without loss and without a key; and every
-- JWE that is not one of ours refused, extra members and all.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'jwe';
SELECT pgenvelope.create_key('jwe', required_context => '{}') > 0 AS created;

-- What it looks like
SELECT env_encrypt('text', '{"tenant": "acme", "id": 1}') AS text \gset
SELECT jwe - 'encrypted_key' - 'iv' - 'ciphertext' - 'tag' - 'header' AS jwe,
    jwe->'header'->'alg' AS alg,
    jwe->'header'->>'kid' = format('jwe@%s/1', lpad(to_hex(key_id), 12, '0'))
        AS kid,
    pg_temp.decoded(jwe->>'encrypted_key') = substr(b, 11, 40) AS wrap,
    pg_temp.decoded(jwe->>'iv') = substr(b, 51, 12) AS nonce,
    pg_temp.decoded(jwe->>'ciphertext') = substr(b, 63, 4) AS ciphertext,
    pg_temp.decoded(jwe->>'tag') = substr(b, 67) AS tag,
    convert_from(pg_temp.decoded(jwe->>'aad'), 'UTF8') AS aad
FROM env_to_jwe(:'text', '{"id": 1, "tenant": "acme"}') AS jwe,
    pg_temp.bytes(:'text') AS b, pgenvelope.key
WHERE name = 'jwe';
SELECT keys, count(*) FROM env_to_jwe(:'text', '{"id": 1, "tenant": "acme"}',
    true) AS jwe, jsonb_object_keys(jwe) AS keys GROUP BY 1 ORDER BY 1;
SELECT jsonb_array_length(jwe->'recipients'),
    (SELECT array_agg(k ORDER BY k)
     FROM jsonb_object_keys(jwe->'recipients'->0) k) AS recipient
FROM env_to_jwe(:'text', '{"id": 1, "tenant": "acme"}', general => true)
    AS jwe;

-- Protected headers of the four kinds, and there and back
SET pgenvelope.padding = 16;
SELECT env_encrypt('text', '{}') AS text_padded,
    env_encrypt('\x00'::bytea, '{}') AS bytes_padded \gset
RESET pgenvelope.padding;
SELECT env_encrypt('', '{}') AS text_empty,
    env_encrypt(''::bytea, '{}') AS bytes_empty,
    env_encrypt(repeat('x', 100000), '{}') AS text_long \gset
SELECT convert_from(pg_temp.decoded(env_to_jwe(v, '{}')->>'protected'),
                    'UTF8') AS protected,
    env_from_jwe(env_to_jwe(v, '{}'))::text = v::text AS flattened,
    env_from_jwe(env_to_jwe(v, '{}', true))::text = v::text AS general,
    env_from_jwe(env_to_jwe(v, '{}', NULL))::text = v::text AS default
FROM unnest(ARRAY[:'text_padded', :'bytes_padded', :'text_empty',
                  :'bytes_empty', :'text_long']::envelope[]) AS v;
SELECT env_from_jwe(env_to_jwe(:'text', '{"id": 1, "tenant": "acme"}'))::text
    = :'text' AS same;

-- Only a key can tell whether the context is the right one, or a policy
SELECT env_verify(env_from_jwe(env_to_jwe(:'text', '{"id": 2}')), '{"id": 2}');
SELECT env_to_jwe(:'text', '{"id": null}');
SELECT env_to_jwe(:'text', '[]');
UPDATE pgenvelope.key SET required_context = '{"tenant": null}'
WHERE name = 'jwe';
SELECT env_to_jwe(:'text', '{"id": 1}');
UPDATE pgenvelope.key SET required_context = '{}' WHERE name = 'jwe';

-- A stored context must be the one supplied; it comes back where the setting
-- stores it
SET pgenvelope.store_context = on;
SELECT env_encrypt('x', '{"id": 1}') AS stored \gset
SELECT env_from_jwe(env_to_jwe(:'stored', '{"id": 1}'))::text = :'stored';
RESET pgenvelope.store_context;
SELECT env_to_jwe(:'stored', '{"id": 2}');
SELECT env_inspect(v)->'stored_context' AS stored, v = :'stored' AS equal,
    env_decrypt(v, '{"id": 1}')
FROM env_from_jwe(env_to_jwe(:'stored', '{"id": 1}')) AS v;

-- A rewrap changes header and encrypted_key, no more; the name in kid is for
-- people
SELECT pgenvelope.rotate_key('jwe');
UPDATE pgenvelope.key SET name = 'jwe renamed' WHERE name = 'jwe';
SELECT regexp_replace(jwe->'header'->>'kid', '@.*/', '@id/') AS kid,
    env_from_jwe(jwe)::text = :'text' AS same
FROM env_to_jwe(:'text', '{"id": 1, "tenant": "acme"}') AS jwe;
UPDATE pgenvelope.key SET name = 'jwe' WHERE name = 'jwe renamed';
SELECT env_decrypt(env_from_jwe(jsonb_set(env_to_jwe(:'text',
        '{"id": 1, "tenant": "acme"}'), '{header,kid}',
        to_jsonb(format('another@%s/1', lpad(to_hex(key_id), 12, '0'))))),
    '{"id": 1, "tenant": "acme"}')
FROM pgenvelope.key WHERE name = 'jwe';

-- Without the key's name there is no kid
SELECT env_to_jwe(pg_temp.envelope(overlay(pg_temp.bytes(:'text')
    PLACING '\x000000000001' FROM 5)), '{}');

-- Refused: members missing, of another type, or too many
CREATE FUNCTION pg_temp.try(jwe jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN env_key(env_from_jwe(jwe));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE TEMP TABLE good AS
    SELECT env_to_jwe(:'text', '{}') AS f, env_to_jwe(:'text', '{}', true) AS g;
SELECT pg_temp.try(f), pg_temp.try(g) FROM good;
SELECT member, pg_temp.try(f - member) AS missing,
    pg_temp.try(f || jsonb_build_object(member, 1)) AS number,
    pg_temp.try(f || jsonb_build_object(member, NULL)) AS null,
    pg_temp.try(f || jsonb_build_object(member, ARRAY[f->member])) AS array,
    pg_temp.try(f || jsonb_build_object(member, '')) AS empty,
    pg_temp.try(f || jsonb_build_object(member, (f->>member) || 'A')) AS more,
    pg_temp.try(f || jsonb_build_object(member, (f->>member) || '=')) AS padded
FROM good, jsonb_object_keys(f) AS member ORDER BY member;
SELECT what, pg_temp.try(jwe) FROM good, LATERAL (VALUES
    ('unprotected', f || '{"unprotected": {"alg": "A256KW"}}'),
    ('zip', f || '{"zip": "DEF"}'),
    ('crit', f || '{"crit": []}'),
    ('payload', f || '{"payload": "AA"}'),
    ('empty name', f || '{"": ""}'),
    ('both forms', f || g),
    ('general and header', g || jsonb_build_object('header', f->'header')),
    ('general and encrypted_key',
        g || jsonb_build_object('encrypted_key', f->'encrypted_key')),
    ('no recipients', g || '{"recipients": []}'),
    ('two recipients', jsonb_insert(g, '{recipients,1}', g->'recipients'->0)),
    ('recipients an object',
        g || jsonb_build_object('recipients', g->'recipients'->0)),
    ('recipients a string', g || '{"recipients": "x"}'),
    ('recipient a string', g || '{"recipients": ["x"]}'),
    ('recipient an array', g || '{"recipients": [[]]}'),
    ('recipient with more', jsonb_set(g, '{recipients,0,zip}', '"DEF"')),
    ('recipient without key', g #- '{recipients,0,encrypted_key}'),
    ('recipient without header', g #- '{recipients,0,header}'),
    ('header a string', f || '{"header": "x"}'),
    ('header an array', f || '{"header": ["alg", "kid"]}'),
    ('header with enc', jsonb_set(f, '{header,enc}', '"A256GCM"')),
    ('header with zip', jsonb_set(f, '{header,zip}', '"DEF"')),
    ('header with crit', jsonb_set(f, '{header,crit}', '["exp"]')),
    ('header without alg', f #- '{header,alg}'),
    ('header without kid', f #- '{header,kid}'),
    ('alg dir', jsonb_set(f, '{header,alg}', '"dir"')),
    ('alg A128KW', jsonb_set(f, '{header,alg}', '"A128KW"')),
    ('alg in lower case', jsonb_set(f, '{header,alg}', '"a256kw"')),
    ('alg a number', jsonb_set(f, '{header,alg}', '1')),
    ('kid without version', jsonb_set(f, '{header,kid}',
        '"jwe@1cccacb76dd7"')),
    ('kid of version 0', jsonb_set(f, '{header,kid}',
        '"jwe@1cccacb76dd7/0"')),
    ('kid of version 01', jsonb_set(f, '{header,kid}',
        '"jwe@1cccacb76dd7/01"')),
    ('kid of version 65536', jsonb_set(f, '{header,kid}',
        '"jwe@1cccacb76dd7/65536"')),
    ('kid with a short id', jsonb_set(f, '{header,kid}',
        '"jwe@1cccacb76d/1"')),
    ('kid in upper case', jsonb_set(f, '{header,kid}',
        '"jwe@1CCCACB76DD7/1"')),
    ('kid without a name', jsonb_set(f, '{header,kid}',
        '"@1cccacb76dd7/1"')),
    ('protected: alg too', f || '{"protected": "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0"}'),
    ('protected: A128GCM', f || '{"protected": "eyJlbmMiOiJBMTI4R0NNIn0"}'),
    ('protected: a space', f || '{"protected": "eyJlbmMiOiAiQTI1NkdDTSJ9"}'),
    ('protected: zip', f || '{"protected": "eyJlbmMiOiJBMjU2R0NNIiwiemlwIjoiREVGIn0"}'),
    ('protected: {}', f || '{"protected": "e30"}'),
    ('aad: not canonical', f || '{"aad": "eyB9"}'),
    ('aad: an array', f || '{"aad": "W10"}'),
    ('aad: null member', f || '{"aad": "eyJhIjpudWxsfQ"}'),
    ('iv too long', f || '{"iv": "AAAAAAAAAAAAAAAAAAAA"}'),
    ('tag too short', f || '{"tag": "AAAA"}'),
    ('ciphertext with a newline', jsonb_set(f, '{ciphertext}', '"AA\n"')),
    ('padded but empty', f || '{"ciphertext": "", "protected": "eyJjdHkiOiJhcHBsaWNhdGlvbi9vY3RldC1zdHJlYW07cGFkPTc4MTYiLCJlbmMiOiJBMjU2R0NNIn0"}'),
    ('an array', jsonb_build_array(f)),
    ('a string', to_jsonb(f::text)),
    ('null', 'null'),
    ('nothing', '{}')
) AS bad(what, jwe);
\set VERBOSITY default
SELECT env_from_jwe(f || '{"zip": "DEF"}') FROM good;
SELECT env_from_jwe(f - 'tag') FROM good;
SELECT env_from_jwe(jsonb_set(f, '{header,alg}', '"dir"')) FROM good;
SELECT env_from_jwe(jsonb_insert(g, '{recipients,1}', g->'recipients'->0))
FROM good;
\set VERBOSITY sqlstate

-- A member given twice is jsonb's to resolve; members have no order
SELECT pg_temp.try(('{"zip": "DEF", ' || substr(f::text, 2))::jsonb - 'zip')
FROM good;
