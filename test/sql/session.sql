-- env_bind_session: which tokens are taken, and how long what they bind lasts.
-- That no session gets at another's values is the subject of injection.
\i test/sql/include/prepare.sql
\i test/sql/include/token.sql

\set shown 'SELECT current_setting(''pgenvelope.session_context'') AS bound;'

-- For the transaction
SELECT pg_temp.token(pg_temp.claims('{"tenant": "acme"}')) AS acme \gset
SELECT pg_temp.token(pg_temp.claims('{"tenant": "other"}')) AS other \gset
CREATE ROLE session_app;
SET ROLE session_app;
BEGIN;
SELECT env_bind_session(:'acme');
:shown
COMMIT;
:shown
BEGIN;
SELECT env_bind_session(:'acme', 'transaction');
:shown
ROLLBACK;
:shown

-- An error ends it, too
BEGIN;
SELECT env_bind_session(:'acme');
SELECT 1/0;
ROLLBACK;
:shown

-- Outside of a transaction block it is of no use, and says so
\set VERBOSITY default
SELECT env_bind_session(:'acme');
\set VERBOSITY sqlstate
:shown
SELECT env_bind_session(:'acme') \; :shown

-- Subtransactions
BEGIN;
SAVEPOINT s;
SELECT env_bind_session(:'acme');
:shown
ROLLBACK TO s;
:shown
SELECT env_bind_session(:'other');
RELEASE s;
:shown
SELECT env_bind_session(:'acme');
ROLLBACK;
\set VERBOSITY terse
DO $$
BEGIN
    BEGIN
        PERFORM env_bind_session(pg_temp.token(pg_temp.claims('{"a": 1}')));
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    RAISE NOTICE 'bound to "%"', current_setting('pgenvelope.session_context');
    PERFORM env_bind_session(pg_temp.token(pg_temp.claims('{"a": 2}')));
    RAISE NOTICE 'bound to "%"', current_setting('pgenvelope.session_context');
    COMMIT;
    RAISE NOTICE 'bound to "%"', current_setting('pgenvelope.session_context');
END
$$;
\set VERBOSITY sqlstate

-- In a function with settings of its own, beyond which it lasts
CREATE FUNCTION pg_temp.bind(token text) RETURNS void LANGUAGE sql
SET search_path = public, envelope AS $$ SELECT env_bind_session(token) $$;
BEGIN;
SELECT pg_temp.bind(:'acme');
:shown
COMMIT;

-- A transaction is bound once, whatever is done in between
BEGIN;
SELECT env_bind_session(:'acme');
SELECT pg_temp.outcome(format('SELECT env_bind_session(%L)', :'other'));
SELECT pg_temp.outcome(format('SELECT env_bind_session(%L)', :'acme'));
SELECT env_unbind_session();
:shown
SELECT pg_temp.outcome(format('SELECT env_bind_session(%L)', :'other'));
RESET ALL;
SELECT pg_temp.outcome(format('SELECT env_bind_session(%L)', :'other'));
SAVEPOINT s;
ROLLBACK TO s;
SELECT pg_temp.outcome(format('SELECT env_bind_session(%L)', :'other'));
:shown
COMMIT;
BEGIN;
SELECT env_bind_session(:'acme');
RESET ALL;
:shown
COMMIT;
RESET ROLE;

-- It does not go along with a prepared transaction
BEGIN;
SELECT env_bind_session(:'acme');
PREPARE TRANSACTION 'session';
:shown
BEGIN;
SELECT env_bind_session(:'other');
COMMIT;
COMMIT PREPARED 'session';
:shown

-- For the session, if the token allows it
SELECT env_bind_session(:'acme', 'session');
SELECT pg_temp.token(pg_temp.claims('{"tenant": "acme"}',
    '{"ctx_scope": "session"}')) AS acme_session \gset
SET ROLE session_app;
SELECT env_bind_session(:'acme_session', 'session');
:shown
BEGIN;
SELECT env_bind_session(:'other');
:shown
COMMIT;
:shown
BEGIN;
SELECT env_unbind_session();
ROLLBACK;
:shown
SELECT env_unbind_session();
:shown
BEGIN;
SELECT env_bind_session(:'acme_session', 'session');
ROLLBACK;
:shown
SELECT env_bind_session(:'acme_session', 'session');
DISCARD ALL;
\i test/sql/include/prepare.sql
\i test/sql/include/token.sql
:shown
SELECT env_bind_session(:'acme_session', 'statement');
SELECT env_bind_session(:'acme_session', NULL);
RESET ROLE;

-- Parallel workers have it
BEGIN;
SELECT env_bind_session(:'acme');
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SELECT current_setting('pgenvelope.session_context') AS bound, count(*) > 0
FROM pg_class GROUP BY 1;
COMMIT;

