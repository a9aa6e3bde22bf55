

-- ---------------------------------------------------------------------------
-- Rights: who may do what with a key, in which contexts and how often.  A
-- budget and a lock are the grant's own, so that they are dumped, replicated
-- and revoked with it.
-- ---------------------------------------------------------------------------

CREATE TABLE pgenvelope.key_grant (
    grant_id        bigint PRIMARY KEY
                    DEFAULT pg_catalog.hashtextextended(
                        pg_catalog.gen_random_uuid()::text, 0::bigint),
    key_id          bigint NOT NULL,
    privilege       text NOT NULL
                    CHECK (privilege IN ('encrypt', 'decrypt', 'rewrap',
                                         'rotate', 'retire', 'grant', 'audit',
                                         'admin')),
    grantee         regrole NOT NULL,
    context         jsonb
                    CHECK (context IS NULL
                           OR (privilege IN ('encrypt', 'decrypt')
                               AND jsonb_typeof(context) = 'object')),
    definer         boolean NOT NULL DEFAULT true,
    granted_at      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    granted_by      text NOT NULL DEFAULT CURRENT_USER,
    per_minute      integer CHECK (per_minute > 0),
    per_transaction integer CHECK (per_transaction > 0),
    limit_action    text CHECK (limit_action IN ('deny', 'report')),
    locked_at       timestamptz,
    CONSTRAINT key_grant_limit_check
        CHECK ((limit_action IS NULL) = (per_minute IS NULL
                                         AND per_transaction IS NULL)),
    CONSTRAINT key_grant_decrypt_check
        CHECK (privilege = 'decrypt'
               OR (limit_action IS NULL AND locked_at IS NULL))
);

CREATE UNIQUE INDEX key_grant_once
    ON pgenvelope.key_grant (key_id, privilege, grantee,
                             COALESCE(context, 'null'::jsonb));

COMMENT ON TABLE pgenvelope.key_grant IS
    'who may do what with a key; written by pgenvelope.grant_key and pgenvelope.revoke_key';
COMMENT ON COLUMN pgenvelope.key_grant.grant_id IS
    'random number of the grant, which no subscriber gives to another';
COMMENT ON COLUMN pgenvelope.key_grant.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.key_grant.privilege IS
    'encrypt, decrypt, rewrap, rotate, retire, grant, audit or admin';
COMMENT ON COLUMN pgenvelope.key_grant.grantee IS 'the role';
COMMENT ON COLUMN pgenvelope.key_grant.context IS
    'the contexts that the grant is limited to; null: every context';
COMMENT ON COLUMN pgenvelope.key_grant.definer IS
    'whether SECURITY DEFINER functions may use it for callers who lack it';
COMMENT ON COLUMN pgenvelope.key_grant.granted_at IS 'when it was granted';
COMMENT ON COLUMN pgenvelope.key_grant.granted_by IS
    'the role that granted it';
COMMENT ON COLUMN pgenvelope.key_grant.per_minute IS
    'decrypt: how many values may be opened by it in a minute; null: any number';
COMMENT ON COLUMN pgenvelope.key_grant.per_transaction IS
    'decrypt: how many values may be opened by it in a transaction; null: any number';
COMMENT ON COLUMN pgenvelope.key_grant.limit_action IS
    'whether values beyond that are refused (deny) or raise an alert only (report)';
COMMENT ON COLUMN pgenvelope.key_grant.locked_at IS
    'when it was locked, since a honey value was opened by it; null: it is not';

-- Or pgenvelope.revoke_key would fail where all tables are published.
ALTER TABLE pgenvelope.key_grant REPLICA IDENTITY FULL;

-- A role that was dropped would come back as a bare number, which may by then
-- be somebody else's.
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_grant',
    'WHERE grantee::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)');

-- Nobody may grant or revoke until the administrator says so; the caller needs
-- the key's privilege grant or admin as well.

