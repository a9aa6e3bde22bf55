--
-- encodings: text is sealed as UTF-8 and contexts are bound as UTF-8, whatever
-- the encoding of the database, so that values move between databases.  What
-- the database's encoding has no characters for is refused, and can be had as
-- bytes.  SQL_ASCII databases take and give UTF-8 only.
--
\i test/sql/include/prepare.sql
SELECT current_database() AS home \gset
SELECT format('CREATE DATABASE %I ENCODING %L TEMPLATE template0 '
              'LC_COLLATE ''C'' LC_CTYPE ''C''',
              'pgenvelope ' || encoding, encoding)
FROM unnest(ARRAY['SQL_ASCII', 'LATIN1', 'LATIN9', 'WIN1252', 'KOI8R',
                  'EUC_JP', 'EUC_KR', 'MULE_INTERNAL']) AS encoding \gexec

-- Values of a UTF-8 database, whose key the others are given: é is in LATIN1,
-- LATIN9 and WIN1252, я in KOI8R and the EUCs, 日 in the EUCs; U+1F600 is in
-- none
SELECT pgenvelope.create_key('encodings', required_context => '{}') > 0 AS created;
SET pgenvelope.default_key = 'encodings';
SELECT key_id AS id, sealed_kek, kcv, root_key
FROM pgenvelope.key_version JOIN pgenvelope.key USING (key_id)
WHERE name = 'encodings' \gset
SELECT env_encrypt('ASCII', '{}') AS ascii,
    env_encrypt(U&'\+01F600', '{}') AS foreign,
    env_encrypt(U&'\00E9', '{}') AS value_e,
    env_encrypt('in context', jsonb_build_object(U&'\00E9', U&'\00E9'))
        AS context_e,
    env_encrypt(U&'\044F', '{}') AS value_ya,
    env_encrypt('in context', jsonb_build_object(U&'\044F', U&'\044F'))
        AS context_ya,
    env_encrypt(U&'\65E5', '{}') AS value_ri,
    env_encrypt('in context', jsonb_build_object(U&'\65E5', U&'\65E5'))
        AS context_ri \gset
SET pgenvelope.store_context = on;
SELECT env_encrypt('x', jsonb_build_object('a', U&'\+01F600'))
    AS foreign_stored \gset
RESET pgenvelope.store_context;

\set escaped '\\u00e9'
\set text '\\xe9'
\set utf8 '\\xc3a9'
\set value :value_e
\set in_context :context_e
\connect "pgenvelope LATIN1"
\i test/sql/include/encoding.sql
\connect "pgenvelope LATIN9"
\i test/sql/include/encoding.sql
\connect "pgenvelope WIN1252"
\i test/sql/include/encoding.sql

\set escaped '\\u044f'
\set text '\\xd1'
\set utf8 '\\xd18f'
\set value :value_ya
\set in_context :context_ya
\connect "pgenvelope KOI8R"
\i test/sql/include/encoding.sql

\set escaped '\\u65e5'
\set utf8 '\\xe697a5'
\set value :value_ri
\set in_context :context_ri
\set text '\\xc6fc'
\connect "pgenvelope EUC_JP"
\i test/sql/include/encoding.sql
\set text '\\xeced'
\connect "pgenvelope EUC_KR"
\i test/sql/include/encoding.sql

-- SQL_ASCII: bytes that are UTF-8 pass, others do not
\set text '\\xe697a5'
\connect "pgenvelope SQL_ASCII"
\i test/sql/include/encoding.sql
SELECT bytes, pg_temp.outcome(format(
    'SELECT env_key(env_encrypt(pg_temp.given(%L), %L))', bytes, '{}'))
        AS plaintext,
    pg_temp.outcome(format(
    'SELECT env_key(env_encrypt(%L, jsonb_build_object(%L, pg_temp.given(%L))))',
    'x', 'a', bytes)) AS context,
    pg_temp.outcome(format(
    'SELECT env_key(env_encrypt(%L, jsonb_build_object(pg_temp.given(%L), 1)))',
    'x', bytes)) AS name,
    env_decrypt_bytea(env_encrypt(bytes, '{}'), '{}') = bytes AS bytea
FROM unnest(ARRAY['\xe9', '\xff', '\xc3', '\xc0af', '\xeda080', '\xf4908080',
                  '\x7f', '\xefbfbf']::bytea[]) AS bytes;
INSERT INTO encodings SELECT 'x', pg_temp.given('\xff');
INSERT INTO encodings SELECT pg_temp.given('\xff'), 'x';
SELECT pgenvelope.create_key('bad', required_context =>
    jsonb_build_object(pg_temp.given('\xff'), NULL));
\set VERBOSITY default
SELECT env_encrypt(pg_temp.given('\xff'), '{}');
\set VERBOSITY sqlstate

-- From MULE_INTERNAL there is no way to UTF-8: bytes can be sealed, text and
-- contexts with members cannot
\connect "dbname='pgenvelope MULE_INTERNAL' client_encoding=MULE_INTERNAL"
\i test/sql/include/prepare.sql
SELECT pgenvelope.create_key('encodings', required_context => '{}') > 0 AS created;
SELECT env_decrypt_bytea(env_encrypt('\xff'::bytea, '{}', 'encodings'), '{}');
SELECT env_encrypt('x', '{}', 'encodings');
SELECT env_encrypt('\xff'::bytea, '{"a": "x"}', 'encodings');

\set home dbname=:home ' client_encoding=UTF8'
\connect :"home"
SELECT format('DROP DATABASE %I', datname) FROM pg_database
WHERE datname LIKE 'pgenvelope %' ORDER BY 1 \gexec
