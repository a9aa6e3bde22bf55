

-- ---------------------------------------------------------------------------
-- Values: encrypting, decrypting, looking at them
-- ---------------------------------------------------------------------------

-- VOLATILE: every call makes another value.  Not STRICT: a NULL context is an
-- error, never a NULL result.

CREATE FUNCTION @extschema@.env_encrypt(
    plaintext text,
    context jsonb,
    key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_text'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_encrypt(
    plaintext bytea,
    context jsonb,
    key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_bytea'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

-- By a name of its own, for drivers that leave a parameter's type open.
CREATE FUNCTION @extschema@.env_encrypt_bytea(
    plaintext bytea,
    context jsonb,
    key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_bytea'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_decrypt(
    value @extschema@.envelope,
    context jsonb,
    key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_decrypt_text'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_decrypt_bytea(
    value @extschema@.envelope,
    context jsonb,
    key text DEFAULT NULL)
RETURNS bytea
AS 'MODULE_PATHNAME', 'pgenvelope_decrypt_bytea'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_try_decrypt(
    value @extschema@.envelope,
    context jsonb,
    key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_try_decrypt'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_verify(
    value @extschema@.envelope,
    context jsonb)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_verify'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_reencrypt(
    value @extschema@.envelope,
    context jsonb)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_reencrypt'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_rebind(
    value @extschema@.envelope,
    old_context jsonb,
    new_context jsonb)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_rebind'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

-- STABLE, as env_decrypt: the same value and active version make the same
-- bytes.  STRICT: there is no context that could be NULL.
CREATE FUNCTION @extschema@.env_rewrap(value @extschema@.envelope)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_encrypt_column()
RETURNS trigger
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_column'
LANGUAGE C VOLATILE COST 1000;

COMMENT ON FUNCTION @extschema@.env_encrypt(text, jsonb, text) IS
    'encrypts text, bound to a context, with the named or default key';
COMMENT ON FUNCTION @extschema@.env_encrypt(bytea, jsonb, text) IS
    'encrypts bytes, bound to a context, with the named or default key';
COMMENT ON FUNCTION @extschema@.env_encrypt_bytea(bytea, jsonb, text) IS
    'encrypts bytes, bound to a context, with the named or default key';
COMMENT ON FUNCTION
    @extschema@.env_decrypt(@extschema@.envelope, jsonb, text) IS
    'decrypts text, given the context it was encrypted with';
COMMENT ON FUNCTION
    @extschema@.env_decrypt_bytea(@extschema@.envelope, jsonb, text) IS
    'decrypts to bytes, given the context it was encrypted with';
COMMENT ON FUNCTION
    @extschema@.env_try_decrypt(@extschema@.envelope, jsonb, text) IS
    'decrypts text; null where the value does not open in the context, or its key version may not be used';
COMMENT ON FUNCTION @extschema@.env_verify(@extschema@.envelope, jsonb) IS
    'says whether a value opens: ok, or the category of the failure';
COMMENT ON FUNCTION @extschema@.env_reencrypt(@extschema@.envelope, jsonb) IS
    'decrypts and encrypts anew, with the active version of the same key';
COMMENT ON FUNCTION
    @extschema@.env_rebind(@extschema@.envelope, jsonb, jsonb) IS
    'moves a value from one context to another, on purpose';
COMMENT ON FUNCTION @extschema@.env_rewrap(@extschema@.envelope) IS
    'wraps the value''s data key anew, with the active version of its key';
COMMENT ON FUNCTION @extschema@.env_encrypt_column() IS
    'BEFORE ROW trigger: encrypts one column into another and nulls the first';

-- Looking at values; none of these needs a key.

CREATE FUNCTION @extschema@.env_inspect(value @extschema@.envelope)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pgenvelope_inspect'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.env_key(value @extschema@.envelope)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_key'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.env_key_version(value @extschema@.envelope)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_key_version'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.env_to_jwe(
    value @extschema@.envelope,
    context jsonb,
    general boolean DEFAULT false)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pgenvelope_to_jwe'
LANGUAGE C STABLE PARALLEL SAFE;

CREATE FUNCTION @extschema@.env_from_jwe(jwe jsonb)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_from_jwe'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION @extschema@.env_inspect(@extschema@.envelope) IS
    'what can be read of a value without its key';
COMMENT ON FUNCTION @extschema@.env_key(@extschema@.envelope) IS
    'name of the value''s key, NULL if this database has no such key';
COMMENT ON FUNCTION @extschema@.env_key_version(@extschema@.envelope) IS
    'version of the key that wraps the value';
COMMENT ON FUNCTION
    @extschema@.env_to_jwe(@extschema@.envelope, jsonb, boolean) IS
    'the value as a JWE (RFC 7516), flattened or general JSON';
COMMENT ON FUNCTION @extschema@.env_from_jwe(jsonb) IS
    'the value that env_to_jwe made into a JWE';

-- Sessions: who a pooled connection speaks for.  For everybody: what is bound
-- is what somebody with a key has signed.
CREATE FUNCTION @extschema@.env_bind_session(
    token text,
    scope text DEFAULT 'transaction')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_bind_session'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.env_unbind_session()
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_unbind_session'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION @extschema@.env_bind_session(text, text) IS
    'binds the transaction, or session, to the context that a signed token gives it';
COMMENT ON FUNCTION @extschema@.env_unbind_session() IS
    'ends what env_bind_session began';
