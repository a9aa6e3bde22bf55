

-- ---------------------------------------------------------------------------
-- Limits: budgets and honey values.  A budget and a lock are the grant's own,
-- so that they are dumped, replicated and revoked with it.
-- ---------------------------------------------------------------------------

ALTER TABLE pgenvelope.key_grant
    ADD COLUMN per_minute integer CHECK (per_minute > 0),
    ADD COLUMN per_transaction integer CHECK (per_transaction > 0),
    ADD COLUMN limit_action text CHECK (limit_action IN ('deny', 'report')),
    ADD COLUMN locked_at timestamptz,
    ADD CONSTRAINT key_grant_limit_check
        CHECK ((limit_action IS NULL) = (per_minute IS NULL
                                         AND per_transaction IS NULL)),
    ADD CONSTRAINT key_grant_decrypt_check
        CHECK (privilege = 'decrypt'
               OR (limit_action IS NULL AND locked_at IS NULL));

COMMENT ON COLUMN pgenvelope.key_grant.per_minute IS
    'decrypt: how many values may be opened by it in a minute; null: any number';
COMMENT ON COLUMN pgenvelope.key_grant.per_transaction IS
    'decrypt: how many values may be opened by it in a transaction; null: any number';
COMMENT ON COLUMN pgenvelope.key_grant.limit_action IS
    'whether values beyond that are refused (deny) or raise an alert only (report)';
COMMENT ON COLUMN pgenvelope.key_grant.locked_at IS
    'when it was locked, since a honey value was opened by it; null: it is not';

CREATE TABLE pgenvelope.honey (
    key_id     bigint NOT NULL,
    mark       bytea NOT NULL CHECK (octet_length(mark) = 32),
    lock_grant boolean NOT NULL,
    note       text CHECK (char_length(note) <= 200),
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL DEFAULT CURRENT_USER,
    PRIMARY KEY (key_id, mark)
);

COMMENT ON TABLE pgenvelope.honey IS
    'honey values, that raise an alert when they are decrypted; written by env_honey';
COMMENT ON COLUMN pgenvelope.honey.key_id IS 'the key of the value';
COMMENT ON COLUMN pgenvelope.honey.mark IS
    'a MAC under the value''s own data key: which value it is of, only who can unwrap that can tell';
COMMENT ON COLUMN pgenvelope.honey.lock_grant IS
    'whether the grants are locked of the role that decrypts it';
COMMENT ON COLUMN pgenvelope.honey.note IS
    'what the alert is to say of it, or null';
COMMENT ON COLUMN pgenvelope.honey.created_at IS 'when it was marked';
COMMENT ON COLUMN pgenvelope.honey.created_by IS 'the role that marked it';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.honey
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.honey
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard();
ALTER TABLE pgenvelope.honey
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;

COMMENT ON TRIGGER guard ON pgenvelope.honey IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.honey IS
    'refuses writes that fire no statement triggers';

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.honey', '');

CREATE FUNCTION @extschema@.env_limit(key text, role regrole,
                                      context jsonb DEFAULT NULL,
                                      per_minute integer DEFAULT NULL,
                                      per_transaction integer DEFAULT NULL,
                                      action text DEFAULT 'deny')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_limit'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_unlock_grant(key text, role regrole)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_unlock_grant'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_honey(value @extschema@.envelope,
                                      context jsonb,
                                      lock boolean DEFAULT false,
                                      note text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_honey'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_unhoney(value @extschema@.envelope,
                                        context jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_unhoney'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_limit(text, regrole, jsonb, integer,
                                             integer, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_unlock_grant(text, regrole)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_honey(@extschema@.envelope, jsonb,
                                             boolean, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_unhoney(@extschema@.envelope, jsonb)
    FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_limit(text, regrole, jsonb, integer,
                                          integer, text) IS
    'sets how many values a role may decrypt by a grant in a minute and in a transaction';
COMMENT ON FUNCTION @extschema@.env_unlock_grant(text, regrole) IS
    'unlocks the grants by which a role may decrypt; returns how many were locked';
COMMENT ON FUNCTION @extschema@.env_honey(@extschema@.envelope, jsonb,
                                          boolean, text) IS
    'marks a value whose decryption raises an alert, and may lock the grant; false if it was marked';
COMMENT ON FUNCTION @extschema@.env_unhoney(@extschema@.envelope, jsonb) IS
    'takes the mark of a honey value away; false if it had none';

CREATE VIEW pgenvelope.limits WITH (security_barrier) AS
SELECT k.name AS key,
       g.grantee,
       g.context,
       g.per_minute,
       g.per_transaction,
       g.limit_action,
       g.locked_at,
       g.grant_id
FROM pgenvelope.key_grant g
JOIN pgenvelope.key k USING (key_id)
WHERE g.privilege = 'decrypt'
  AND g.grantee::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)
  AND (pg_catalog.pg_has_role(g.grantee::pg_catalog.oid, 'USAGE')
       OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

GRANT SELECT ON pgenvelope.limits TO PUBLIC;

COMMENT ON VIEW pgenvelope.limits IS
    'budgets and locks of grants to decrypt: one''s own, and for pg_monitor all';
