-- Who may do what with a key: every privilege in every situation.  "may" is
-- whatever comes after the rights have been asked: the act, or its own error.
\i test/sql/include/prepare.sql

SET client_min_messages = error;
CREATE ROLE ent_user;
CREATE ROLE ent_group;
CREATE ROLE ent_owner;
CREATE ROLE ent_other;
GRANT ent_group TO ent_user;
GRANT CREATE, USAGE ON SCHEMA public TO ent_owner, ent_user;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('rotate_key',
        'retire_key', 'grant_key', 'schedule_rotation') LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ent_user, ent_owner', f);
    END LOOP;
END
$$;
SELECT pgenvelope.create_key('ent', required_context => '{"tenant": null}',
    grant_creator => false) > 0 AS created;
SELECT privilege, definer FROM pgenvelope.grants WHERE key = 'ent';
SELECT pgenvelope.grant_key('ent', 'encrypt', current_user::regrole);
CREATE TABLE ent AS
SELECT tenant, env_encrypt('of ' || tenant,
    jsonb_build_object('tenant', tenant), 'ent') AS note
FROM unnest('{acme,globex}'::text[]) AS tenant;
GRANT SELECT ON ent TO ent_user, ent_owner, ent_other;

-- Nobody decrypts by being a superuser
SELECT env_decrypt(note, '{"tenant": "acme"}') FROM ent WHERE tenant = 'acme';

CREATE FUNCTION pg_temp.act(privilege text, tenant text) RETURNS text
LANGUAGE sql AS $$
    SELECT format(CASE privilege
        WHEN 'encrypt' THEN
            $q$SELECT env_encrypt('x', '{"tenant": "%s"}', 'ent') IS NOT NULL$q$
        WHEN 'decrypt' THEN
            $q$SELECT env_decrypt(note, '{"tenant": "%s"}') IS NOT NULL
            FROM ent WHERE tenant = 'acme'$q$
        WHEN 'rewrap' THEN
            $q$SELECT env_rewrap(note) IS NOT NULL FROM ent
            WHERE tenant = '%s'$q$
        WHEN 'rotate' THEN
            $q$SELECT pgenvelope.schedule_rotation('ent', NULL) IS NOT NULL, '%s' AS tenant$q$
        WHEN 'retire' THEN $q$SELECT pgenvelope.retire_key('ent', 9)::text, '%s' AS tenant$q$
        WHEN 'grant' THEN
            $q$SELECT pgenvelope.revoke_key('ent', 'encrypt', 'ent_other'::text::regrole),
                '%s' AS tenant$q$
        WHEN 'audit' THEN
            $q$SELECT count(*), '%s' AS tenant
            FROM pgenvelope.why_denied('ent', 'decrypt', NULL,
                'ent_other'::text::regrole)$q$
        WHEN 'admin' THEN
            $q$SELECT pgenvelope.revoke_key('ent', 'rotate', 'ent_other'::text::regrole),
                '%s' AS tenant$q$
        END, tenant)
$$;
GRANT EXECUTE ON FUNCTION pgenvelope.revoke_key(text, text, regrole, jsonb, boolean)
    TO ent_user, ent_owner;
CREATE OR REPLACE FUNCTION pg_temp.may(privilege text, as_role text,
    tenant text DEFAULT 'acme') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    EXECUTE format('SET ROLE %I', as_role);
    outcome := pg_temp.outcome(pg_temp.act(privilege, tenant));
    RESET ROLE;
    RETURN CASE WHEN outcome = '42501' THEN '42501' ELSE 'may' END;
END
$$;

-- The same, where it can be, in a parallel worker.
CREATE FUNCTION pg_temp.may_in_worker(privilege text) RETURNS text
LANGUAGE plpgsql SET force_parallel_mode = on AS $$
DECLARE
    line text;
    place text := 'no worker: ';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || pg_temp.act(privilege, 'acme') LOOP
        IF line LIKE '%Gather%' THEN
            place := '';
        END IF;
    END LOOP;
    RETURN place || pg_temp.may(privilege, 'ent_user');
