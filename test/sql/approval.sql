--
-- approval: dual control.  What cannot be taken back, or lets somebody read,
-- waits for a second person; nobody is a second person to themselves, whatever
-- roles they switch to; and what is approved is what was asked for, by somebody
-- who may still ask for it.  Every person here has a login of their own.
--
\i test/sql/include/prepare.sql
SELECT current_user AS admin \gset
CREATE ROLE approval_alice LOGIN;
CREATE ROLE approval_bob LOGIN;
CREATE ROLE approval_group;
CREATE ROLE approval_carol LOGIN IN ROLE approval_group;
CREATE ROLE approval_super LOGIN SUPERUSER;
CREATE ROLE approval_nobody LOGIN;
CREATE ROLE approval_watch LOGIN IN ROLE pg_monitor;
CREATE ROLE approval_reader;
GRANT EXECUTE ON FUNCTION pgenvelope.create_key, pgenvelope.rotate_key, pgenvelope.activate_key,
    pgenvelope.retire_key, pgenvelope.restore_key, pgenvelope.destroy_key, pgenvelope.grant_key, pgenvelope.revoke_key,
    pgenvelope.reseal_keys, pgenvelope.require_approval, pgenvelope.approve, pgenvelope.reject
TO approval_alice, approval_bob;
-- Who approves needs no EXECUTE on what is done
GRANT EXECUTE ON FUNCTION pgenvelope.approve, pgenvelope.reject
TO approval_group, approval_nobody;
SELECT pgenvelope.create_key('approval', required_context => '{}') > 0 AS created;
SELECT pgenvelope.grant_key('approval', 'admin', 'approval_alice'),
    pgenvelope.grant_key('approval', 'admin', 'approval_bob'),
    pgenvelope.grant_key('approval', 'admin', 'approval_group');
CREATE TABLE approval AS SELECT env_encrypt('secret', '{}', 'approval') AS value;
GRANT SELECT ON approval TO PUBLIC;

-- One person may begin it; twice is nothing new
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.require_approval('approval');
SELECT pgenvelope.require_approval('approval');
SELECT pgenvelope.require_approval('approval', NULL);
SELECT pgenvelope.require_approval(NULL);
SELECT pgenvelope.require_approval('nothing');

-- What is filed, and what is done at once
SELECT name, dual_control FROM pgenvelope.key WHERE name = 'approval';
SELECT pgenvelope.grant_key('approval', 'encrypt', 'approval_reader');
SELECT pgenvelope.grant_key('approval', 'rewrap', 'approval_reader');
SELECT pgenvelope.revoke_key('approval', 'rewrap', 'approval_reader');
SELECT pgenvelope.rotate_key('approval', rewrap => false);
SELECT pgenvelope.activate_key('approval', 1, rewrap => false);
SELECT pgenvelope.activate_key('approval', 2, rewrap => false);
\set VERBOSITY default
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_reader');
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_reader');
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'admin', 'approval_nobody');
SELECT pgenvelope.retire_key('approval', 1, force => true);
SELECT * FROM pgenvelope.destroy_key('approval', 1, 'approval/1');
SELECT * FROM pgenvelope.destroy_key('approval', 1, 'approval/1', shred => true);
SELECT * FROM pgenvelope.destroy_key('approval', NULL, 'approval/all', shred => true);
SELECT pgenvelope.reseal_keys('spare', 'approval');
SELECT pgenvelope.require_approval('approval', false);

-- What would fail anyway, fails at once
SELECT pgenvelope.grant_key('approval', 'select', 'approval_reader');
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nowhere');
SELECT pgenvelope.retire_key('approval', 1);
SELECT pgenvelope.retire_key('approval', 2, force => true);
SELECT pgenvelope.restore_key('approval', 1);
SELECT pgenvelope.retire_key('approval', 9);
SELECT pgenvelope.destroy_key('approval', 9, 'approval/9');
SELECT pgenvelope.destroy_key('approval', 1, 'approval');
SELECT pgenvelope.reseal_keys('nowhere', 'approval');

-- Nothing was done
SELECT operation, arguments, state, requested_by, requested_login,
    expires_at - requested_at AS lasts
