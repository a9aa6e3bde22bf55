\set ECHO none
-- Included by encodings, in a database of another encoding.  Expects :text, a
-- text in that encoding as hexadecimal bytes, :utf8, the same in UTF-8, and
-- what encodings has sealed in a UTF-8 database.
\i test/sql/include/prepare.sql
\set ECHO none
SELECT getdatabaseencoding() AS encoding;
SET client_encoding = 'SQL_ASCII';      -- nothing below prints the text itself
CREATE FUNCTION pg_temp.given(bytes bytea) RETURNS text LANGUAGE sql AS $$
    SELECT convert_from(bytes, getdatabaseencoding())
$$;
CREATE FUNCTION pg_temp.run(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
END
$$;
SELECT pgenvelope.create_key('encodings', required_context => '{}') > 0 AS created;
SET pgenvelope.default_key = 'encodings';

-- Sealed as UTF-8, and back as it was
SELECT env_decrypt_bytea(v, '{}') = :'utf8'::bytea AS utf8,
    env_decrypt(v, '{}') = t AS same,
    convert_to(env_decrypt(v, '{}'), getdatabaseencoding()) = :'text'::bytea
        AS same_bytes
FROM pg_temp.given(:'text') AS t, LATERAL env_encrypt(t, '{}') AS v;
SELECT env_decrypt(env_encrypt(repeat(t, 100000), '{}'), '{}')
    = repeat(t, 100000) AS long
FROM pg_temp.given(:'text') AS t;

-- In contexts: the canonical bytes are those of a UTF-8 database
SELECT pg_temp.decoded(env_to_jwe(env_encrypt('x', c), c)->>'aad')
    = '\x7b22'::bytea || :'utf8'::bytea || '\x223a22' || :'utf8'::bytea
      || '\x227d' AS canonical,
    env_verify(env_encrypt('x', c), c) AS verify,
    env_verify(env_encrypt('x', c), jsonb_build_object(t, t || 'x')) AS other
FROM pg_temp.given(:'text') AS t, LATERAL jsonb_build_object(t, t) AS c;
SET pgenvelope.store_context = on;
SELECT env_inspect(env_encrypt('x', c))->'stored_context' = c AS stored
FROM pg_temp.given(:'text') AS t, LATERAL jsonb_build_object(t, t) AS c;
RESET pgenvelope.store_context;

-- In a token: \u escapes and UTF-8 stand for the same, whatever the encoding,
-- and what it has no character for is refused in the context only
\i test/sql/include/token.sql
\set ECHO none
CREATE FUNCTION pg_temp.token_with(ctx bytea) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.token_of(convert_to(format('{"exp":%s,"aud":%s,"x":"\ud83d\ude00","ctx":',
        extract(epoch FROM clock_timestamp())::bigint + 300,
        to_json(current_database())), 'UTF8') || ctx || '}')
$$;
SELECT pg_temp.bound(pg_temp.token_with('{"' || e || '":"' || e || '"}')) = c AS escaped,
    pg_temp.bound(pg_temp.token_with('{"' || u || '":"' || u || '"}')) = c AS utf8,
    pg_temp.bound(pg_temp.token_with('{"' || u || '":1,"' || e || '":2}')) AS twice
FROM pg_temp.given(:'text') AS t, format('{"%s":"%s"}', t, t) AS c,
    convert_to(:'escaped', 'UTF8') AS e, CAST(:'utf8' AS bytea) AS u;
SELECT pg_temp.bound(pg_temp.token_with(convert_to('{"a":"\ud83d\ude00"}', 'UTF8'))) LIKE 'token%' AS refused;

-- In a trigger, as its column's values and its arguments
CREATE TABLE encodings (id text, plain text, secret envelope);
SELECT pg_temp.run(format(
    'CREATE TRIGGER t BEFORE INSERT ON encodings FOR EACH ROW '
    'EXECUTE FUNCTION env_encrypt_column(''plain'', ''secret'', ''id=id'', %L)',
    t || ':' || t))
FROM pg_temp.given(:'text') AS t;
INSERT INTO encodings SELECT t, t FROM pg_temp.given(:'text') AS t;
SELECT plain, env_decrypt(secret, jsonb_build_object('id', t, t, t)) = t AS same,
    env_decrypt_bytea(secret, jsonb_build_object('id', t, t, t))
        = :'utf8'::bytea AS utf8
FROM encodings, pg_temp.given(:'text') AS t;

-- In required contexts, and the messages about them
SELECT pgenvelope.create_key('required', required_context =>
    jsonb_build_object(t, NULL)) > 0 AS created
FROM pg_temp.given(:'text') AS t;
SELECT env_key(env_encrypt('x', jsonb_build_object(t, 'x'), 'required'))
FROM pg_temp.given(:'text') AS t;
CREATE FUNCTION pg_temp.detail() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM env_encrypt('x', '{"x": 1}', 'required');
EXCEPTION WHEN SQLSTATE 'PE005' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END
$$;
SELECT position(t IN pg_temp.detail()) > 0 AS named
FROM pg_temp.given(:'text') AS t;

-- From a UTF-8 database: its key, and values of text that every encoding has,
-- that this one has, and that it has not
INSERT INTO pgenvelope.key (key_id, name, required_context)
    VALUES (:id, 'from UTF-8', '{}');
INSERT INTO pgenvelope.key_version (key_id, version, state, provider,
        sealed_kek, kcv, root_key)
    VALUES (:id, 1, 'active', 'main', :'sealed_kek', :'kcv', :'root_key');
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee)
    VALUES (:id, 'decrypt', current_user::regrole);
SELECT env_decrypt(:'ascii', '{}');
SELECT env_decrypt(:'value', '{}') = t AS same,
    env_decrypt(:'in_context', jsonb_build_object(t, t)) AS in_context
FROM pg_temp.given(:'text') AS t;
SELECT pg_temp.outcome(format('SELECT octet_length(env_decrypt(%L, %L))',
    :'foreign', '{}')) AS foreign, env_decrypt_bytea(:'foreign', '{}'),
    env_verify(:'foreign', '{}');
SELECT jsonb_typeof(env_inspect(:'foreign_stored')->'stored_context')
    AS foreign_stored;
\set ECHO all
