

-- ---------------------------------------------------------------------------
-- Rights: who may do what with a key, in which contexts.  Nobody may grant or
-- revoke until the administrator says so; the caller needs the key's privilege
-- grant or admin as well.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pgenvelope.grant_key(key text, privilege text, role regrole,
                                      context jsonb DEFAULT NULL,
                                      definer boolean DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_grant_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.revoke_key(key text, privilege text, role regrole,
                                       context jsonb DEFAULT NULL,
                                       all_contexts boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_revoke_key'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.grant_key(text, text, regrole, jsonb,
                                             boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.revoke_key(text, text, regrole, jsonb,
                                              boolean)
    FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.grant_key(text, text, regrole, jsonb,
                                          boolean) IS
    'grants a role a privilege on a key, in every context or some; false if it had it';
COMMENT ON FUNCTION pgenvelope.revoke_key(text, text, regrole, jsonb,
                                           boolean) IS
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