FROM pgenvelope.requests ORDER BY request_id;
\c - approval_super
\set VERBOSITY sqlstate
SELECT version, state, provider FROM pgenvelope.keys WHERE name = 'approval';
SELECT privilege, grantee::regrole FROM pgenvelope.key_grant
JOIN pgenvelope.key USING (key_id)
WHERE name = 'approval' AND grantee::text LIKE 'approval%'
ORDER BY 1, 2;

-- A number that the next request has
CREATE FUNCTION approval_next() RETURNS bigint LANGUAGE sql SECURITY DEFINER
AS $$ SELECT max(request_id) FROM pgenvelope.request $$;

-- ---------------------------------------------------------------------------
-- Nobody approves their own
-- ---------------------------------------------------------------------------
SELECT min(request_id) AS grant_reader FROM pgenvelope.request \gset
GRANT approval_bob TO approval_alice;
CREATE FUNCTION approval_as_bob(request bigint) RETURNS jsonb LANGUAGE sql
SECURITY DEFINER AS 'SELECT pgenvelope.approve(request)';
ALTER FUNCTION approval_as_bob OWNER TO approval_bob;
CREATE FUNCTION approval_ask_as_bob() RETURNS boolean LANGUAGE sql
SECURITY DEFINER
AS $$ SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody') $$;
ALTER FUNCTION approval_ask_as_bob OWNER TO approval_bob;
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:grant_reader);
-- As another role
SET ROLE approval_bob;
SELECT pgenvelope.approve(:grant_reader);
RESET ROLE;
-- By another's function
SELECT approval_as_bob(:grant_reader);
-- Asked as another role: neither she nor that other
SET ROLE approval_bob;
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_watch');
RESET ROLE;
SELECT approval_next() AS asked_as_bob \gset
SELECT pgenvelope.approve(:asked_as_bob);
-- Asked by another's function
SELECT approval_ask_as_bob();
SELECT approval_next() AS asked_by_function \gset
SELECT pgenvelope.approve(:asked_by_function);
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:asked_as_bob);
SELECT pgenvelope.approve(:asked_by_function);
SELECT requested_by, requested_session, requested_login
FROM pgenvelope.requests
WHERE request_id IN (:asked_as_bob, :asked_by_function) ORDER BY request_id;
-- Not in a function of their own either: who has logged in would not count
SELECT approval_as_bob(:grant_reader);
-- Session users are switched by superusers; the login stays
\c - approval_super
\set VERBOSITY sqlstate
SET SESSION AUTHORIZATION approval_alice;
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_carol');
SELECT approval_next() AS switched \gset
SET SESSION AUTHORIZATION approval_bob;
SELECT pgenvelope.approve(:switched);
SET SESSION AUTHORIZATION approval_carol;
SELECT pgenvelope.approve(:switched);
RESET SESSION AUTHORIZATION;
SELECT pgenvelope.approve(:switched);
SET ROLE approval_carol;
SELECT pgenvelope.approve(:switched);
RESET ROLE;
-- A superuser who poses as the requester's other half
SET SESSION AUTHORIZATION approval_alice;
SELECT pgenvelope.approve(:grant_reader);
RESET SESSION AUTHORIZATION;
\c - approval_alice
\set VERBOSITY sqlstate
-- The session user of then is herself, though she did not ask
SELECT pgenvelope.approve(:switched);
-- Where whose rights count is not who calls: an index expression
CREATE FUNCTION pg_temp.indexed(request bigint) RETURNS jsonb LANGUAGE sql
IMMUTABLE AS 'SELECT pgenvelope.approve(request)';
CREATE TEMP TABLE indexed AS SELECT :asked_as_bob::bigint AS request;
CREATE INDEX ON indexed (pg_temp.indexed(request));
-- The message
\set VERBOSITY default
SELECT pgenvelope.approve(:grant_reader);
\set VERBOSITY sqlstate

-- ---------------------------------------------------------------------------
-- Approving
-- ---------------------------------------------------------------------------

-- Who is not entitled learns so, and no more
\c - approval_nobody
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:grant_reader);
SELECT pgenvelope.reject(:grant_reader, 'no');
SELECT pgenvelope.approve(0);
SELECT pgenvelope.approve(NULL) IS NULL AS nothing;
SELECT pgenvelope.reject(NULL);
SELECT count(*) FROM pgenvelope.requests;
SELECT * FROM pgenvelope.request;
\c - approval_watch
SELECT count(*) > 0 AS sees FROM pgenvelope.requests;

