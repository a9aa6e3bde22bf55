--
-- inspect: env_inspect, env_key and env_key_version, which read a value
-- without its key and anybody may call.
--
\i test/sql/include/prepare.sql

-- Vectors, whose key this database does not have: envelope/good_text,
-- good_bytes_padded_stored and good_version_largest of test/vectors
\set vectors `pwd` /test/vectors/envelope/
CREATE FUNCTION pg_temp.body(file text) RETURNS envelope LANGUAGE sql AS $$
    SELECT regexp_replace(convert_from(pg_read_binary_file(file), 'UTF8'),
                          '^.*\n\n', '')::envelope
$$;
SELECT name, jsonb_pretty(env_inspect(v)), env_key(v), env_key_version(v)
FROM unnest(ARRAY['good_text', 'good_bytes_padded_stored',
    'good_version_largest', 'good_empty_bytes', 'good_key_id_largest'])
    AS name,
    pg_temp.body(:'vectors' || name) AS v;

-- One of our own
SELECT pgenvelope.create_key('inspect', required_context => '{}') > 0 AS created;
SELECT pgenvelope.rotate_key('inspect');
SELECT env_encrypt('x', '{}', 'inspect') AS value \gset
SELECT env_inspect(:'value') - 'nonce' - 'key_id' AS inspected,
    env_inspect(:'value')->>'key_id' = lpad(to_hex(key_id), 12, '0') AS key_id,
    env_inspect(:'value')->>'nonce' =
        encode(substr(pg_temp.bytes(:'value'), 51, 12), 'hex') AS nonce
FROM pgenvelope.key WHERE name = 'inspect';
CREATE ROLE inspect_role;
SET ROLE inspect_role;
SELECT env_key(:'value'), env_key_version(:'value'),
    env_inspect(:'value')->>'key';
RESET ROLE;
DROP ROLE inspect_role;

-- Key names with anything in them
SELECT pgenvelope.create_key('in "spect" \ ''') > 0 AS created;
SELECT env_inspect(env_encrypt('x', '{"tenant": "a", "type": "t"}',
    'in "spect" \ '''))->>'key';
