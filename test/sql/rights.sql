--
-- rights: who may do what with a key.  Each privilege allows its own and no
-- more; it reaches members that inherit, SECURITY DEFINER functions of its
-- holder and nobody else, not even superusers.  Who is not entitled learns
-- nothing else about a value.
--
\i test/sql/include/prepare.sql
CREATE ROLE rights_a;
CREATE ROLE rights_group;
CREATE ROLE rights_member IN ROLE rights_group;
CREATE ROLE rights_apart NOINHERIT IN ROLE rights_group;
CREATE ROLE rights_super SUPERUSER;
GRANT EXECUTE ON FUNCTION pgenvelope.create_key, pgenvelope.rotate_key, pgenvelope.grant_key,
    pgenvelope.revoke_key TO rights_a, rights_group;
SET pgenvelope.default_key = 'rights';
SELECT pgenvelope.create_key('rights', required_context => '{"id": null}') > 0
    AS created;
CREATE TABLE rights AS SELECT env_encrypt('secret', '{"id": 1}') AS value;
GRANT SELECT ON rights TO PUBLIC;

-- What a role may do: an outcome each, and everything is undone
CREATE FUNCTION pg_temp.may(role text, OUT encrypt text, OUT decrypt text,
    OUT bytea text, OUT verify text, OUT reencrypt text, OUT rebind text,
    OUT rotate text, OUT grants text, OUT revokes text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', role, false);
    encrypt := pg_temp.outcome($q$
        SELECT env_key_version(env_encrypt('x', '{"id": 1}'))$q$);
    decrypt := pg_temp.outcome($q$
        SELECT env_decrypt(value, '{"id": 1}') FROM rights$q$);
    bytea := pg_temp.outcome($q$
        SELECT env_decrypt_bytea(value, '{"id": 1}') FROM rights$q$);
    verify := pg_temp.outcome($q$
        SELECT env_verify(value, '{"id": 1}') FROM rights$q$);
    reencrypt := pg_temp.outcome($q$
        SELECT env_key_version(env_reencrypt(value, '{"id": 1}'))
        FROM rights$q$);
    rebind := pg_temp.outcome($q$
        SELECT env_key_version(env_rebind(value, '{"id": 1}', '{"id": 2}'))
        FROM rights$q$);
    rotate := pg_temp.outcome('SELECT pgenvelope.rotate_key(''rights'')');
    grants := pg_temp.outcome($q$
        SELECT pgenvelope.grant_key('rights', 'encrypt', 'pg_monitor')$q$);
    revokes := pg_temp.outcome($q$
        SELECT pgenvelope.revoke_key('rights', 'encrypt', 'pg_monitor')$q$);
    PERFORM set_config('role', 'none', false);
END
$$;

-- Each privilege, and none
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.grant_key('rights', 'encrypt', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.revoke_key('rights', 'encrypt', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.grant_key('rights', 'encrypt', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.revoke_key('rights', 'decrypt', 'rights_a'),
    pgenvelope.revoke_key('rights', 'encrypt', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'rewrap', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.revoke_key('rights', 'rewrap', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'admin', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;
SELECT pgenvelope.revoke_key('rights', 'admin', 'rights_a');
BEGIN;
SELECT * FROM pg_temp.may('rights_a');
ROLLBACK;

-- An administrator grants itself what it lacks, on the record
SELECT pgenvelope.grant_key('rights', 'admin', 'rights_a');
BEGIN;
SET LOCAL ROLE rights_a;
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_a');
SELECT env_decrypt(value, '{"id": 1}') FROM rights;
RESET ROLE;
SELECT privilege, grantee, granted_by FROM pgenvelope.key_grant
WHERE grantee = 'rights_a'::regrole AND privilege = 'decrypt';
ROLLBACK;
SELECT pgenvelope.revoke_key('rights', 'admin', 'rights_a');

-- EXECUTE is asked for as well
SELECT pgenvelope.grant_key('rights', 'admin', 'rights_member');
REVOKE EXECUTE ON FUNCTION pgenvelope.rotate_key FROM rights_group;
BEGIN;
SET LOCAL ROLE rights_member;
SELECT pgenvelope.rotate_key('rights');
ROLLBACK;
GRANT EXECUTE ON FUNCTION pgenvelope.rotate_key TO rights_group;
SELECT pgenvelope.revoke_key('rights', 'admin', 'rights_member');

-- Membership, inherited or not
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_group');
BEGIN;
SELECT 'member', decrypt, encrypt FROM pg_temp.may('rights_member');
SELECT 'apart', decrypt, encrypt FROM pg_temp.may('rights_apart');
SELECT 'superuser', decrypt, encrypt FROM pg_temp.may('rights_super');
ROLLBACK;
BEGIN;
SET LOCAL SESSION AUTHORIZATION rights_apart;
SELECT env_verify(value, '{"id": 1}') FROM rights;
ROLLBACK;
BEGIN;
SET LOCAL SESSION AUTHORIZATION rights_apart;
SET LOCAL ROLE rights_group;
SELECT env_verify(value, '{"id": 1}') FROM rights;
ROLLBACK;

-- Membership that comes and goes is noticed
SELECT env_verify(value, '{"id": 1}') FROM rights;
REVOKE rights_group FROM rights_member;
BEGIN;
SELECT 'member', decrypt FROM pg_temp.may('rights_member');
ROLLBACK;
GRANT rights_group TO rights_member;
BEGIN;
SELECT 'member', decrypt FROM pg_temp.may('rights_member');
ROLLBACK;
-- From 16 on, a membership is as the role was when it became a member, and may
-- be of no use but to give it to others.
REVOKE rights_group FROM rights_apart;
ALTER ROLE rights_apart INHERIT;
GRANT rights_group TO rights_apart;
BEGIN;
SELECT 'apart', decrypt FROM pg_temp.may('rights_apart');
REVOKE rights_group FROM rights_apart;
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'GRANT rights_group TO rights_apart'
            ' WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
    END IF;
END
$$;
SELECT grantee, reason
FROM pgenvelope.why_denied('rights', 'decrypt', NULL, 'rights_apart')
WHERE grantee = 'rights_group'::regrole;
ROLLBACK;

-- A superuser administers every key, and opens none without a grant; being a
-- member of a role that has one will do
BEGIN;
SELECT * FROM pg_temp.may('rights_super');
ROLLBACK;
GRANT rights_group TO rights_super;
BEGIN;
SELECT 'superuser', decrypt, encrypt FROM pg_temp.may('rights_super');
ROLLBACK;

-- A SECURITY DEFINER function lends its owner's rights, and a view does not
SELECT pgenvelope.revoke_key('rights', 'decrypt', 'rights_group');
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_a');
CREATE FUNCTION rights_definer() RETURNS text LANGUAGE sql STABLE
SECURITY DEFINER AS $$ SELECT env_decrypt(value, '{"id": 1}') FROM rights $$;
ALTER FUNCTION rights_definer OWNER TO rights_a;
CREATE FUNCTION rights_invoker() RETURNS text LANGUAGE sql STABLE
AS $$ SELECT env_decrypt(value, '{"id": 1}') FROM rights $$;
ALTER FUNCTION rights_invoker OWNER TO rights_a;
CREATE VIEW rights_view AS
    SELECT env_decrypt(value, '{"id": 1}') AS plain FROM rights;
ALTER VIEW rights_view OWNER TO rights_a;
GRANT SELECT ON rights_view TO PUBLIC;
SET ROLE rights_member;
SELECT rights_definer();
SELECT rights_invoker();
SELECT plain FROM rights_view;
SELECT rights_definer(), env_verify(value, '{"id": 1}') FROM rights;
SET ROLE rights_a;
SELECT rights_definer(), rights_invoker(), plain FROM rights_view;
RESET ROLE;

-- Who is not entitled is told so before anything else about the value
CREATE TABLE rights_odd AS
    SELECT 'tampered' AS what, pg_temp.envelope(overlay(pg_temp.bytes(value)
        PLACING '\x00' FROM 60)) AS value FROM rights
    UNION ALL SELECT 'version', pg_temp.envelope(overlay(
        pg_temp.bytes(value) PLACING '\x0009' FROM 3)) FROM rights
    UNION ALL SELECT 'key', pg_temp.envelope(overlay(
        pg_temp.bytes(value) PLACING '\x000000000001' FROM 5)) FROM rights;
GRANT SELECT ON rights_odd TO PUBLIC;
SELECT pgenvelope.rotate_key('rights');
UPDATE pgenvelope.key_version SET state = 'retired'
WHERE version = 1 AND key_id = (SELECT key_id FROM pgenvelope.key
                                WHERE name = 'rights');
SET ROLE rights_member;
SELECT env_decrypt(value, '{"id": 1}') FROM rights;          -- retired
SELECT env_decrypt(value, '{"id": 2}') FROM rights;          -- another row's
SELECT env_decrypt(value, '{}') FROM rights;                 -- a member lacks
SELECT env_decrypt(value, NULL) FROM rights;
SELECT env_decrypt(value, '[]') FROM rights;
SELECT env_decrypt(value, '{"id": 1}', 'other') FROM rights;
SELECT env_verify(value, NULL) FROM rights;
SELECT what, pg_temp.outcome(format('SELECT env_decrypt(%L, NULL)', value)),
    pg_temp.outcome(format('SELECT env_verify(%L, NULL)', value))
FROM rights_odd;
SELECT env_encrypt('x', NULL);
SELECT env_encrypt('x', '[]');
RESET ROLE;
UPDATE pgenvelope.key_version SET state = 'deactivated'
WHERE version = 1 AND key_id = (SELECT key_id FROM pgenvelope.key
                                WHERE name = 'rights');

-- The message names role and privilege
\set VERBOSITY default
SET ROLE rights_member;
SELECT env_decrypt(value, '{"id": 1}') FROM rights;
SELECT env_encrypt('x', '{"id": 1}');
SELECT pgenvelope.rotate_key('rights');
RESET ROLE;
\set VERBOSITY sqlstate

-- Granting and revoking twice
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'rewrap', 'rights_a');
SELECT pgenvelope.revoke_key('rights', 'rewrap', 'rights_a');
SELECT pgenvelope.revoke_key('rights', 'rewrap', 'rights_a');

-- Arguments
SELECT pgenvelope.grant_key('rights', 'select', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'DECRYPT', 'rights_a');
SELECT pgenvelope.grant_key('rights', '', 'rights_a');
SELECT pgenvelope.grant_key('rights', NULL, 'rights_a');
SELECT pgenvelope.grant_key(NULL, 'decrypt', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'decrypt', NULL);
SELECT pgenvelope.grant_key('nothing', 'decrypt', 'rights_a');
SELECT pgenvelope.grant_key('rights', 'decrypt', 'nobody_at_all');
SELECT pgenvelope.grant_key('rights', 'decrypt', 'public');
SELECT pgenvelope.grant_key('rights', 'decrypt', '-');
SELECT pgenvelope.grant_key('rights', 'decrypt', 4294967295::oid);
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_a', 'null');
SELECT pgenvelope.revoke_key('rights', 'select', 'rights_a');
SELECT pgenvelope.revoke_key('nothing', 'decrypt', 'rights_a');
SELECT pgenvelope.revoke_key(NULL, 'decrypt', 'rights_a');

-- A grant with a limit that is not understood, which a later version may have
-- written, is none here
INSERT INTO pgenvelope.key_grant (key_id, privilege, grantee, context)
SELECT key_id, 'decrypt', 'rights_member'::regrole, '{"id": {"later": 1}}'
FROM pgenvelope.key WHERE name = 'rights';
BEGIN;
SELECT 'member', decrypt FROM pg_temp.may('rights_member');
ROLLBACK;

-- Grants of a role that was dropped stay, and are nobody's: not of a role
-- that gets its name
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_member');
BEGIN;
SELECT 'member', decrypt FROM pg_temp.may('rights_member');
ROLLBACK;
DROP ROLE rights_member;
SELECT count(*) FROM pgenvelope.key_grant JOIN pgenvelope.key USING (key_id)
WHERE name = 'rights'
    AND grantee::oid NOT IN (SELECT oid FROM pg_roles);
CREATE ROLE rights_member;
BEGIN;
SELECT 'member', decrypt FROM pg_temp.may('rights_member');
ROLLBACK;
SELECT env_decrypt(value, '{"id": 1}') FROM rights;

-- Renamed, it keeps them
SELECT pgenvelope.grant_key('rights', 'decrypt', 'rights_member');
ALTER ROLE rights_member RENAME TO rights_renamed;
BEGIN;
SELECT 'renamed', decrypt FROM pg_temp.may('rights_renamed');
ROLLBACK;

-- Looking at a value needs no right
SET ROLE rights_group;
SELECT env_key(value), env_key_version(value),
    env_inspect(value)->>'key' AS inspected,
    env_to_jwe(value, '{"id": 1}') IS NOT NULL AS jwe
FROM rights;
RESET ROLE;

DROP VIEW rights_view;
DROP TABLE rights, rights_odd;
DROP FUNCTION rights_definer, rights_invoker;
DROP OWNED BY rights_a, rights_group;
DROP ROLE rights_a, rights_group, rights_renamed, rights_apart, rights_super;