-- Carol is entitled by her group
\c - approval_carol
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:grant_reader);
SELECT pgenvelope.approve(:grant_reader);
\set VERBOSITY terse
SELECT pgenvelope.approve(:grant_reader);
\set VERBOSITY sqlstate
SELECT pgenvelope.reject(:grant_reader, 'too late');
SELECT pgenvelope.approve(:asked_as_bob), pgenvelope.approve(:asked_by_function);
SELECT operation, arguments, state, requested_by, decided_by, decided_login,
    reason, result, decided_at IS NOT NULL AS decided
FROM pgenvelope.requests WHERE state <> 'pending' ORDER BY request_id;
\c - approval_super
\set VERBOSITY sqlstate
SELECT grantee::regrole, granted_by FROM pgenvelope.key_grant
JOIN pgenvelope.key USING (key_id)
WHERE name = 'approval' AND privilege = 'decrypt'
    AND granted_by LIKE 'approval%' ORDER BY 1;
SET ROLE approval_reader;
SELECT env_decrypt(value, '{}') FROM approval;
RESET ROLE;

-- What was approved is done once: the next call asks again
SELECT pgenvelope.revoke_key('approval', 'decrypt', 'approval_watch'),
    pgenvelope.revoke_key('approval', 'decrypt', 'approval_nobody');
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
SELECT approval_next() AS again \gset

-- Rejecting, with or without a reason; and taking back one's own
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.reject(:again, repeat('x', 1001));
SELECT pgenvelope.reject(:again, 'Who is nobody?');
SELECT pgenvelope.approve(:again);
SELECT pgenvelope.reject(:again);
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
SELECT approval_next() AS again \gset
SELECT pgenvelope.reject(:again);
SELECT state, reason, requested_by, decided_by FROM pgenvelope.requests
WHERE reason IS NOT NULL OR request_id = :again ORDER BY request_id;
\c - approval_carol
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:again);

-- ---------------------------------------------------------------------------
-- Expiry
-- ---------------------------------------------------------------------------
\c - approval_alice
\set VERBOSITY sqlstate
SET pgenvelope.approval_timeout = '10 years';
\c - approval_super
\set VERBOSITY sqlstate
SET pgenvelope.approval_timeout = 0;
SET pgenvelope.approval_timeout = '2 h';
SET ROLE approval_alice;
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
RESET ROLE;
SELECT approval_next() AS expiring \gset
SELECT expires_at - requested_at AS lasts FROM pgenvelope.requests
WHERE request_id = :expiring;
UPDATE pgenvelope.request SET expires_at = clock_timestamp()
WHERE request_id = :expiring;
\c - approval_bob
\set VERBOSITY sqlstate
SELECT state FROM pgenvelope.requests WHERE request_id = :expiring;
SELECT pgenvelope.approve(:expiring);
SELECT pgenvelope.reject(:expiring, 'late');
-- Whoever still wants it gets another number
\c - approval_super
\set VERBOSITY sqlstate
SET ROLE approval_alice;
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
RESET ROLE;
SELECT approval_next() > :expiring AS another;
SELECT pgenvelope.reject(approval_next());

-- ---------------------------------------------------------------------------
-- Who asked may be gone by then
-- ---------------------------------------------------------------------------
CREATE ROLE approval_dave LOGIN IN ROLE approval_group;
GRANT EXECUTE ON FUNCTION pgenvelope.grant_key TO approval_dave;
\c - approval_dave
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
SELECT approval_next() AS daves \gset
-- No longer entitled
\c - approval_super
REVOKE approval_group FROM approval_dave;
\c - approval_bob
\set VERBOSITY default
SELECT pgenvelope.approve(:daves);
\set VERBOSITY sqlstate
-- Entitled again
\c - approval_super
GRANT approval_group TO approval_dave;
BEGIN;
SELECT pgenvelope.approve(:daves);
ROLLBACK;
-- Under another name; dropped; and somebody else of that name
ALTER ROLE approval_dave RENAME TO approval_david;
\c - approval_bob
\set VERBOSITY default
SELECT pgenvelope.approve(:daves);
\c - approval_super
\set VERBOSITY sqlstate
ALTER ROLE approval_david RENAME TO approval_dave;
DROP OWNED BY approval_dave;
DROP ROLE approval_dave;
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:daves);
\c - approval_super
CREATE ROLE approval_dave LOGIN IN ROLE approval_group;
GRANT EXECUTE ON FUNCTION pgenvelope.approve TO approval_dave;
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:daves);
\c - approval_dave
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:daves);
\c - approval_super
DROP OWNED BY approval_dave;
DROP ROLE approval_dave;

