--
-- vectors: the files of test/vectors, as far as no key of theirs is needed:
-- text and binary form of every value, its equality and hash, canonical
-- contexts, required contexts, and values as JWEs.  (That good values open
-- and bad ones do not is for tests that can configure their root key.)
--
\i test/sql/include/prepare.sql
\set directory `pwd` /test/vectors/

-- A file as its headers and its body, which may be any bytes
CREATE TEMP TABLE vectors AS
    SELECT kind, name, head, substr(bytes, split + 2) AS body,
        substring(head FROM '(?n)^expect: (.*)$') AS expect
    FROM unnest(ARRAY['envelope', 'equality', 'context', 'policy', 'jwe'])
            AS kind,
        pg_ls_dir(:'directory' || kind) AS name,
        pg_read_binary_file(:'directory' || kind || '/' || name) AS bytes,
        NULLIF(position('\x0a0a' IN bytes), 0) AS split,
        convert_from(substr(bytes, 1, COALESCE(split, length(bytes))), 'UTF8')
            AS head;
CREATE FUNCTION pg_temp.header(head text, name text) RETURNS text
LANGUAGE sql AS $$
    SELECT substring(head FROM '(?n)^' || name || ': ?(.*)$')
$$;
-- the text of a body, and null if it is none
CREATE FUNCTION pg_temp.body(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
SELECT kind, count(*) > 0 AS some, bool_and(expect IS NOT NULL) AS expected
FROM vectors GROUP BY kind ORDER BY kind;

-- Every list below is of cases that did not come out as expected.

-- Values: what is malformed or unsupported is refused, everything else taken,
-- and given back as it was
SELECT name, expect, outcome
FROM vectors, LATERAL (SELECT pg_temp.outcome(format('SELECT %L::envelope',
    pg_temp.body(body))) AS outcome) AS o
WHERE kind = 'envelope' AND pg_temp.body(body) IS NOT NULL
    AND CASE WHEN expect IN ('malformed', 'unsupported')
        THEN outcome <> '22P02'
        ELSE outcome IS DISTINCT FROM pg_temp.body(body) END;

-- their binary form alike, where the text form has bytes at all
CREATE TEMP TABLE received (value envelope);
CREATE FUNCTION pg_temp.receive(bytes bytea) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0)
        || int2send(1::int2) || int4send(length(bytes)) || bytes
        || int2send(-1::int2);
BEGIN
    DELETE FROM received;
    EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)',
                   'echo ' || translate(encode(file, 'base64'), E'\n', '')
                   || ' | base64 -d');
    RETURN (SELECT value FROM received);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SELECT name, expect, outcome
FROM vectors, LATERAL (SELECT pg_temp.receive(pg_temp.decoded(
    substr(pg_temp.body(body), 6))) AS outcome) AS o
WHERE kind = 'envelope' AND name !~ '^bad_text'
    AND length(body) BETWEEN 5 AND 20000
    AND CASE WHEN expect IN ('malformed', 'unsupported')
        THEN outcome <> '22P03'
        ELSE outcome IS DISTINCT FROM pg_temp.body(body) END;

-- what can be read of the good ones
SELECT name, env_inspect(v), head
FROM vectors, LATERAL (SELECT pg_temp.body(body)::envelope AS v) AS e
WHERE kind = 'envelope' AND expect = 'ok' AND (
    env_inspect(v)->>'key_id'
        IS DISTINCT FROM pg_temp.header(head, 'value_key_id')
    OR env_key_version(v)::text
        IS DISTINCT FROM pg_temp.header(head, 'value_key_version')
    OR env_inspect(v)->>'nonce' IS DISTINCT FROM pg_temp.header(head, 'nonce')
    OR (env_inspect(v)->>'payload' = 'text')
        IS DISTINCT FROM (pg_temp.header(head, 'text') = 'yes')
    OR (env_inspect(v)->>'padded')::boolean
        IS DISTINCT FROM (pg_temp.header(head, 'padding') <> '0')
    OR (env_inspect(v) ? 'stored_context')
        IS DISTINCT FROM (pg_temp.header(head, 'stored') = 'yes')
    OR env_inspect(v)->'stored_context'
        <> pg_temp.header(head, 'context')::jsonb);

-- Equality
SELECT name, a = b AS equal
FROM vectors, LATERAL (SELECT pg_temp.header(head, 'a')::envelope AS a,
    pg_temp.header(head, 'b')::envelope AS b) AS v
WHERE kind = 'equality'
    AND ((a = b) IS DISTINCT FROM (pg_temp.header(head, 'equal') = 'yes')
         OR (a <> b) = (a = b)
         OR (a = b AND envelope_hash(a) <> envelope_hash(b))
         OR (a = b AND envelope_hash_extended(a, 42)
             <> envelope_hash_extended(b, 42)));

