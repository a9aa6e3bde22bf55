--
-- lint: pgenvelope.lint finds what would leak or break, and no longer once that is
-- remedied.  docs/lint.md shows that a new installation has no error.
--
\i test/sql/include/prepare.sql
-- What there is at first is not this test's: other tests leave keys.
CREATE TEMP TABLE before AS SELECT * FROM pgenvelope.lint();
SELECT * FROM before WHERE "check" IN ('file_mode', 'file_missing');
SELECT DISTINCT severity, "check", object FROM before
WHERE object ~ '^provider';
SET client_min_messages = warning;
CREATE VIEW pg_temp.new AS
SELECT severity, "check", object, message, remedy FROM pgenvelope.lint()
EXCEPT SELECT * FROM before ORDER BY 1, 2, 3;

-- Settings
BEGIN;
SET pgenvelope.redact_statements = 'off';
SET log_statement = 'all';
SET log_min_duration_statement = 0;
SET log_parameter_max_length_on_error = -1;
SET pgenvelope.allow_maintenance_decrypt = on;
SET pgenvelope.store_context = on;
SET track_activities = off;
SET pgenvelope.audit = 'off';
SELECT * FROM pg_temp.new;
SELECT "check" FROM before EXCEPT SELECT "check" FROM pgenvelope.lint();
SET pgenvelope.redact_statements = 'calls';
SELECT "check", object FROM pg_temp.new WHERE "check" ~ 'log';
SET pgenvelope.redact_statements = 'all';
SELECT "check", object FROM pg_temp.new WHERE "check" ~ 'log';
ROLLBACK;
CREATE ROLE lint_role LOGIN;
ALTER ROLE lint_role SET pgenvelope.redact_statements = 'off';
ALTER ROLE lint_role SET pgenvelope.audit = 'OFF';
SELECT * FROM pg_temp.new;
ALTER ROLE lint_role RESET pgenvelope.redact_statements;
ALTER ROLE lint_role RESET pgenvelope.audit;
SELECT * FROM pg_temp.new;

-- Triggers, and plaintext beside them
SELECT pgenvelope.create_key('lint', required_context => '{"id": null}') > 0
    AS created;
CREATE TEMP TABLE escrow AS SELECT * FROM pg_temp.new;
SELECT severity, "check", replace(object, CURRENT_USER, 'USER') AS object
FROM escrow WHERE "check" <> 'no_dual_control';
INSERT INTO before TABLE escrow;
CREATE FUNCTION lint_trigger() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NEW; END $$;
CREATE TABLE lint_customers (
    id integer, email_plain text, email envelope, phone text,
    phone_enc envelope);
INSERT INTO lint_customers SELECT i, 'plain', NULL, 'plain', NULL
FROM generate_series(1, 10) i;
CREATE TRIGGER seal BEFORE INSERT OR UPDATE ON lint_customers FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('email_plain', 'email', 'id=id',
                                    '@key:lint');
CREATE TRIGGER earlier BEFORE INSERT ON lint_customers FOR EACH ROW
EXECUTE FUNCTION lint_trigger();
CREATE TRIGGER tomorrow BEFORE INSERT ON lint_customers FOR EACH ROW
EXECUTE FUNCTION lint_trigger();
ALTER TABLE lint_customers DISABLE TRIGGER seal;
ANALYZE lint_customers;
SELECT * FROM pg_temp.new;
ALTER TABLE lint_customers ENABLE TRIGGER seal;
UPDATE lint_customers SET email_plain = email_plain, phone = NULL;
DROP TRIGGER earlier ON lint_customers;
ANALYZE lint_customers;
SELECT * FROM pg_temp.new;

-- What decrypts and stores, or claims what is not so
SET pgenvelope.allow_maintenance_decrypt = on;
CREATE MATERIALIZED VIEW lint_opened AS
SELECT env_decrypt(email, jsonb_build_object('id', id)) AS email
FROM lint_customers;
RESET pgenvelope.allow_maintenance_decrypt;
CREATE VIEW lint_view AS
SELECT env_decrypt(email, jsonb_build_object('id', id)) AS email
FROM lint_customers;
CREATE RULE lint_rule AS ON INSERT TO lint_view DO INSTEAD
INSERT INTO lint_customers (id, phone)
VALUES (1, env_decrypt(NEW.email::envelope, '{"id": 1}'));
CREATE FUNCTION lint_open(value envelope, id integer) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT env_decrypt(value, jsonb_build_object('id', id)) $$;
CREATE STATISTICS lint_statistics ON
    (env_decrypt(email, '{"id": 1}')), id FROM lint_customers;
ALTER TABLE lint_customers ADD CONSTRAINT lint_check
    CHECK (env_decrypt(phone_enc, '{"id": 1}') <> '') NOT VALID;
ALTER TABLE lint_customers ALTER phone_enc
    SET DEFAULT env_encrypt('literal', '{"id": 1}', 'lint');
