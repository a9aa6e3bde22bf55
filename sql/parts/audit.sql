

-- ---------------------------------------------------------------------------
-- Audit: what was done, chained so that changes show
-- ---------------------------------------------------------------------------

-- Columns in the order in which pge_audit_log.h chains them.
CREATE TABLE pgenvelope.audit_log (
    seq                bigint PRIMARY KEY CHECK (seq > 0),
    at                 timestamptz NOT NULL,
    act                text NOT NULL,
    key_id             bigint,
    key                text,
    version            integer,
    detail             jsonb NOT NULL,
    role               text NOT NULL,
    session_role       text NOT NULL,
    authenticated_role text NOT NULL,
    client             text,
    trace_id           text,
    audit_key_id       bigint NOT NULL,
    audit_version      integer NOT NULL,
    previous           bytea NOT NULL,
    mac                bytea NOT NULL
);

COMMENT ON TABLE pgenvelope.audit_log IS
    'what was done to keys and rights, chained; pgenvelope.verify_audit checks it';
COMMENT ON COLUMN pgenvelope.audit_log.seq IS 'counts from 1, without gaps';
COMMENT ON COLUMN pgenvelope.audit_log.at IS 'when it was done';
COMMENT ON COLUMN pgenvelope.audit_log.act IS 'the function that did it';
COMMENT ON COLUMN pgenvelope.audit_log.key_id IS 'the key; null: none alone';
COMMENT ON COLUMN pgenvelope.audit_log.key IS 'its name then';
COMMENT ON COLUMN pgenvelope.audit_log.version IS 'its version';
COMMENT ON COLUMN pgenvelope.audit_log.detail IS 'what else there is to say';
COMMENT ON COLUMN pgenvelope.audit_log.role IS 'who did it: current_user';
COMMENT ON COLUMN pgenvelope.audit_log.session_role IS 'session_user';
COMMENT ON COLUMN pgenvelope.audit_log.authenticated_role IS
    'the role that logged in';
COMMENT ON COLUMN pgenvelope.audit_log.client IS
    'address of the client; null: there was none';
COMMENT ON COLUMN pgenvelope.audit_log.trace_id IS
    'pgenvelope.trace_id of the session';
COMMENT ON COLUMN pgenvelope.audit_log.audit_key_id IS
    'the audit key that chains it';
COMMENT ON COLUMN pgenvelope.audit_log.audit_version IS
    'version of the audit key';
COMMENT ON COLUMN pgenvelope.audit_log.previous IS
    'MAC of the entry before it';
COMMENT ON COLUMN pgenvelope.audit_log.mac IS
    'MAC of this entry and the one before it';

GRANT SELECT ON pgenvelope.audit_log TO pg_monitor;

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.audit_log', '');

CREATE FUNCTION pgenvelope.create_audit_key(
    provider text DEFAULT NULL,
    name text DEFAULT 'audit')
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_create_audit_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.verify_audit(
    OUT seq bigint,
    OUT finding text,
    OUT ok boolean,
    OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_verify_audit'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.accept_restore(reason text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_accept_restore'
LANGUAGE C VOLATILE STRICT;

REVOKE ALL ON FUNCTION pgenvelope.create_audit_key(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.verify_audit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.verify_audit() TO pg_monitor;
REVOKE ALL ON FUNCTION pgenvelope.accept_restore(text) FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.create_audit_key(text, text) IS
    'creates the key that chains the audit''s log; returns its id';
COMMENT ON FUNCTION pgenvelope.verify_audit() IS
    'checks the audit''s log: what was edited, deleted, moved, cut off or forged, and where';
COMMENT ON FUNCTION pgenvelope.accept_restore(text) IS
    'accepts, for good and in the log, that a restore has lost entries; returns how many';