CREATE FUNCTION pgenvelope.grant_key(
    key text,
    privilege text,
    role regrole,
    context jsonb DEFAULT NULL,
    definer boolean DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_grant_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.revoke_key(
    key text,
    privilege text,
    role regrole,
    context jsonb DEFAULT NULL,
    all_contexts boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_revoke_key'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION
    pgenvelope.grant_key(text, text, regrole, jsonb, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION
    pgenvelope.revoke_key(text, text, regrole, jsonb, boolean)
    FROM PUBLIC;

COMMENT ON FUNCTION
    pgenvelope.grant_key(text, text, regrole, jsonb, boolean) IS
    'grants a role a privilege on a key, in every context or some; false if it had it';
COMMENT ON FUNCTION
    pgenvelope.revoke_key(text, text, regrole, jsonb, boolean) IS
    'takes a grant away, or all of a privilege; false if there was none';

-- Anybody may ask about themselves.

CREATE FUNCTION pgenvelope.why_denied(
    key text,
    privilege text,
    context jsonb DEFAULT NULL,
    role regrole DEFAULT NULL,
    OUT grantee regrole,
    OUT held_privilege text,
    OUT allowed boolean,
    OUT reason text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_why_denied'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION pgenvelope.why_denied(text, text, jsonb, regrole) IS
    'what each grant of a privilege is to a role, in a context, and why it does not help';

-- Behind a barrier: a condition of the reader's is not shown others' contexts.
CREATE VIEW pgenvelope.grants WITH (security_barrier) AS
SELECT k.name AS key,
       g.privilege,
       g.grantee,
       g.context,
       g.definer,
       g.granted_at,
       g.granted_by,
       g.grant_id
FROM pgenvelope.key_grant g
JOIN pgenvelope.key k USING (key_id)
WHERE g.grantee::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)
  AND (pg_catalog.pg_has_role(g.grantee::pg_catalog.oid, 'USAGE')
       OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

GRANT SELECT ON pgenvelope.grants TO PUBLIC;

COMMENT ON VIEW pgenvelope.grants IS
    'who may do what with which key: one''s own grants, and for pg_monitor all';

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
    'honey values, that raise an alert when they are decrypted; written by pgenvelope.mark_honey';
COMMENT ON COLUMN pgenvelope.honey.key_id IS 'the key of the value';
COMMENT ON COLUMN pgenvelope.honey.mark IS
    'a MAC under the value''s own data key: which value it is of, only who can unwrap that can tell';
COMMENT ON COLUMN pgenvelope.honey.lock_grant IS
    'whether the grants are locked of the role that decrypts it';
COMMENT ON COLUMN pgenvelope.honey.note IS
    'what the alert is to say of it, or null';
COMMENT ON COLUMN pgenvelope.honey.created_at IS 'when it was marked';
COMMENT ON COLUMN pgenvelope.honey.created_by IS 'the role that marked it';

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.honey', '');

CREATE FUNCTION pgenvelope.limit_grant(
    key text,
    role regrole,
    context jsonb DEFAULT NULL,
    per_minute integer DEFAULT NULL,
    per_transaction integer DEFAULT NULL,
    action text DEFAULT 'deny')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_limit_grant'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.unlock_grant(key text, role regrole)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_unlock_grant'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.mark_honey(
    value @extschema@.envelope,
    context jsonb,
    lock boolean DEFAULT false,
    note text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_mark_honey'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.unmark_honey(
    value @extschema@.envelope,
    context jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_unmark_honey'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION
    pgenvelope.limit_grant(text, regrole, jsonb, integer, integer, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.unlock_grant(text, regrole) FROM PUBLIC;
REVOKE ALL ON FUNCTION
    pgenvelope.mark_honey(@extschema@.envelope, jsonb, boolean, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.unmark_honey(@extschema@.envelope, jsonb)
    FROM PUBLIC;

COMMENT ON FUNCTION
    pgenvelope.limit_grant(text, regrole, jsonb, integer, integer, text) IS
    'sets how many values a role may decrypt by a grant in a minute and in a transaction';
COMMENT ON FUNCTION pgenvelope.unlock_grant(text, regrole) IS
    'unlocks the grants by which a role may decrypt; returns how many were locked';
COMMENT ON FUNCTION
    pgenvelope.mark_honey(@extschema@.envelope, jsonb, boolean, text) IS
    'marks a value whose decryption raises an alert, and may lock the grant; false if it was marked';
COMMENT ON FUNCTION pgenvelope.unmark_honey(@extschema@.envelope, jsonb) IS
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