-- ---------------------------------------------------------------------------
-- What is done is what was asked for
-- ---------------------------------------------------------------------------

-- Somebody else gets the name of who was to be granted
CREATE ROLE approval_temp;
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_temp');
SELECT approval_next() AS to_temp \gset
\c - approval_super
DROP ROLE approval_temp;
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:to_temp);
\c - approval_super
CREATE ROLE approval_temp;
\c - approval_bob
\set VERBOSITY default
SELECT pgenvelope.approve(:to_temp);
\set VERBOSITY sqlstate
\c - approval_super
DROP ROLE approval_temp;

-- A version is used again meanwhile; a later rotation does not matter
SELECT request_id AS retire FROM pgenvelope.requests
WHERE operation = 'retire_key' \gset
SELECT request_id AS destroy_all FROM pgenvelope.requests
WHERE operation = 'destroy_key' AND NOT arguments ? 'version' \gset
SELECT request_id AS destroy_early FROM pgenvelope.requests
WHERE operation = 'destroy_key' AND NOT (arguments->'shred')::boolean \gset
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.rotate_key('approval', rewrap => false);
\c - approval_bob
\set VERBOSITY sqlstate
-- It would destroy one version more than was asked for
SELECT pgenvelope.approve(:destroy_all);
-- Retired against the proof; the approver is told
SELECT pgenvelope.approve(:retire);
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.restore_key('approval', 1);
SELECT approval_next() AS restore \gset
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:restore);
SELECT pgenvelope.retire_key('approval', 1, force => true);
SELECT approval_next() AS retire \gset
-- Between the two it was active
SELECT pgenvelope.activate_key('approval', 1, rewrap => false);
SELECT pgenvelope.activate_key('approval', 3, rewrap => false);
\c - approval_carol
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:retire);

-- What fails is not approved, and stays pending: it has never been retired
\c - approval_alice
\set VERBOSITY sqlstate
SELECT * FROM pgenvelope.destroy_key('approval', 1, 'approval/1');
SELECT approval_next() AS destroy_early \gset
\c - approval_carol
\set VERBOSITY terse
SELECT pgenvelope.approve(:destroy_early);
\set VERBOSITY sqlstate
SELECT state FROM pgenvelope.requests WHERE request_id = :destroy_early;
\c - approval_alice
\set VERBOSITY sqlstate
SELECT * FROM pgenvelope.destroy_key('approval', 1, 'approval/1', shred => true);
SELECT approval_next() AS destroy \gset
\c - approval_carol
\set VERBOSITY sqlstate
SELECT holder->>'holder' AS holder, holder ? 'detail' AS detail
FROM jsonb_array_elements(pgenvelope.approve(:destroy)) AS holder
WHERE holder->>'holder' IN ('provider', 'table', 'backups');
SELECT jsonb_array_length(result) > 0 AS reported FROM pgenvelope.requests
WHERE request_id = :destroy;

-- Other functions of the same name
\c - approval_super
CREATE FUNCTION pgenvelope.grant_key(key text, privilege text, role regrole)
RETURNS boolean LANGUAGE sql AS 'SELECT false';
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody', NULL);
SELECT approval_next() AS overloaded \gset
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:overloaded);
\c - approval_super
\set VERBOSITY sqlstate
DROP FUNCTION pgenvelope.grant_key(text, text, regrole);
SELECT pgenvelope.revoke_key('approval', 'decrypt', 'approval_nobody');

-- ---------------------------------------------------------------------------
-- Superusers, and all keys at once
-- ---------------------------------------------------------------------------