SELECT * FROM pg_temp.new;
DROP MATERIALIZED VIEW lint_opened;
DROP VIEW lint_view;
DROP STATISTICS lint_statistics;
ALTER FUNCTION lint_open STABLE;
ALTER TABLE lint_customers DROP CONSTRAINT lint_check,
    ALTER phone_enc DROP DEFAULT;
SELECT * FROM pg_temp.new;

-- Functions of the same name, and who may make them
CREATE SCHEMA lint_schema;
CREATE FUNCTION lint_schema.env_encrypt(text, jsonb) RETURNS text
LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION pg_temp.env_decrypt(envelope, jsonb) RETURNS text
LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION envelope.env_encrypt(varchar, jsonb) RETURNS text
LANGUAGE sql AS $$ SELECT '' $$;
GRANT CREATE ON SCHEMA envelope TO lint_role;
SELECT severity, "check", regexp_replace(object, 'pg_temp_\d+', 'pg_temp')
    AS object, message, regexp_replace(remedy, 'pg_temp_\d+', 'pg_temp')
    AS remedy
FROM pg_temp.new;
DROP SCHEMA lint_schema CASCADE;
DROP FUNCTION pg_temp.env_decrypt(envelope, jsonb);
DROP FUNCTION envelope.env_encrypt(varchar, jsonb);
REVOKE CREATE ON SCHEMA envelope FROM lint_role;
SELECT * FROM pg_temp.new;

-- Rights
GRANT EXECUTE ON FUNCTION pgenvelope.create_key TO PUBLIC;
GRANT SELECT ON pgenvelope.key_version TO PUBLIC;
GRANT pg_execute_server_program, pg_read_all_data TO lint_role;
CREATE ROLE lint_dropped;
CREATE ROLE lint_super SUPERUSER;
SELECT pgenvelope.grant_key('lint', 'encrypt', 'lint_dropped'),
    pgenvelope.grant_key('lint', 'encrypt', 'lint_dropped', '{"tenant": "acme"}'),
    pgenvelope.grant_key('lint', 'decrypt', 'lint_super');
SELECT 'lint_dropped'::regrole::oid AS dropped \gset
DROP ROLE lint_dropped;
SELECT severity, "check", replace(object, :'dropped', 'N') AS object,
    message, replace(remedy, :'dropped', 'N') AS remedy
FROM pg_temp.new;
REVOKE EXECUTE ON FUNCTION pgenvelope.create_key FROM PUBLIC;
REVOKE ALL ON pgenvelope.key_version FROM PUBLIC;
REVOKE pg_execute_server_program, pg_read_all_data FROM lint_role;
SELECT pgenvelope.revoke_key('lint', 'encrypt', :'dropped', all_contexts => true),
    pgenvelope.revoke_key('lint', 'decrypt', 'lint_super');
DROP ROLE lint_super;
SELECT * FROM pg_temp.new;

-- What tenants who share connections leave for each other: first a role whose
-- grant is bound to no session, then one that is.
CREATE ROLE lint_web;
CREATE ROLE lint_pool LOGIN IN ROLE lint_web;
CREATE SCHEMA lint_schema;
SELECT current_database() AS db \gset
SELECT has_database_privilege('lint_web', :'db', 'TEMPORARY') AS may;
GRANT CREATE ON SCHEMA lint_schema TO PUBLIC;
CREATE TABLE lint_owned (i integer);
ALTER TABLE lint_owned OWNER TO lint_pool;
SELECT pgenvelope.grant_key('lint', 'decrypt', 'lint_web', '{"id": {"is": "session_user"}}'),
    pgenvelope.grant_key('lint', 'rewrap', 'lint_web');
SELECT * FROM pg_temp.new;
SELECT pgenvelope.grant_key('lint', 'decrypt', 'lint_web', '{"id": {"session": "id"}}');
GRANT CREATE ON DATABASE :"db" TO lint_pool;
SELECT severity, "check", replace(object, :'db', 'DB') AS object, message,
    replace(remedy, :'db', 'DB') AS remedy
FROM pg_temp.new;
BEGIN;
REVOKE TEMPORARY ON DATABASE :"db" FROM PUBLIC;
REVOKE CREATE ON DATABASE :"db" FROM lint_pool;
REVOKE CREATE ON SCHEMA lint_schema FROM PUBLIC;
ALTER TABLE lint_owned OWNER TO CURRENT_USER;
SELECT * FROM pg_temp.new;
ROLLBACK;
DROP OWNED BY lint_web, lint_pool;
SELECT pgenvelope.revoke_key('lint', 'decrypt', 'lint_web', '{"id": {"session": "id"}}'),
    pgenvelope.revoke_key('lint', 'decrypt', 'lint_web',
               '{"id": {"is": "session_user"}}'),
    pgenvelope.revoke_key('lint', 'rewrap', 'lint_web');
