-- Whoever runs any SQL as the application's role, in a session that is bound
-- to one tenant, opens no value of another's, and makes none.  The attacker
-- may create objects in every schema that the search path goes through, holds
-- a token of their own tenant, and knows the other's rows and contexts.
\i test/sql/include/prepare.sql
\i test/sql/include/token.sql

SELECT current_user AS superuser \gset
CREATE ROLE injection_app LOGIN;
CREATE ROLE injection_victim;
GRANT CREATE, USAGE ON SCHEMA public TO injection_app;
SELECT pgenvelope.create_key('injection',
    required_context => '{"tenant": null, "id": null}') > 0 AS created;
SELECT pgenvelope.grant_key('injection', 'encrypt', 'injection_app',
        '{"tenant": {"session": "tenant"}}') AS encrypt,
    pgenvelope.grant_key('injection', 'decrypt', 'injection_app',
        '{"tenant": {"session": "tenant"}}') AS decrypt,
    pgenvelope.grant_key('injection', 'rewrap', 'injection_app') AS rewrap,
    pgenvelope.grant_key('injection', 'decrypt', 'injection_victim') AS victim;
CREATE TABLE injection (tenant text, id int, note envelope);
INSERT INTO injection
SELECT tenant, id, env_encrypt('secret of ' || tenant,
    jsonb_build_object('tenant', tenant, 'id', id), 'injection')
FROM unnest('{acme,other}'::text[]) AS tenant, generate_series(1, 100) AS id;
ANALYZE injection;
GRANT ALL ON injection TO injection_app, injection_victim;

-- From here on as the attacker
\c - injection_app
\i test/sql/include/prepare.sql
\i test/sql/include/token.sql
SELECT pg_temp.token(pg_temp.claims('{"tenant": "acme"}')) AS acme \gset

-- What the other's value opens to, by every function that might tell
CREATE FUNCTION pg_temp.other() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcomes text[];
    call text;
BEGIN
    FOREACH call IN ARRAY '{
        "envelope.env_decrypt(note, c)",
        "envelope.env_decrypt_bytea(note, c)",
        "envelope.env_verify(note, c)",
        "envelope.env_reencrypt(note, c)",
        "envelope.env_rebind(note, c, a)",
        "envelope.env_encrypt(''x'', c, ''injection'')",
        "env_decrypt(note, c)"}'::text[] LOOP
        outcomes := outcomes || pg_temp.outcome(format(
            $q$SELECT %s FROM public.injection,
                pg_catalog.jsonb_build_object('tenant', 'other', 'id', 1) AS c,
                pg_catalog.jsonb_build_object('tenant', 'acme', 'id', 1) AS a
            WHERE tenant = 'other' AND id = 1$q$, call));
    END LOOP;
    RETURN (SELECT string_agg(DISTINCT o, ' ') FROM unnest(outcomes) AS o);
END
$$;

-- Tries something; says what came of it, and what the other's value opens to.
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    BEGIN
        EXECUTE statement INTO result;
        RETURN result;
    EXCEPTION WHEN syntax_error THEN    -- it returns nothing
        EXECUTE statement;
        RETURN 'done';
    END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE FUNCTION pg_temp.attack(what text, VARIADIC statements text[],
    OUT attack text, OUT outcome text, OUT other text)
LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    attack := what;
    FOREACH statement IN ARRAY statements LOOP
        outcome := concat_ws(' ', outcome, pg_temp.attempt(statement));
    END LOOP;
    other := pg_temp.other();
END
$$;
\set opens 'SELECT outcome, other FROM pg_temp.attack(\'\', $$SELECT env_decrypt(note, \'{"tenant": "acme", "id": 1}\') FROM public.injection WHERE tenant = \'acme\' AND id = 1$$);'
\set bound 'BEGIN; SELECT FROM env_bind_session(:\'acme\');'

-- Bound, the role opens what is its own, and nothing else; unbound, nothing
:bound
:opens
ROLLBACK;
:opens

