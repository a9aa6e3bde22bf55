--
-- tamper: a value that was changed in any byte, moved to another row or
-- tenant, or put together from parts of others does not open.  One message
-- tells all of these from success, and none from another; env_verify gives
-- the category without raising.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'tamper';
SELECT pgenvelope.create_key('tamper', required_context => '{"tenant": null}') > 0
    AS created;
SELECT pgenvelope.create_key('tamper 2', required_context => '{"tenant": null}') > 0
    AS created;

CREATE TABLE tamper (id integer, tenant text, value envelope);
INSERT INTO tamper SELECT i, t, env_encrypt(t || i,
        jsonb_build_object('tenant', t, 'type', 'tamper.value', 'id', i))
    FROM generate_series(1, 3) i, unnest(ARRAY['acme', 'other']) t;

-- Its own row, and every other
SELECT a.tenant = b.tenant AS tenant, a.id = b.id AS row,
    env_verify(a.value, jsonb_build_object('tenant', b.tenant, 'type',
        'tamper.value', 'id', b.id)), count(*)
FROM tamper a, tamper b GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
\set VERBOSITY default
SELECT env_decrypt(value, '{"tenant": "acme", "type": "tamper.value", "id": 2}')
FROM tamper WHERE id = 1 AND tenant = 'acme';
SELECT env_decrypt(value, '{"tenant": "other", "type": "tamper.value", "id": 1}')
FROM tamper WHERE id = 1 AND tenant = 'acme';
\set VERBOSITY sqlstate

-- Every byte with every bit flipped.  Changed version and key id are another
-- key's, which is not found.
CREATE FUNCTION pg_temp.verify(bytes bytea, context jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN env_verify(pg_temp.envelope(bytes), context);
EXCEPTION WHEN invalid_text_representation THEN
    RETURN 'refused at input';
END
$$;
SELECT field, outcome, count(*)
FROM (SELECT CASE WHEN i = 0 THEN '0 magic'
             WHEN i = 1 THEN '1 suite and flags'
             WHEN i < 4 THEN '2 version'
             WHEN i < 10 THEN '3 key id'
             WHEN i < 50 THEN '4 wrap'
             WHEN i < 62 THEN '5 nonce'
             WHEN i < length(b) - 16 THEN '6 ciphertext'
             ELSE '7 tag' END AS field,
          pg_temp.verify(set_byte(b, i, get_byte(b, i) # (1 << bit)),
              '{"tenant": "acme", "type": "tamper.value", "id": 1}')
              AS outcome
      FROM tamper, pg_temp.bytes(value) b, generate_series(0, 7) bit,
          generate_series(0, length(b) - 1) i
      WHERE id = 1 AND tenant = 'acme') AS flipped
GROUP BY field, outcome ORDER BY field, outcome;

-- Cut, lengthened and put together
CREATE TABLE parts AS SELECT
    (SELECT pg_temp.bytes(value) FROM tamper WHERE id = 1 AND tenant = 'acme')
        AS a,
    (SELECT pg_temp.bytes(value) FROM tamper WHERE id = 2 AND tenant = 'acme')
        AS b;
SELECT what, pg_temp.verify(bytes,
    '{"tenant": "acme", "type": "tamper.value", "id": 1}')
FROM parts, LATERAL (VALUES
    ('itself', a),
    ('a byte less', substr(a, 1, length(a) - 1)),
    ('a byte more', a || '\x00'),
    ('no ciphertext', substr(a, 1, 78)),
    ('wrap of another', overlay(a PLACING substr(b, 11, 40) FROM 11)),
    ('nonce of another', overlay(a PLACING substr(b, 51, 12) FROM 51)),
    ('payload of another', substr(a, 1, 50) || substr(b, 51)),
    ('wrap and payload of another', substr(a, 1, 10) || substr(b, 11)),
    ('tag of another', substr(a, 1, length(a) - 16)
        || substr(b, length(b) - 15)),
    ('zero wrap', overlay(a PLACING decode(repeat('00', 40), 'hex') FROM 11))
) AS tampered(what, bytes);

-- Another key, another version, another payload type
SELECT pgenvelope.rotate_key('tamper');
SELECT lpad(to_hex(key_id), 12, '0') AS other FROM pgenvelope.key
WHERE name = 'tamper 2' \gset
SELECT what, pg_temp.verify(bytes,
    '{"tenant": "acme", "type": "tamper.value", "id": 1}')
FROM parts, LATERAL (VALUES
    ('other version', overlay(a PLACING '\x0002' FROM 3)),
    ('missing version', overlay(a PLACING '\x0003' FROM 3)),
    ('other key', overlay(a PLACING decode(:'other', 'hex') FROM 5)),
    ('text as bytes', set_byte(a, 1, 16)),
    ('padded', set_byte(a, 1, 22))
) AS tampered(what, bytes);

-- Categories of env_verify; not being entitled is an error, so that it is no
-- oracle
SELECT env_encrypt('x', '{"tenant": "acme"}') AS value \gset
SELECT env_verify(:'value', '{"tenant": "acme"}'),
    env_verify(:'value', '{"tenant": "other"}'),
    env_verify(:'value', '{"tenant": ""}'), env_verify(:'value', '{}'),
    env_verify(:'value', NULL), env_verify(:'value', '[]'),
    env_verify(NULL, NULL);
SELECT pgenvelope.revoke_key('tamper', 'decrypt', current_user::regrole);
SELECT env_verify(:'value', '{"tenant": "acme"}');
SELECT pgenvelope.grant_key('tamper', 'decrypt', current_user::regrole);

-- A scan by env_verify goes on where env_decrypt stops
INSERT INTO tamper SELECT 4, 'acme', pg_temp.envelope(set_byte(a, 60,
        get_byte(a, 60) # 1))
    FROM parts;
SELECT env_verify(value, jsonb_build_object('tenant', tenant, 'type',
    'tamper.value', 'id', id)), count(*)
FROM tamper GROUP BY 1 ORDER BY 1;
SELECT count(env_decrypt(value, jsonb_build_object('tenant', tenant, 'type',
    'tamper.value', 'id', id))) FROM tamper;
DROP TABLE tamper, parts;
