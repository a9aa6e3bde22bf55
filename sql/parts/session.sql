

-- ---------------------------------------------------------------------------
-- Sessions: who a pooled connection speaks for
-- ---------------------------------------------------------------------------

-- For everybody: what is bound is what somebody with a key has signed.
CREATE FUNCTION @extschema@.env_bind_session(
    token text,
    scope text DEFAULT 'transaction'
) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgenvelope_bind_session';

CREATE FUNCTION @extschema@.env_unbind_session() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgenvelope_unbind_session';

COMMENT ON FUNCTION @extschema@.env_bind_session(text, text) IS
    'binds the transaction, or session, to the context that a signed token gives it';
COMMENT ON FUNCTION @extschema@.env_unbind_session() IS
    'ends what env_bind_session began';