-- A superuser needs a second person, and may be one
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_super');
SELECT approval_next() AS supers \gset
SELECT pgenvelope.approve(:supers);
SELECT pgenvelope.create_key('approval_other', required_context => '{}') > 0 AS created;
SELECT pgenvelope.reseal_keys('spare') > 0 AS others;
SELECT provider, dual_control FROM pgenvelope.keys
WHERE name IN ('approval', 'approval_other') AND state = 'active'
ORDER BY name;
SELECT approval_next() AS reseal \gset
SELECT operation, arguments FROM pgenvelope.requests
WHERE request_id = :reseal;
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:supers);
SELECT pgenvelope.approve(:reseal);
SELECT pgenvelope.reseal_keys('main', 'approval_other');
\c - approval_super
\set VERBOSITY sqlstate
SELECT version, provider FROM pgenvelope.keys
WHERE name = 'approval' AND state <> 'destroyed' ORDER BY version;
SELECT pgenvelope.reseal_keys('main') > 0 AS back;

-- Ending it
SELECT request_id AS ending FROM pgenvelope.requests
WHERE operation = 'require_approval' \gset
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:ending);
\c - approval_carol
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:ending);
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval', 'decrypt', 'approval_nobody');
SELECT pgenvelope.require_approval('approval');
SELECT pgenvelope.grant_key('approval', 'admin', 'approval_nobody');

-- ---------------------------------------------------------------------------
-- From the start: the creator may not decrypt
-- ---------------------------------------------------------------------------
SELECT pgenvelope.create_key('approval_new', required_context => '{}',
    dual_control => true) > 0 AS created;
SELECT env_encrypt('x', '{}', 'approval_new') IS NOT NULL AS encrypts;
SELECT env_decrypt(env_encrypt('x', '{}', 'approval_new'), '{}');
SELECT pgenvelope.grant_key('approval_new', 'decrypt', 'approval_alice');
SELECT approval_next() AS first \gset
\c - approval_bob
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:first);
\c - approval_super
\set VERBOSITY sqlstate
SELECT privilege, grantee::regrole FROM pgenvelope.key_grant
JOIN pgenvelope.key USING (key_id) WHERE name = 'approval_new'
ORDER BY 1;
SELECT pgenvelope.approve(:first);

-- ---------------------------------------------------------------------------
-- Whoever lifts a limit or a lock lets somebody read
-- ---------------------------------------------------------------------------
SELECT pgenvelope.create_key('approval_limit', required_context => '{}') > 0
    AS created;
SELECT pgenvelope.grant_key('approval_limit', 'admin', 'approval_alice'),
    pgenvelope.grant_key('approval_limit', 'admin', 'approval_bob'),
    pgenvelope.grant_key('approval_limit', 'decrypt', 'approval_reader');
SELECT pgenvelope.limit_grant('approval_limit', 'approval_reader', per_minute => 5);
CREATE TABLE approval_honey AS
    SELECT env_encrypt('x', '{}', 'approval_limit') AS value;
SELECT pgenvelope.mark_honey(value, '{}', lock => true) FROM approval_honey;
GRANT SELECT ON approval_honey TO approval_reader;
GRANT EXECUTE ON FUNCTION pgenvelope.limit_grant, pgenvelope.unlock_grant TO approval_alice;
SELECT pgenvelope.require_approval('approval_limit');
SET ROLE approval_reader;
SELECT env_decrypt(value, '{}') FROM approval_honey;
SELECT env_decrypt(value, '{}') FROM approval_honey;
\c - approval_alice
\set VERBOSITY sqlstate
SELECT pgenvelope.limit_grant('approval_limit', 'approval_reader', per_minute => 6);
SELECT pgenvelope.unlock_grant('approval_limit', 'approval_reader');
SELECT request_id AS limit_id FROM pgenvelope.requests
WHERE operation = 'limit_grant' \gset
SELECT request_id AS unlock_id FROM pgenvelope.requests
WHERE operation = 'unlock_grant' \gset
SELECT pgenvelope.approve(:limit_id);
SELECT pgenvelope.approve(:unlock_id);
\c - approval_super
\set VERBOSITY sqlstate
SET ROLE approval_reader;
SELECT env_decrypt(value, '{}') FROM approval_honey;
RESET ROLE;
SELECT per_minute FROM pgenvelope.key_grant
WHERE grantee = 'approval_reader'::regrole AND per_minute IS NOT NULL;
\c - approval_bob
SELECT pgenvelope.approve(:limit_id);
SELECT pgenvelope.approve(:unlock_id);
\c - approval_super
\set VERBOSITY sqlstate
SET ROLE approval_reader;
SELECT env_decrypt(value, '{}') FROM approval_honey;
RESET ROLE;
SELECT per_minute FROM pgenvelope.key_grant
WHERE grantee = 'approval_reader'::regrole AND per_minute IS NOT NULL;
DROP TABLE approval_honey;