DROP SCHEMA lint_schema;
DROP ROLE lint_pool, lint_web;

-- A second person: none, one, two, and one who can be two
CREATE ROLE lint_admins;
CREATE ROLE lint_alice LOGIN IN ROLE lint_admins;
CREATE ROLE lint_bob LOGIN;
SELECT pgenvelope.create_key('lint dual', required_context => '{"id": null}',
                      grant_creator => false) > 0 AS created;
SELECT pgenvelope.grant_key('lint dual', 'admin', 'lint_admins');
CREATE VIEW pg_temp.new_approval AS
SELECT severity, "check", object, message, remedy FROM pgenvelope.lint_approval()
WHERE object ~ 'lint' ORDER BY 1, 2, 3;
SELECT * FROM pg_temp.new_approval;
SELECT severity, "check", object,
    regexp_replace(message, '^\d+ of \d+', 'N of M') AS message, remedy
FROM pgenvelope.lint_approval() WHERE "check" = 'no_dual_control';
SELECT pgenvelope.require_approval('lint dual');
SELECT * FROM pg_temp.new_approval;
GRANT EXECUTE ON FUNCTION pgenvelope.approve TO lint_admins, lint_bob;
SELECT * FROM pg_temp.new_approval;
GRANT lint_admins TO lint_bob;
SELECT * FROM pg_temp.new_approval;
ALTER ROLE lint_bob CREATEROLE;
GRANT lint_admins TO lint_alice WITH ADMIN OPTION;
SELECT * FROM pg_temp.new_approval;
BEGIN;
SET LOCAL session_replication_role = 'replica';
UPDATE pgenvelope.key SET dual_control = false WHERE name = 'lint dual';
SELECT * FROM pg_temp.new_approval;
COMMIT;
SELECT pgenvelope.revoke_key('lint dual', 'admin', 'lint_admins');
REVOKE EXECUTE ON FUNCTION pgenvelope.approve FROM lint_admins, lint_bob;
DROP ROLE lint_admins, lint_alice, lint_bob;
INSERT INTO before SELECT * FROM pg_temp.new;

-- A parameter that is granted (from PostgreSQL 15)
GRANT SET ON PARAMETER pgenvelope.session_context,
    pgenvelope.redact_statements TO lint_role;
SELECT * FROM pg_temp.new;
REVOKE SET ON PARAMETER pgenvelope.session_context,
    pgenvelope.redact_statements FROM lint_role;
SELECT * FROM pg_temp.new;

-- Keys
BEGIN;
SELECT pgenvelope.create_key('lint any', required_context => '{}') > 0 AS created,
    pgenvelope.create_key('lint tenant',
                   required_context => '{"tenant": "a", "type": null}') > 0
    AS created;
SELECT pgenvelope.rotate_key('lint', rewrap => false);
SELECT pgenvelope.schedule_rotation('lint', '1 day');
SET LOCAL session_replication_role = 'replica';
UPDATE pgenvelope.key_version v SET
    activated_at = activated_at - interval '2 years',
    deactivated_at = deactivated_at - interval '8 days'
FROM pgenvelope.key k WHERE k.key_id = v.key_id AND k.name ~ '^lint';
SELECT severity, "check", object,
    regexp_replace(message, '\d{4}-\d\d-\d\d', 'DATE') AS message, remedy
FROM pg_temp.new
WHERE "check" NOT IN ('no_escrow', 'superuser_grant', 'no_dual_control');
ROLLBACK;

-- The audit
BEGIN;
DELETE FROM pgenvelope.key_escrow;
DELETE FROM pgenvelope.key_proof;
DELETE FROM pgenvelope.key_version v USING pgenvelope.key k
WHERE k.key_id = v.key_id AND k.purpose = 'audit';
DELETE FROM pgenvelope.key_grant g USING pgenvelope.key k
WHERE k.key_id = g.key_id AND k.purpose = 'audit';
DELETE FROM pgenvelope.key WHERE purpose = 'audit';
SELECT severity, "check", object FROM pgenvelope.lint() WHERE "check" ~ 'audit';
SELECT pgenvelope.create_audit_key() > 0 AS created;
SELECT severity, "check", object FROM pgenvelope.lint() WHERE "check" ~ 'audit';
ROLLBACK;

-- Who may ask
SET ROLE lint_role;
SELECT count(*) FROM pgenvelope.lint();
RESET ROLE;
GRANT pg_monitor TO lint_role;
SET ROLE lint_role;
SELECT count(*) > 0 AS asked FROM pgenvelope.lint();
SELECT count(*) FROM pgenvelope.lint_server();
RESET ROLE;

SELECT * FROM pg_temp.new;
DROP TABLE lint_customers;
DROP FUNCTION lint_open, lint_trigger;
DROP ROLE lint_role;