-- Contexts: to canonical bytes by way of jsonb, which refuses some itself
SELECT pgenvelope.create_key('vectors', required_context => '{}') > 0 AS created;
CREATE FUNCTION pg_temp.canonical(context text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    value envelope := env_encrypt('x', context::jsonb, 'vectors');
BEGIN
    RETURN convert_from(pg_temp.decoded(
        env_to_jwe(value, context::jsonb)->>'aad'), 'UTF8');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE FUNCTION pg_temp.is_jsonb(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM $1::jsonb;
    RETURN $1 IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END
$$;
SELECT name, expect, outcome
FROM vectors, LATERAL (SELECT pg_temp.outcome(format(
    'SELECT pg_temp.canonical(%L)', pg_temp.body(body))) AS outcome) AS o
WHERE kind = 'context'
    AND pg_temp.header(head, 'jsonb') IS DISTINCT FROM 'differs'
    AND CASE WHEN NOT pg_temp.is_jsonb(pg_temp.body(body))
        THEN expect = 'ok'
        WHEN expect = 'ok'
        THEN outcome IS DISTINCT FROM pg_temp.header(head, 'canonical')
        ELSE outcome IS DISTINCT FROM 'PE005' END;
SELECT count(*) > 20 AS enough FROM vectors
WHERE kind = 'context' AND expect = 'ok';

-- What keys require
CREATE FUNCTION pg_temp.satisfies(policy jsonb, context jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgenvelope.create_key('vectors policy', required_context => policy);
    PERFORM env_encrypt('x', context, 'vectors policy');
    RAISE SQLSTATE 'ROLLB';
EXCEPTION WHEN SQLSTATE 'ROLLB' THEN
    RETURN 'ok';
WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SELECT name, expect, outcome
FROM vectors, LATERAL (SELECT pg_temp.satisfies(
    pg_temp.header(head, 'policy')::jsonb,
    pg_temp.header(head, 'context')::jsonb) AS outcome) AS o
WHERE kind = 'policy' AND expect <> 'malformed'     -- it is canonical here
    AND CASE expect WHEN 'ok' THEN outcome <> 'ok'
        ELSE outcome <> 'PE005' END;
SELECT count(*) > 0 AS cases FROM vectors WHERE kind = 'policy';

-- JWEs to values, in both forms; context stored where the vector says so
SELECT name, expect, outcome
FROM vectors, LATERAL (SELECT set_config('pgenvelope.store_context',
        COALESCE(pg_temp.header(head, 'store_context'), 'no'), false),
    pg_temp.outcome(format('SELECT env_from_jwe(%L)', pg_temp.body(body)))
        AS outcome) AS o
WHERE kind = 'jwe' AND pg_temp.header(head, 'direction') IS NULL
    AND pg_temp.header(head, 'jsonb') IS DISTINCT FROM 'differs'
    AND pg_temp.body(body) IS NOT NULL
    AND CASE expect WHEN 'ok'
        THEN outcome IS DISTINCT FROM pg_temp.header(head, 'envelope')
        ELSE outcome NOT IN ('22P02', '22P05') END;
RESET pgenvelope.store_context;

-- and values to JWEs, for which a key of that name and id must be there
INSERT INTO pgenvelope.key (key_id, name, required_context)
    SELECT DISTINCT id, 'vectors ' || id, '{}'::jsonb
    FROM vectors, LATERAL env_inspect(pg_temp.header(head, 'envelope')::envelope)
            AS inspected,
        LATERAL (SELECT ('x' || (inspected->>'key_id'))::bit(48)::bigint AS id)
            AS i
    WHERE kind = 'jwe' AND pg_temp.header(head, 'envelope') IS NOT NULL;
CREATE FUNCTION pg_temp.to_jwe(head text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    value envelope := pg_temp.header(head, 'envelope');
    id bigint := ('x' || (env_inspect(value)->>'key_id'))::bit(48)::bigint;
    jwe jsonb;
BEGIN
    UPDATE pgenvelope.key
    SET name = COALESCE(pg_temp.header(head, 'key_name'), 'vectors')
    WHERE key_id = id;
    jwe := env_to_jwe(value, pg_temp.header(head, 'context')::jsonb,
                      pg_temp.header(head, 'form') = 'general');
    UPDATE pgenvelope.key SET name = 'vectors ' || id WHERE key_id = id;
    RETURN jwe;
END
$$;
UPDATE pgenvelope.key SET name = 'vectors own' WHERE name = 'vectors';
SELECT name, jwe, pg_temp.body(body)::jsonb
FROM vectors, LATERAL pg_temp.to_jwe(head) AS jwe
WHERE kind = 'jwe' AND expect = 'ok'
    AND pg_temp.header(head, 'direction') IS NULL
    AND jwe <> pg_temp.body(body)::jsonb;
SELECT name, expect, outcome
FROM vectors, LATERAL pg_temp.outcome(format('SELECT pg_temp.to_jwe(%L)',
                                             head)) AS outcome
WHERE kind = 'jwe' AND pg_temp.header(head, 'direction') = 'to'
    AND outcome IS DISTINCT FROM
        CASE expect WHEN 'authentication' THEN 'PE004' END;
SELECT count(*) > 10 AS enough FROM vectors
WHERE kind = 'jwe' AND expect = 'ok';
DELETE FROM pgenvelope.key
WHERE NOT EXISTS (SELECT FROM pgenvelope.key_version v
                  WHERE v.key_id = key.key_id);