-- Not by a parallel worker, and not in a maintenance command
CREATE FUNCTION session_bind(token text) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT 'x' FROM envelope.env_bind_session(token) $$;
CREATE TABLE session_token AS SELECT :'acme' AS token;
CREATE INDEX ON session_token (session_bind(token));
DROP TABLE session_token;
DROP FUNCTION session_bind;

-- Ed25519, by another library: an audience among others, every type of member
BEGIN;
SELECT env_bind_session('eyJhbGciOiJFZERTQSIsImtpZCI6InRlc3QtZWQyNTUxOSIsInR5cCI6IkpXVCJ9.eyJhdWQiOlsib3RoZXIiLCJjb250cmliX3JlZ3Jlc3Npb24iXSwiY3R4Ijp7ImxldmVsIjozLCJzdGFmZiI6dHJ1ZSwidGVuYW50IjoiYWNtZSJ9LCJleHAiOjM3ODY5MTIwMDB9.Sd_B-YRvcXY-0pFuJbOyQ52ARGjVDeDZJvNAqMVrG1tE1e1ECpInjGUSm6dsekRBjsZawAJUZz9t9lqzOGbnCg');
:shown
ROLLBACK;

-- Members in the canonical order, whatever their spelling
BEGIN;
SELECT env_bind_session(pg_temp.token(format(
    '{"ctx":{"z\u0061":"\u00e4\ud83d\ude00\/","a":-7,"b":false},"aud":%s,"exp":%s.9,"iat":0,"nbf":1.5,"more":[{}]}',
    to_json(current_database()),
    extract(epoch FROM clock_timestamp())::bigint + 60)));
:shown
ROLLBACK;

-- Somebody's token is taken from what all others can see
BEGIN;
SELECT (SELECT query FROM pg_stat_get_activity(pg_backend_pid()))
FROM env_bind_session(:'acme');
ROLLBACK;