-- ---------------------------------------------------------------------------
-- Names that have to be quoted, or look like numbers; and JSON's null, which is
-- not no context
-- ---------------------------------------------------------------------------
\c - approval_super
SELECT pgenvelope.create_key('approval_names',
    required_context => '{"tenant": null}') > 0 AS created;
CREATE ROLE "approval ""Odd""" LOGIN IN ROLE approval_group;
CREATE ROLE "4711";
GRANT EXECUTE ON FUNCTION pgenvelope.grant_key, pgenvelope.limit_grant TO "approval ""Odd""";
SELECT pgenvelope.grant_key('approval_names', 'admin', 'approval_group'),
    pgenvelope.require_approval('approval_names');
\c - "approval ""Odd"""
\set VERBOSITY sqlstate
SELECT pgenvelope.grant_key('approval_names', 'decrypt', '"4711"',
    '{"tenant": ["a\"b", "null", "42"]}', false);
SELECT approval_next() AS names \gset
SELECT pgenvelope.grant_key('approval_names', 'decrypt', '"4711"');
SELECT approval_next() AS everything \gset
SELECT pgenvelope.limit_grant('approval_names', '"4711"', 'null', per_minute => 1);
SELECT approval_next() AS limit_null \gset
SELECT pgenvelope.limit_grant('approval_names', '"4711"', per_transaction => 2);
SELECT approval_next() AS limit_all \gset
\c - approval_carol
\set VERBOSITY sqlstate
SELECT pgenvelope.approve(:names), pgenvelope.approve(:everything);
SELECT pgenvelope.approve(:limit_null);
SELECT pgenvelope.approve(:limit_all);
\c - approval_super
SELECT context, definer, per_minute, per_transaction FROM pgenvelope.key_grant
WHERE grantee = '"4711"'::regrole ORDER BY context NULLS FIRST;
SELECT arguments FROM pgenvelope.requests
WHERE key = 'approval_names' ORDER BY request_id;
DROP OWNED BY "approval ""Odd""";
DROP ROLE "approval ""Odd""", "4711";

-- ---------------------------------------------------------------------------
-- The table is guarded, and the view shows who may know
-- ---------------------------------------------------------------------------
GRANT ALL ON pgenvelope.request TO approval_alice;
\c - approval_alice
\set VERBOSITY terse
UPDATE pgenvelope.request SET expires_at = 'infinity';
INSERT INTO pgenvelope.request SELECT * FROM pgenvelope.request;
DELETE FROM pgenvelope.request;
TRUNCATE pgenvelope.request;
\set VERBOSITY sqlstate
\c - approval_super
REVOKE ALL ON pgenvelope.request FROM approval_alice;
-- Monitoring sees that there are requests, without the contexts of grants
UPDATE pgenvelope.request SET arguments = arguments || '{"context": {"tenant": "acme"}}'
WHERE request_id = :first;
\c - approval_watch
SELECT arguments FROM pgenvelope.requests WHERE request_id = :first;
\c - approval_alice
SELECT arguments FROM pgenvelope.requests WHERE request_id = :first;
\c - approval_bob
SELECT count(*) FROM pgenvelope.requests WHERE key = 'approval_new';

\c - approval_super
DROP TABLE approval;
DROP FUNCTION approval_next, approval_as_bob, approval_ask_as_bob;
DROP OWNED BY approval_alice, approval_bob, approval_group, approval_carol,
    approval_nobody;
\c - :admin
DROP ROLE approval_alice, approval_bob, approval_group, approval_carol,
    approval_super, approval_nobody, approval_watch, approval_reader;