-- What cannot be set
:bound
SELECT a.* FROM (VALUES
    ('set_config', $$SELECT set_config('pgenvelope.session_context', '{"tenant": "other"}', true)$$),
    ('set_config for the session', $$SELECT set_config('pgenvelope.session_context', '{"tenant": "other"}', false)$$),
    ('in capitals', $$SELECT set_config('PgEnvelope.Session_Context', '{"tenant": "other"}', true)$$),
    ('SET', $$SET pgenvelope.session_context = '{"tenant": "other"}'$$),
    ('SET LOCAL', $$SET LOCAL pgenvelope.session_context = '{"tenant": "other"}'$$),
    ('SET to default', $$SET pgenvelope.session_context TO DEFAULT$$),
    ('RESET', $$RESET pgenvelope.session_context$$),
    ('pg_settings', $$UPDATE pg_settings SET setting = '{"tenant": "other"}' WHERE name = 'pgenvelope.session_context'$$),
    ('key file', $$SELECT set_config('pgenvelope.session_key_file', '/tmp/mine', false)$$),
    ('maintenance', $$SET pgenvelope.allow_maintenance_decrypt = on$$),
    ('replica', $$SET session_replication_role = 'replica'$$),
    ('ALTER ROLE', $$ALTER ROLE injection_app SET pgenvelope.session_context = '{"tenant": "other"}'$$),
    ('ALTER DATABASE', $$ALTER DATABASE contrib_regression SET pgenvelope.session_context = '{"tenant": "other"}'$$),
    ('GRANT SET', $$GRANT SET ON PARAMETER pgenvelope.session_context TO injection_app$$),
    ('DO', $$DO 'BEGIN SET LOCAL pgenvelope.session_context = ''{"tenant": "other"}''; END'$$),
    ('function', $$CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET pgenvelope.session_context = '{"tenant": "other"}' AS 'SELECT 1'$$),
    ('function of their own rights', $$CREATE FUNCTION public.g() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT set_config(''pgenvelope.session_context'', ''{"tenant": "other"}'', true)'$$),
    ('called', $$SELECT public.g()$$)
) AS t (what, statement), LATERAL pg_temp.attack(what, statement) AS a;
ROLLBACK;

-- Whatever can be set, set to whatever can be
:bound
SELECT count(*) > 30 AS settings, bool_and(other = '42501') AS closed
FROM pg_settings, unnest('{"","{\"tenant\": \"other\"}",on,off,0,1,injection}'::text[]) AS value,
    LATERAL pg_temp.attack(name, format('SELECT set_config(%L, %L, true)', name, value))
WHERE name LIKE 'pgenvelope.%';
ROLLBACK;

-- Who else to be
:bound
SELECT a.* FROM (VALUES
    ('SET ROLE', 'SET ROLE injection_victim'),
    ('SET LOCAL ROLE', 'SET LOCAL ROLE injection_victim'),
    ('role', $$SELECT set_config('role', 'injection_victim', true)$$),
    ('SET SESSION AUTHORIZATION, of the application', $$SET SESSION AUTHORIZATION injection_app$$),
    ('SET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION injection_victim'),
    ('session_authorization', $$SELECT set_config('session_authorization', 'injection_victim', true)$$),
    ('membership', 'GRANT injection_victim TO injection_app'),
    ('superuser', 'ALTER ROLE injection_app SUPERUSER'),
    ('grant_key', $$SELECT pgenvelope.grant_key('injection', 'decrypt', 'injection_app')$$),
    ('key_grant', $$UPDATE pgenvelope.key_grant SET context = NULL$$),
    ('key_grant, new', $$INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee) SELECT key_id, 'decrypt', 'injection_app'::regrole FROM pgenvelope.key$$),
    ('function of another', $$CREATE FUNCTION public.h() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'$$),
    ('given away', 'ALTER FUNCTION public.h() OWNER TO injection_victim'),
    ('ours altered', 'ALTER FUNCTION envelope.env_bind_session(text, text) SECURITY DEFINER'),
    ('ours replaced', $$CREATE OR REPLACE FUNCTION envelope.env_decrypt(value envelope, context jsonb, key text DEFAULT NULL) RETURNS text LANGUAGE sql AS 'SELECT 1'$$)
) AS t (what, statement), LATERAL pg_temp.attack(what, statement) AS a;
ROLLBACK;
ALTER SYSTEM SET pgenvelope.session_context = '{"tenant": "other"}';

-- Other objects by the names that queries use, found first
:bound
SELECT * FROM pg_temp.attack('overloads',
    $$CREATE FUNCTION public.env_decrypt(envelope, json) RETURNS text LANGUAGE sql AS 'SELECT envelope.env_decrypt($1, $2::jsonb)'$$,
    $$CREATE FUNCTION public.env_decrypt(envelope, jsonb) RETURNS text LANGUAGE sql AS 'SELECT envelope.env_decrypt($1, $2, NULL)'$$,
    $$CREATE FUNCTION public.env_decrypt(anyelement, anyelement) RETURNS text LANGUAGE sql AS 'SELECT ''mine'''$$,
    $$CREATE FUNCTION public.env_bind_session(text) RETURNS void LANGUAGE sql AS ''$$);
SELECT * FROM pg_temp.attack('shadows',
    $$CREATE FUNCTION pg_temp.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''{"tenant": "other"}'''$$,
    $$CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''{"tenant": "other"}'''$$,
    $$CREATE FUNCTION public.jsonb_in(cstring) RETURNS jsonb LANGUAGE internal AS 'jsonb_in'$$,
    $$CREATE FUNCTION public.always(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT true'$$,
    $$CREATE OPERATOR public.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = public.always)$$,
    $$CREATE OPERATOR public.@> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = public.always)$$,
    $$CREATE DOMAIN pg_temp.jsonb AS pg_catalog.text$$,
    $$CREATE DOMAIN pg_temp.envelope AS pg_catalog.text$$,
    $$CREATE CAST (text AS envelope) WITHOUT FUNCTION$$,
    $$CREATE TABLE pg_temp.key_grant AS SELECT * FROM pg_class$$,
    $$CREATE SCHEMA pgenvelope$$,
    $$SET LOCAL search_path = pg_temp, public, envelope, pg_catalog$$);