END
$$;
-- The same, through a view of ent_owner's.
CREATE FUNCTION pg_temp.may_by_view(privilege text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    EXECUTE 'CREATE VIEW ent_act AS ' || pg_temp.act(privilege, 'acme');
    ALTER VIEW ent_act OWNER TO ent_owner;
    GRANT SELECT ON ent_act TO ent_user;
    SET ROLE ent_user;
    outcome := pg_temp.outcome('SELECT * FROM ent_act');
    RESET ROLE;
    DROP VIEW ent_act;
    RETURN CASE WHEN outcome = '42501' THEN '42501' ELSE 'may' END;
END
$$;

CREATE TABLE ent_case (n serial, privilege text, situation text, outcome text);
CREATE FUNCTION pg_temp.all_cases(p text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pattern jsonb := CASE WHEN p IN ('encrypt', 'decrypt')
        THEN '{"tenant": "acme"}'::jsonb END;
BEGIN
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'not granted', pg_temp.may(p, 'ent_user');
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'not granted, parallel', pg_temp.may_in_worker(p);
    PERFORM pgenvelope.grant_key('ent', p, 'ent_user');
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'granted', pg_temp.may(p, 'ent_user');
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'granted, parallel', pg_temp.may_in_worker(p);
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'granted, by a view', pg_temp.may_by_view(p);
    PERFORM pgenvelope.revoke_key('ent', p, 'ent_user');
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'revoked', pg_temp.may(p, 'ent_user');
    PERFORM pgenvelope.grant_key('ent', p, 'ent_group');
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'by membership', pg_temp.may(p, 'ent_user');
    PERFORM pgenvelope.revoke_key('ent', p, 'ent_group');
    IF pattern IS NOT NULL THEN
        PERFORM pgenvelope.grant_key('ent', p, 'ent_user', pattern);
        INSERT INTO ent_case (privilege, situation, outcome)
        SELECT p, 'tenant', pg_temp.may(p, 'ent_user');
        INSERT INTO ent_case (privilege, situation, outcome)
        SELECT p, 'other tenant', pg_temp.may(p, 'ent_user', 'globex');
        PERFORM pgenvelope.revoke_key('ent', p, 'ent_user', pattern);
    ELSE
        INSERT INTO ent_case (privilege, situation, outcome)
        SELECT p, 'tenant', pg_temp.outcome(format($q$SELECT pgenvelope.grant_key('ent',
            %L, 'ent_user', '{"tenant": "acme"}')$q$, p));
    END IF;
    -- Of the owner of a function that others call
    EXECUTE format('CREATE FUNCTION public.ent_definer() RETURNS text
        LANGUAGE plpgsql SECURITY DEFINER AS %L',
        'DECLARE o text; BEGIN ' || replace(pg_temp.act(p, 'acme'),
        'SELECT ', 'PERFORM ') ||
        '; RETURN ''may''; EXCEPTION WHEN insufficient_privilege THEN
        RETURN SQLSTATE; WHEN OTHERS THEN RETURN ''may''; END');
    ALTER FUNCTION public.ent_definer() OWNER TO ent_owner;
    PERFORM pgenvelope.grant_key('ent', p, 'ent_owner');
    SET ROLE ent_user;
    INSERT INTO pg_temp.seen SELECT public.ent_definer();
    RESET ROLE;
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'definer', o FROM pg_temp.seen AS s (o);
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'view of who may', pg_temp.may_by_view(p);
    TRUNCATE pg_temp.seen;
    PERFORM pgenvelope.grant_key('ent', p, 'ent_owner', definer => false);
    SET ROLE ent_user;
    INSERT INTO pg_temp.seen SELECT public.ent_definer();
    RESET ROLE;
    INSERT INTO ent_case (privilege, situation, outcome)
    SELECT p, 'definer => false', o FROM pg_temp.seen AS s (o);
    TRUNCATE pg_temp.seen;
    PERFORM pgenvelope.revoke_key('ent', p, 'ent_owner');
    DROP FUNCTION public.ent_definer();
END
$$;
CREATE TEMPORARY TABLE seen (outcome text);
GRANT ALL ON seen TO PUBLIC;
SELECT pg_temp.all_cases(p)
FROM unnest('{encrypt,decrypt,rewrap,rotate,retire,grant,audit,admin}'::text[])
    AS p;
SELECT situation,
    max(outcome) FILTER (WHERE privilege = 'encrypt') AS encrypt,
    max(outcome) FILTER (WHERE privilege = 'decrypt') AS decrypt,
    max(outcome) FILTER (WHERE privilege = 'rewrap') AS rewrap,
    max(outcome) FILTER (WHERE privilege = 'rotate') AS rotate,
    max(outcome) FILTER (WHERE privilege = 'retire') AS retire,
    max(outcome) FILTER (WHERE privilege = 'grant') AS "grant",
    max(outcome) FILTER (WHERE privilege = 'audit') AS audit,
    max(outcome) FILTER (WHERE privilege = 'admin') AS admin
FROM ent_case GROUP BY situation ORDER BY min(n);

-- Through a view a function runs as who asks, not as the view's owner
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_owner');
CREATE VIEW ent_view AS
SELECT tenant, env_decrypt(note, jsonb_build_object('tenant', tenant)) AS note
FROM ent;
ALTER VIEW ent_view OWNER TO ent_owner;
GRANT SELECT ON ent_view TO ent_user;
SET ROLE ent_user;
SELECT * FROM ent_view;
RESET ROLE;
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '{"tenant": ["acme"]}');
SET ROLE ent_user;
SELECT * FROM ent_view WHERE tenant = 'acme';
SELECT * FROM ent_view;
-- A row of another tenant's, put under one's own name, does not open
SELECT env_decrypt(note, '{"tenant": "acme"}') FROM ent
WHERE tenant = 'globex';
RESET ROLE;

-- A plan that was made before a revoke; in parallel workers
SET ROLE ent_user;
PREPARE opened AS SELECT env_decrypt(note, '{"tenant": "acme"}') FROM ent
WHERE tenant = 'acme';
EXECUTE opened;
SELECT set_config(name, 'on', false) FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
EXECUTE opened;
RESET ROLE;
SELECT pgenvelope.revoke_key('ent', 'decrypt', 'ent_user', '{"tenant": ["acme"]}');
SET ROLE ent_user;
EXECUTE opened;
SELECT set_config(name, 'off', false) FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
EXECUTE opened;
DEALLOCATE opened;
RESET ROLE;

-- Names of roles as patterns
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_group',
    '{"tenant": {"is": "current_user"}}');
SELECT pgenvelope.grant_key('ent', 'encrypt', 'ent_group',
    '{"tenant": {"is": "current_user"}}');
SET ROLE ent_user;
SELECT env_decrypt(env_encrypt('mine', '{"tenant": "ent_user"}', 'ent'),
    '{"tenant": "ent_user"}');
SELECT env_encrypt('x', '{"tenant": "ent_other"}', 'ent');
RESET ROLE;

-- A row-level security policy that decrypts does so as who asks
ALTER TABLE ent ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY opens ON ent USING (env_decrypt(note,
    jsonb_build_object('tenant', tenant)) IS NOT NULL);
SET ROLE ent_other;
SELECT count(*) FROM ent;
RESET ROLE;
ALTER TABLE ent DISABLE ROW LEVEL SECURITY;

-- Why
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '{"tenant": "acme"}');
SET ROLE ent_user;
SELECT * FROM pgenvelope.why_denied('ent', 'decrypt', '{"tenant": "globex"}')
ORDER BY grantee::text;
SELECT * FROM pgenvelope.why_denied('ent', 'decrypt', '{"id": 1}')
ORDER BY grantee::text;
SELECT * FROM pgenvelope.why_denied('ent', 'decrypt', '{"tenant": "acme"}')
ORDER BY grantee::text;
SELECT * FROM pgenvelope.why_denied('ent', 'rotate');
SELECT * FROM pgenvelope.why_denied('ent', 'decrypt', NULL, 'ent_owner');
SELECT key, privilege, grantee, context FROM pgenvelope.grants
WHERE key = 'ent' ORDER BY privilege, grantee::text, context;
-- A condition of one's own sees no more, however cheap it claims to be
CREATE TEMPORARY SEQUENCE ent_seen;
CREATE FUNCTION pg_temp.see(context jsonb) RETURNS boolean
LANGUAGE plpgsql COST 0.0001
AS $$ BEGIN RETURN pg_catalog.nextval('pg_temp.ent_seen') > 0; END $$;
SELECT count(*) FROM pgenvelope.grants WHERE pg_temp.see(context);
SELECT last_value FROM ent_seen;
DROP SEQUENCE ent_seen CASCADE;
RESET ROLE;
SELECT * FROM pgenvelope.why_denied('ent', 'decrypt', '{"tenant": "acme"}', 'ent_other')
ORDER BY grantee::text, reason;
SELECT pgenvelope.why_denied('none', 'decrypt');
SELECT pgenvelope.why_denied('ent', 'read');

-- Patterns that say nothing, or what no context can have
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '{}');
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '{"tenant": []}');
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '{"tenant": {"is": "superuser"}}');
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', '["tenant"]');
SELECT pgenvelope.grant_key('ent', 'decrypt', 'ent_user', jsonb_build_object('tenant',
    (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 60) AS i)));
SELECT pgenvelope.grant_key('ent', 'rotate', 'ent_user', '{"tenant": "acme"}');

-- What a role may not say of itself
SET ROLE ent_user;
SET pgenvelope.session_context = '{"tenant": "acme"}';
SELECT set_config('pgenvelope.session_context', '{"tenant": "acme"}', true);
CREATE FUNCTION ent_set() RETURNS text LANGUAGE sql
    SET pgenvelope.session_context = '{"tenant": "acme"}' AS 'SELECT 1::text';
ALTER ROLE ent_user SET pgenvelope.session_context = '{"tenant": "acme"}';
RESET ROLE;

DROP VIEW ent_view;
DROP TABLE ent, ent_case;
DROP OWNED BY ent_user, ent_group, ent_owner, ent_other;
DROP ROLE ent_user, ent_group, ent_owner, ent_other;