-- Tokens that are nobody's
CREATE FUNCTION pg_temp.binding(token text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM env_bind_session(token);
    RAISE EXCEPTION 'bound';            -- and undone
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT pg_temp.claims('{"tenant": "acme"}') AS claims \gset
SELECT what, pg_temp.binding(token) FROM (VALUES
    ('null', NULL),
    ('empty', ''),
    ('no token', 'acme'),
    ('two parts', split_part(:'acme', '.', 1) || '.' || split_part(:'acme', '.', 2)),
    ('no signature', split_part(:'acme', '.', 1) || '.' || split_part(:'acme', '.', 2) || '.'),
    ('four parts', :'acme' || '.AA'),
    ('white space', :'acme' || ' '),
    ('padding', :'acme' || '='),
    ('JSON serialization', '{"payload":"","signatures":[]}'),
    ('another payload', split_part(:'acme', '.', 1) || '.'
        || split_part(:'other', '.', 2) || '.' || split_part(:'acme', '.', 3)),
    ('signature cut', left(:'acme', -4)),
    ('signature longer', :'acme' || 'AAAA'),
    ('spare bits set', left(:'acme', -1)
        || translate(right(:'acme', 1), 'AEIMQUYcgkosw048', 'BFJNRVZdhlptx159')),
    ('too long', pg_temp.token(pg_temp.claims(jsonb_build_object('x', repeat('x', 6200))::text))),
    ('much too long', repeat('x', 10000000)),
    ('alg none', pg_temp.token(:'claims', '{"alg":"none","kid":"test-hs256"}')),
    ('alg none, unsigned', pg_temp.base64url('{"alg":"none","kid":"test-hs256"}') || '.'
        || split_part(:'acme', '.', 2) || '.'),
    ('alg RS256', pg_temp.token(:'claims', '{"alg":"RS256","kid":"somebody-elses"}')),
    ('alg HS512', pg_temp.token(:'claims', '{"alg":"HS512","kid":"test-hs256"}')),
    ('alg hs256', pg_temp.token(:'claims', '{"alg":"hs256","kid":"test-hs256"}')),
    ('alg of another key', pg_temp.token(:'claims', '{"alg":"HS256","kid":"test-ed25519"}')),
    ('alg EdDSA, key HS256', pg_temp.token(:'claims', '{"alg":"EdDSA","kid":"test-hs256"}')),
    ('key of another', pg_temp.token(:'claims', '{"alg":"HS256","kid":"somebody-elses"}')),
    ('no alg', pg_temp.token(:'claims', '{"kid":"test-hs256"}')),
    ('no kid', pg_temp.token(:'claims', '{"alg":"HS256"}')),
    ('kid unknown', pg_temp.token(:'claims', '{"alg":"HS256","kid":"unknown"}')),
    ('kid a number', pg_temp.token(:'claims', '{"alg":"HS256","kid":1}')),
    ('kid twice', pg_temp.token(:'claims', '{"alg":"HS256","kid":"x","kid":"test-hs256"}')),
    ('alg twice', pg_temp.token(:'claims', '{"alg":"HS256","\u0061lg":"HS256","kid":"test-hs256"}')),
    ('key brought along', pg_temp.token(:'claims',
        '{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://x"}')),
    ('crit', pg_temp.token(:'claims', '{"alg":"HS256","kid":"test-hs256","crit":["exp"],"exp":1}')),
    ('b64', pg_temp.token(:'claims', '{"alg":"HS256","kid":"test-hs256","crit":["b64"],"b64":false}')),
    ('header long', pg_temp.token(:'claims', format(
        '{"alg":"HS256","kid":"test-hs256","x":"%s"}', repeat('x', 1000)))),
    ('header an array', pg_temp.token(:'claims', '["HS256"]')),
    ('header not JSON', pg_temp.token(:'claims', 'x'))
) AS t (what, token);

-- Tokens that are signed, and not taken
SELECT extract(epoch FROM clock_timestamp())::bigint AS now \gset
SELECT what, pg_temp.binding(pg_temp.token(claims)) FROM (VALUES
    ('not JSON', 'x'),
    ('nothing', '{}'),
    ('no exp', (:'claims'::jsonb - 'exp' || '{}')::text),
    ('exp a string', (:'claims'::jsonb || '{"exp": "4000000000"}')::text),
    ('exp null', (:'claims'::jsonb || '{"exp": null}')::text),
    ('exp with exponent', replace(:'claims', '"exp": ', '"exp": 1e10, "x": ')),
    ('exp negative', (:'claims'::jsonb || '{"exp": -1}')::text),
    ('exp huge', (:'claims'::jsonb || '{"exp": 99999999999999999999}')::text),
    ('exp far away', (:'claims'::jsonb || '{"exp": 9999999999}')::text),
    ('expired', (:'claims'::jsonb || jsonb_build_object('exp', :now - 1))::text),
    ('nbf', (:'claims'::jsonb || jsonb_build_object('nbf', :now + 60))::text),
    ('nbf, almost', (:'claims'::jsonb || jsonb_build_object('nbf', :now + 5))::text),
    ('iat', (:'claims'::jsonb || jsonb_build_object('iat', :now + 60))::text),
    ('iat a string', (:'claims'::jsonb || '{"iat": "now"}')::text),
    ('no aud', (:'claims'::jsonb - 'aud' || '{}')::text),
    ('aud of another', (:'claims'::jsonb || '{"aud": "postgres"}')::text),
    ('aud of others', (:'claims'::jsonb || '{"aud": ["postgres", "contrib_regression2"]}')::text),
    ('aud none', (:'claims'::jsonb || '{"aud": []}')::text),
    ('aud with a number', (:'claims'::jsonb || '{"aud": ["contrib_regression", 1]}')::text),
    ('aud an object', (:'claims'::jsonb || '{"aud": {"contrib_regression": 1}}')::text),
    ('no ctx', (:'claims'::jsonb - 'ctx' || '{}')::text),
    ('ctx a string', (:'claims'::jsonb || '{"ctx": "acme"}')::text),
    ('ctx empty', (:'claims'::jsonb || '{"ctx": {}}')::text),
    ('ctx null member', (:'claims'::jsonb || '{"ctx": {"tenant": null}}')::text),
    ('ctx empty member', (:'claims'::jsonb || '{"ctx": {"tenant": ""}}')::text),
    ('ctx nested', (:'claims'::jsonb || '{"ctx": {"tenant": ["acme"]}}')::text),
    ('ctx fraction', (:'claims'::jsonb || '{"ctx": {"tenant": 1.5}}')::text),
    ('ctx 2^53', (:'claims'::jsonb || '{"ctx": {"tenant": 9007199254740992}}')::text),
    ('ctx NUL', replace(:'claims', '"acme"', '"ac\u0000me"')),
    ('ctx half a character', replace(:'claims', '"acme"', '"\ud83d"')),
    ('ctx twice', replace(:'claims', '"ctx"', '"ctx": {"tenant": "other"}, "ctx"')),
    ('tenant twice', replace(:'claims', '"tenant"', '"tenant": "other", "tenant"')),
    ('tenant twice, respelled', replace(:'claims', '"tenant"', '"ten\u0061nt": "other", "tenant"')),
    ('ctx_scope', (:'claims'::jsonb || '{"ctx_scope": "transaction"}')::text),
    ('good', :'claims')
) AS t (what, claims);

-- Where the keys are is for superusers
SET ROLE session_app;
SHOW pgenvelope.session_key_file;
RESET ROLE;
DROP ROLE session_app;