ROLLBACK;

-- Contexts that mean two things
:bound
SELECT context, pg_temp.outcome(format($$SELECT env_decrypt(note, %L)
    FROM injection WHERE tenant = 'other' AND id = 1$$, context)) AS other
FROM unnest(ARRAY[
    '{"tenant": "other", "tenant": "acme", "id": 1}',
    '{"tenant": "acme", "tenant": "other", "id": 1}',
    '{"tenant": "acme", "id": 1}',
    '{"tenant": "acme", "Tenant": "other", "id": 1}',
    '{"tenant": ["acme", "other"], "id": 1}',
    '{"tenant": null, "id": 1}',
    '{"tenant": "", "id": 1}',
    '{"tenant": {"session": "tenant"}, "id": 1}',
    '{"tenant": "\u006fther", "id": 1}',
    '{"tenant": "other ", "id": 1}',
    '{"id": 1}', '{}', '[]', 'null']) AS context;
ROLLBACK;

-- Ways to run it
:bound
PREPARE open_other AS SELECT env_decrypt(note, '{"tenant": "other", "id": 1}')
    FROM injection WHERE tenant = 'other' AND id = 1;
CREATE VIEW injection_view AS SELECT env_decrypt(note,
    jsonb_build_object('tenant', tenant, 'id', id)) AS note, tenant, id
    FROM injection;
CREATE TEMP TABLE injection_temp (id int);
CREATE FUNCTION pg_temp.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', (SELECT note FROM public.injection_view WHERE tenant = 'other' LIMIT 1);
    RETURN NEW;
END
$$;
CREATE TRIGGER fire BEFORE INSERT ON injection_temp FOR EACH ROW
    EXECUTE FUNCTION pg_temp.fire();
SELECT a.* FROM (VALUES
    ('prepared', 'EXECUTE open_other'),
    ('view', $$SELECT note FROM injection_view WHERE tenant = 'other'$$),
    ('view, own', $$SELECT note FROM injection_view WHERE tenant = 'acme' LIMIT 1$$),
    ('trigger', 'INSERT INTO injection_temp VALUES (1)'),
    ('EXPLAIN', $$EXPLAIN ANALYZE SELECT note FROM injection_view$$),
    ('COPY', $$COPY (SELECT note FROM injection_view) TO '/dev/null'$$),
    ('COPY to a program', $$COPY (SELECT 1) TO PROGRAM 'true'$$),
    ('CREATE TABLE AS', 'CREATE TABLE public.stolen AS SELECT note FROM injection_view'),
    ('materialized view', 'CREATE MATERIALIZED VIEW public.stolen AS SELECT note FROM injection_view'),
    ('index', $$CREATE INDEX ON injection (env_decrypt(note, '{}'))$$),
    ('query_to_xml', $$SELECT query_to_xml('SELECT note FROM injection_view WHERE tenant = ''other''', true, false, '')$$),
    ('UPDATE', $$UPDATE injection SET tenant = env_decrypt(note, jsonb_build_object('tenant', tenant, 'id', id))$$),
    ('moved to a row of their own', $$UPDATE injection SET note = (SELECT note FROM injection WHERE tenant = 'other' AND id = 1) WHERE tenant = 'acme' AND id = 1$$),
    ('and opened there', $$SELECT note FROM injection_view WHERE tenant = 'acme' AND id = 1$$),
    ('encrypted by a trigger', $$CREATE TRIGGER t BEFORE INSERT ON injection FOR EACH ROW EXECUTE FUNCTION env_encrypt_column('tenant', 'note', 'tenant:other', 'id=id', '@key:injection')$$)
) AS t (what, statement), LATERAL pg_temp.attack(what, statement) AS a;
COPY (SELECT note FROM injection_view WHERE tenant = 'other') TO STDOUT;
ROLLBACK;
:bound
CREATE TEMP TABLE forged (tenant text, id int, note envelope);
CREATE TRIGGER t BEFORE INSERT ON forged FOR EACH ROW EXECUTE FUNCTION
    env_encrypt_column('tenant', 'note', 'tenant:other', 'id=id', '@key:injection');
