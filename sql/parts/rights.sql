

-- ---------------------------------------------------------------------------
-- Rights: who may do what with a key, in which contexts.  Nobody may grant or
-- revoke until the administrator says so; the caller needs the key's privilege
-- grant or admin as well.
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.env_grant(key text, privilege text, role regrole,
                                      context jsonb DEFAULT NULL,
                                      definer boolean DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_grant'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_revoke(key text, privilege text, role regrole,
                                       context jsonb DEFAULT NULL,
                                       all_contexts boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_revoke'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_grant(text, text, regrole, jsonb,
                                             boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_revoke(text, text, regrole, jsonb,
                                              boolean)
    FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_grant(text, text, regrole, jsonb,
                                          boolean) IS
    'grants a role a privilege on a key, in every context or some; false if it had it';
COMMENT ON FUNCTION @extschema@.env_revoke(text, text, regrole, jsonb,
                                           boolean) IS
    'takes a grant away, or all of a privilege; false if there was none';