INSERT INTO forged VALUES ('forged', 1);
ROLLBACK;

-- In parallel workers
:bound
SELECT FROM pg_settings, set_config(name, 'on', true)
WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SELECT a.* FROM (VALUES
    ('own', $$SELECT count(env_decrypt(note, jsonb_build_object('tenant', 'acme', 'id', id))) FROM injection WHERE tenant = 'acme'$$),
    ('other', $$SELECT count(env_decrypt(note, jsonb_build_object('tenant', tenant, 'id', id))) FROM injection$$)
) AS t (what, statement), LATERAL pg_temp.attack(what, statement) AS a;
ROLLBACK;

-- Exception blocks and savepoints around what is refused
\set VERBOSITY terse
:bound
DO $$
BEGIN
    BEGIN
        PERFORM env_bind_session('eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.eyJjdHgiOnsidGVuYW50Ijoib3RoZXIifX0.');
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE '% %', SQLSTATE, current_setting('pgenvelope.session_context');
    END;
    BEGIN
        SET LOCAL pgenvelope.session_context = '{"tenant": "other"}';
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE '% %', SQLSTATE, current_setting('pgenvelope.session_context');
    END;
    BEGIN
        PERFORM env_unbind_session();
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
END
$$;
\set VERBOSITY sqlstate
:opens
SAVEPOINT s;
SELECT FROM env_unbind_session();
:opens
ROLLBACK TO s;
:opens
ROLLBACK;

-- Cursors: what is fetched is what the session may open then
:bound
DECLARE own CURSOR FOR SELECT env_decrypt(note, '{"tenant": "acme", "id": 1}')
    FROM injection WHERE tenant = 'acme' AND id = 1;
SELECT FROM env_unbind_session();
FETCH own;
ROLLBACK;
:bound
DECLARE other CURSOR WITH HOLD FOR SELECT env_decrypt(note,
    '{"tenant": "other", "id": 1}') FROM injection
    WHERE tenant = 'other' AND id = 1;
COMMIT;
FETCH other;

-- One WITH HOLD is filled at the commit, while the transaction is bound: what
-- it holds is plaintext, like a temporary table, and stays in the session
:bound
DECLARE held CURSOR WITH HOLD FOR SELECT env_decrypt(note,
    '{"tenant": "acme", "id": 1}') FROM injection
    WHERE tenant = 'acme' AND id = 1;
COMMIT;
FETCH held;
CLOSE held;

-- Other ends of a transaction
:bound
LISTEN injection;
COMMIT;
:opens
:bound
PREPARE TRANSACTION 'injection';
:opens
COMMIT PREPARED 'injection';
:opens
:bound
COMMIT AND CHAIN;
:opens
COMMIT;
:bound
ROLLBACK AND CHAIN;
:opens
COMMIT;
:bound
RESET ALL;
:opens
SELECT * FROM pg_temp.attack('bound again', format('SELECT env_bind_session(%L)', :'acme'));
COMMIT;
DISCARD ALL;
SELECT env_decrypt(note, '{"tenant": "acme", "id": 1}') FROM injection
WHERE tenant = 'acme' AND id = 1;
\c - :superuser

DROP TABLE injection;
DROP OWNED BY injection_app, injection_victim;
DROP ROLE injection_app, injection_victim;
