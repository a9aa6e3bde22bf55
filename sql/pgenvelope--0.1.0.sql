\echo Use "CREATE EXTENSION pgenvelope" to load this file. \quit

-- pgenvelope: field-level envelope encryption.  docs/reference.md describes
-- every object; docs/format.md the bytes of the type.


-- ---------------------------------------------------------------------------
-- The type: an envelope-encrypted value
-- ---------------------------------------------------------------------------

CREATE TYPE @extschema@.envelope;

CREATE FUNCTION @extschema@.envelope_in(cstring)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_out(@extschema@.envelope)
RETURNS cstring
AS 'MODULE_PATHNAME', 'pgenvelope_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_recv(internal)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_send(@extschema@.envelope)
RETURNS bytea
AS 'MODULE_PATHNAME', 'pgenvelope_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_typanalyze(internal)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_typanalyze'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE TYPE @extschema@.envelope (
    INPUT = @extschema@.envelope_in,
    OUTPUT = @extschema@.envelope_out,
    RECEIVE = @extschema@.envelope_recv,
    SEND = @extschema@.envelope_send,
    ANALYZE = @extschema@.envelope_typanalyze,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = external,
    CATEGORY = 'U'
);

COMMENT ON TYPE @extschema@.envelope IS
    'envelope-encrypted value; input and output never encrypt or decrypt';
COMMENT ON FUNCTION @extschema@.envelope_in(cstring) IS 'I/O';
COMMENT ON FUNCTION @extschema@.envelope_out(@extschema@.envelope) IS 'I/O';
COMMENT ON FUNCTION @extschema@.envelope_recv(internal) IS 'I/O';
COMMENT ON FUNCTION @extschema@.envelope_send(@extschema@.envelope) IS 'I/O';
COMMENT ON FUNCTION @extschema@.envelope_typanalyze(internal) IS
    'statistics without sample values';

-- Equality compares what a rewrap may not change: two envelopes are equal if
-- one is the other, rewrapped.

CREATE FUNCTION @extschema@.envelope_eq(@extschema@.envelope,
                                        @extschema@.envelope)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_ne(@extschema@.envelope,
                                        @extschema@.envelope)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_hash(@extschema@.envelope)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_hash_extended(@extschema@.envelope,
                                                   bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR @extschema@.= (
    LEFTARG = @extschema@.envelope,
    RIGHTARG = @extschema@.envelope,
    FUNCTION = @extschema@.envelope_eq,
    COMMUTATOR = OPERATOR(@extschema@.=),
    NEGATOR = OPERATOR(@extschema@.<>),
    RESTRICT = eqsel,
    JOIN = eqjoinsel,
    HASHES
);

CREATE OPERATOR @extschema@.<> (
    LEFTARG = @extschema@.envelope,
    RIGHTARG = @extschema@.envelope,
    FUNCTION = @extschema@.envelope_ne,
    COMMUTATOR = OPERATOR(@extschema@.<>),
    NEGATOR = OPERATOR(@extschema@.=),
    RESTRICT = neqsel,
    JOIN = neqjoinsel
);

CREATE OPERATOR CLASS @extschema@.envelope_ops
DEFAULT FOR TYPE @extschema@.envelope USING hash AS
    OPERATOR 1 @extschema@.=,
    FUNCTION 1 @extschema@.envelope_hash(@extschema@.envelope),
    FUNCTION 2 @extschema@.envelope_hash_extended(@extschema@.envelope,
                                                  bigint);

COMMENT ON FUNCTION @extschema@.envelope_eq(@extschema@.envelope,
                                            @extschema@.envelope) IS
    'implementation of = operator';
COMMENT ON FUNCTION @extschema@.envelope_ne(@extschema@.envelope,
                                            @extschema@.envelope) IS
    'implementation of <> operator';
COMMENT ON FUNCTION @extschema@.envelope_hash(@extschema@.envelope) IS
    'hash of the sealed payload';
COMMENT ON FUNCTION @extschema@.envelope_hash_extended(@extschema@.envelope,
                                                       bigint) IS
    'hash of the sealed payload, with a seed';
COMMENT ON OPERATOR @extschema@.= (@extschema@.envelope,
                                   @extschema@.envelope) IS
    'same sealed payload, whatever key version wraps it';
COMMENT ON OPERATOR @extschema@.<> (@extschema@.envelope,
                                    @extschema@.envelope) IS
    'not the same sealed payload';
COMMENT ON OPERATOR CLASS @extschema@.envelope_ops USING hash IS
    'equality of sealed payloads';
COMMENT ON OPERATOR FAMILY @extschema@.envelope_ops USING hash IS
    'equality of sealed payloads';


-- ---------------------------------------------------------------------------
-- Keys: what is known of them.  The tables are the access control: a trigger
-- refuses writes by anybody but the extension's functions and the owner.
-- ---------------------------------------------------------------------------

CREATE SCHEMA pgenvelope;

COMMENT ON SCHEMA pgenvelope IS
    'pgenvelope: tables and views; the functions are in the schema that CREATE EXTENSION named';

CREATE TABLE pgenvelope.key (
    key_id           bigint PRIMARY KEY
                     CHECK (key_id BETWEEN 1 AND 281474976710655),
    name             text COLLATE "C" NOT NULL UNIQUE
                     CHECK (octet_length(name) BETWEEN 1 AND 63),
    required_context jsonb NOT NULL
                     CHECK (jsonb_typeof(required_context) = 'object'),
    created_at       timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by       text NOT NULL DEFAULT CURRENT_USER,
    rotate_every     interval CHECK (rotate_every > '0'::interval),
    purpose          text COLLATE "C" NOT NULL DEFAULT 'data'
                     CHECK (purpose IN ('data', 'audit')),
    dual_control     boolean NOT NULL DEFAULT false
);

-- One chain in a database.
CREATE UNIQUE INDEX key_audit ON pgenvelope.key (purpose)
    WHERE purpose = 'audit';

COMMENT ON TABLE pgenvelope.key IS 'keys, by name; written by env_create_key';
COMMENT ON COLUMN pgenvelope.key.key_id IS
    'random 48-bit number that every value of the key carries';
COMMENT ON COLUMN pgenvelope.key.name IS 'name, for people and calls';
COMMENT ON COLUMN pgenvelope.key.required_context IS
    'members that every encryption context must have; null: any value';
COMMENT ON COLUMN pgenvelope.key.created_at IS 'when it was created';
COMMENT ON COLUMN pgenvelope.key.created_by IS 'the role that created it';
COMMENT ON COLUMN pgenvelope.key.rotate_every IS
    'a new version is made this long after the last; null: when asked to';
COMMENT ON COLUMN pgenvelope.key.purpose IS
    'data: it encrypts; audit: it chains the audit, and seals no value';
COMMENT ON COLUMN pgenvelope.key.dual_control IS
    'whether a second person must approve what cannot be taken back';

CREATE TABLE pgenvelope.key_version (
    key_id         bigint NOT NULL REFERENCES pgenvelope.key,
    version        integer NOT NULL CHECK (version BETWEEN 1 AND 65535),
    state          text NOT NULL
                   CHECK (state IN ('pre_active', 'active', 'deactivated',
                                    'retired', 'destroyed')),
    provider       text NOT NULL,
    sealed_kek     bytea CHECK (octet_length(sealed_kek) BETWEEN 1 AND 4096),
    kcv            bytea NOT NULL CHECK (octet_length(kcv) = 16),
    root_key       text,
    created_at     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    activated_at   timestamptz,
    deactivated_at timestamptz,
    retired_at     timestamptz,
    destroyed_at   timestamptz,
    canary_percent integer,
    PRIMARY KEY (key_id, version),
    CHECK ((state = 'destroyed') = (sealed_kek IS NULL)),
    CHECK (canary_percent BETWEEN 0 AND 100),
    CHECK ((state = 'pre_active') = (canary_percent IS NOT NULL))
);

-- Read by every backend that meets a key: kept inline, and out of the
-- statistics that others can read.
ALTER TABLE pgenvelope.key_version
    ALTER COLUMN sealed_kek SET STORAGE PLAIN,
    ALTER COLUMN sealed_kek SET STATISTICS 0,
    ALTER COLUMN kcv SET STATISTICS 0;

CREATE UNIQUE INDEX key_version_active
    ON pgenvelope.key_version (key_id) WHERE state = 'active';
CREATE UNIQUE INDEX key_version_pre_active
    ON pgenvelope.key_version (key_id) WHERE state = 'pre_active';

COMMENT ON TABLE pgenvelope.key_version IS
    'key encryption keys, sealed by a provider''s root key';
COMMENT ON COLUMN pgenvelope.key_version.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.key_version.version IS 'counts from 1';
COMMENT ON COLUMN pgenvelope.key_version.state IS
    'pre_active, active, deactivated, retired or destroyed (NIST SP 800-57)';
COMMENT ON COLUMN pgenvelope.key_version.provider IS
    'name of the provider, one of the setting pgenvelope.providers';
COMMENT ON COLUMN pgenvelope.key_version.sealed_kek IS
    'the key encryption key, sealed by the provider''s root key';
COMMENT ON COLUMN pgenvelope.key_version.kcv IS
    'key-check value: tells a wrong key from a right one';
COMMENT ON COLUMN pgenvelope.key_version.root_key IS
    'fingerprint or version of the root key, as the provider names it';
COMMENT ON COLUMN pgenvelope.key_version.created_at IS 'when it was made';
COMMENT ON COLUMN pgenvelope.key_version.activated_at IS
    'when it last became active; null: never';
COMMENT ON COLUMN pgenvelope.key_version.deactivated_at IS
    'when it ceased to encrypt';
COMMENT ON COLUMN pgenvelope.key_version.retired_at IS
    'when it ceased to decrypt';
COMMENT ON COLUMN pgenvelope.key_version.destroyed_at IS
    'when its seals were erased';
COMMENT ON COLUMN pgenvelope.key_version.canary_percent IS
    'share of new values that a pre_active version encrypts';

-- Seals that are not in use: of before a change of root key or provider, kept
-- until the new ones have been read back.
CREATE TABLE pgenvelope.key_seal (
    key_id     bigint NOT NULL,
    version    integer NOT NULL,
    provider   text NOT NULL,
    sealed_kek bytea NOT NULL
               CHECK (octet_length(sealed_kek) BETWEEN 1 AND 4096),
    root_key   text,
    kept_since timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (key_id, version),
    FOREIGN KEY (key_id, version) REFERENCES pgenvelope.key_version
);

ALTER TABLE pgenvelope.key_seal
    ALTER COLUMN sealed_kek SET STORAGE PLAIN,
    ALTER COLUMN sealed_kek SET STATISTICS 0;

COMMENT ON TABLE pgenvelope.key_seal IS
    'former seals of key versions, kept until the new ones are read back';
COMMENT ON COLUMN pgenvelope.key_seal.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.key_seal.version IS 'the version';
COMMENT ON COLUMN pgenvelope.key_seal.provider IS
    'name of the provider that sealed it';
COMMENT ON COLUMN pgenvelope.key_seal.sealed_kek IS
    'the key encryption key, sealed by that provider''s root key';
COMMENT ON COLUMN pgenvelope.key_seal.root_key IS
    'fingerprint or version of that root key';
COMMENT ON COLUMN pgenvelope.key_seal.kept_since IS
    'when it was replaced';

-- A second seal of each version, by pgenvelope.escrow_provider.
CREATE TABLE pgenvelope.key_escrow (
    key_id     bigint NOT NULL,
    version    integer NOT NULL,
    provider   text NOT NULL,
    sealed_kek bytea NOT NULL
               CHECK (octet_length(sealed_kek) BETWEEN 1 AND 4096),
    root_key   text,
    sealed_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (key_id, version),
    FOREIGN KEY (key_id, version) REFERENCES pgenvelope.key_version
);

ALTER TABLE pgenvelope.key_escrow
    ALTER COLUMN sealed_kek SET STORAGE PLAIN,
    ALTER COLUMN sealed_kek SET STATISTICS 0;

COMMENT ON TABLE pgenvelope.key_escrow IS
    'second seals of key versions, for when their own provider is lost';
COMMENT ON COLUMN pgenvelope.key_escrow.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.key_escrow.version IS 'the version';
COMMENT ON COLUMN pgenvelope.key_escrow.provider IS
    'name of the provider that sealed it for escrow';
COMMENT ON COLUMN pgenvelope.key_escrow.sealed_kek IS
    'the key encryption key, sealed by that provider''s root key';
COMMENT ON COLUMN pgenvelope.key_escrow.root_key IS
    'fingerprint or version of that root key';
COMMENT ON COLUMN pgenvelope.key_escrow.sealed_at IS 'when it was sealed';

-- The last proof that no stored value needs a version.  Physical, as are the
-- tables of jobs: not dumped.
CREATE TABLE pgenvelope.key_proof (
    key_id      bigint NOT NULL,
    version     integer NOT NULL,
    proved_at   timestamptz NOT NULL,
    lsn         pg_lsn NOT NULL,
    tables      integer NOT NULL,
    values_read bigint NOT NULL,
    job_id      bigint,
    uncovered   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (key_id, version),
    FOREIGN KEY (key_id, version) REFERENCES pgenvelope.key_version
);

COMMENT ON TABLE pgenvelope.key_proof IS
    'the last proof, under one snapshot, that no value needs a key version';
COMMENT ON COLUMN pgenvelope.key_proof.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.key_proof.version IS
    'the version that no value needs';
COMMENT ON COLUMN pgenvelope.key_proof.proved_at IS
    'when the snapshot was taken';
COMMENT ON COLUMN pgenvelope.key_proof.lsn IS
    'a standby or slot that has replayed this has no such value either';
COMMENT ON COLUMN pgenvelope.key_proof.tables IS 'tables that were read';
COMMENT ON COLUMN pgenvelope.key_proof.values_read IS 'values that were read';
COMMENT ON COLUMN pgenvelope.key_proof.job_id IS
    'the job that took it; null: env_prove_key';
COMMENT ON COLUMN pgenvelope.key_proof.uncovered IS
    'places that it passed over: with any, it is not enough to retire';

CREATE TABLE pgenvelope.key_grant (
    grant_id   bigint PRIMARY KEY
               DEFAULT pg_catalog.hashtextextended(
                   pg_catalog.gen_random_uuid()::text, 0),
    key_id     bigint NOT NULL REFERENCES pgenvelope.key,
    privilege  text NOT NULL
               CHECK (privilege IN ('encrypt', 'decrypt', 'rewrap', 'rotate',
                                    'retire', 'grant', 'audit', 'admin')),
    grantee    regrole NOT NULL,
    context    jsonb
               CHECK (context IS NULL
                      OR (privilege IN ('encrypt', 'decrypt')
                          AND jsonb_typeof(context) = 'object')),
    definer    boolean NOT NULL DEFAULT true,
    granted_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    granted_by text NOT NULL DEFAULT CURRENT_USER
);

CREATE UNIQUE INDEX key_grant_once
    ON pgenvelope.key_grant (key_id, privilege, grantee,
                             COALESCE(context, 'null'::jsonb));

COMMENT ON TABLE pgenvelope.key_grant IS
    'who may do what with a key; written by env_grant and env_revoke';
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

CREATE FUNCTION pgenvelope.guard()
RETURNS trigger
AS 'MODULE_PATHNAME', 'pgenvelope_guard'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.guard() FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.guard() IS
    'refuses direct writes to the key tables, and tells every session of the others';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key_version
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key_grant
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key_seal
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key_escrow
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.key_proof
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');

-- The same for what logical replication applies, which fires no statement
-- triggers.
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key_version
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key_grant
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard();
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key_seal
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key_escrow
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.key_proof
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');

ALTER TABLE pgenvelope.key
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
ALTER TABLE pgenvelope.key_version
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
ALTER TABLE pgenvelope.key_grant
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
ALTER TABLE pgenvelope.key_seal
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
ALTER TABLE pgenvelope.key_escrow
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
ALTER TABLE pgenvelope.key_proof
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;

COMMENT ON TRIGGER guard ON pgenvelope.key IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER guard ON pgenvelope.key_version IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key_version IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER guard ON pgenvelope.key_grant IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key_grant IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER guard ON pgenvelope.key_seal IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key_seal IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER guard ON pgenvelope.key_escrow IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key_escrow IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER guard ON pgenvelope.key_proof IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.key_proof IS
    'refuses writes that fire no statement triggers';

-- Or env_revoke would fail where all tables are published.
ALTER TABLE pgenvelope.key_grant REPLICA IDENTITY FULL;

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_version', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_seal', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_escrow', '');
-- A role that was dropped would come back as a bare number, which may by then
-- be somebody else's.
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_grant',
    'WHERE grantee::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)');


-- ---------------------------------------------------------------------------
-- Encrypting and decrypting
-- ---------------------------------------------------------------------------

-- VOLATILE: every call makes another value.  Not STRICT: a NULL context is an
-- error, never a NULL result.

CREATE FUNCTION @extschema@.env_encrypt(plaintext text, context jsonb,
                                        key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_text'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_encrypt(plaintext bytea, context jsonb,
                                        key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_bytea'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_decrypt(value @extschema@.envelope,
                                        context jsonb,
                                        key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_decrypt_text'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_decrypt_bytea(value @extschema@.envelope,
                                              context jsonb,
                                              key text DEFAULT NULL)
RETURNS bytea
AS 'MODULE_PATHNAME', 'pgenvelope_decrypt_bytea'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_verify(value @extschema@.envelope,
                                       context jsonb)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_verify'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_reencrypt(value @extschema@.envelope,
                                          context jsonb)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_reencrypt'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_rebind(value @extschema@.envelope,
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
COMMENT ON FUNCTION @extschema@.env_decrypt(@extschema@.envelope, jsonb,
                                            text) IS
    'decrypts text, given the context it was encrypted with';
COMMENT ON FUNCTION @extschema@.env_decrypt_bytea(@extschema@.envelope,
                                                  jsonb, text) IS
    'decrypts to bytes, given the context it was encrypted with';
COMMENT ON FUNCTION @extschema@.env_verify(@extschema@.envelope, jsonb) IS
    'says whether a value opens: ok, or the category of the failure';
COMMENT ON FUNCTION @extschema@.env_reencrypt(@extschema@.envelope,
                                              jsonb) IS
    'decrypts and encrypts anew, with the active version of the same key';
COMMENT ON FUNCTION @extschema@.env_rebind(@extschema@.envelope, jsonb,
                                           jsonb) IS
    'moves a value from one context to another, on purpose';
COMMENT ON FUNCTION @extschema@.env_rewrap(@extschema@.envelope) IS
    'wraps the value''s data key anew, with the active version of its key';
COMMENT ON FUNCTION @extschema@.env_encrypt_column() IS
    'BEFORE ROW trigger: encrypts one column into another and nulls the first';


-- ---------------------------------------------------------------------------
-- Looking at values; none of these needs a key
-- ---------------------------------------------------------------------------

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

CREATE FUNCTION @extschema@.env_to_jwe(value @extschema@.envelope,
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
COMMENT ON FUNCTION @extschema@.env_to_jwe(@extschema@.envelope, jsonb,
                                           boolean) IS
    'the value as a JWE (RFC 7516), flattened or general JSON';
COMMENT ON FUNCTION @extschema@.env_from_jwe(jsonb) IS
    'the value that env_to_jwe made into a JWE';


-- ---------------------------------------------------------------------------
-- Keys.  Nobody may call these until the administrator says so; but for
-- creating and evicting, the caller needs a privilege on the key as well:
-- rotate, retire or, for env_reseal_keys, admin, which implies the others.
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.env_create_key(name text,
                                           provider text DEFAULT NULL,
                                           required_context jsonb
                                               DEFAULT NULL,
                                           grant_creator boolean
                                               DEFAULT true,
                                           dual_control boolean
                                               DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_create_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_rotate_key(name text,
                                           canary_percent integer
                                               DEFAULT NULL,
                                           rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_activate_key(name text,
                                             version integer DEFAULT NULL,
                                             canary_percent integer
                                                 DEFAULT NULL,
                                             rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_activate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_rollback_key(name text)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rollback_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_retire_key(name text, version integer,
                                           force boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_retire_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_restore_key(name text, version integer)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_restore_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_destroy_key(name text, version integer,
                                            confirm text,
                                            shred boolean DEFAULT false,
                                            OUT holder text,
                                            OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_destroy_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_schedule_rotation(name text, every interval)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_schedule_rotation'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_rotate_due()
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_due'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_reseal_keys(provider text DEFAULT NULL,
                                            key text DEFAULT NULL,
                                            from_escrow boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_reseal_keys'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_evict(name text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_evict'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_create_key(text, text, jsonb, boolean,
                                              boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rotate_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_activate_key(text, integer, integer,
                                                    boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rollback_key(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_retire_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_restore_key(text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_destroy_key(text, integer, text,
                                                   boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_schedule_rotation(text, interval)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rotate_due() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_reseal_keys(text, text, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_evict(text) FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_create_key(text, text, jsonb, boolean,
                                              boolean) IS
    'creates a key, sealed by a provider; returns its id';
COMMENT ON FUNCTION @extschema@.env_rotate_key(text, integer, boolean) IS
    'makes a new version of a key, active at once or on trial with a share of new values; returns its number';
COMMENT ON FUNCTION @extschema@.env_activate_key(text, integer, integer,
                                                 boolean) IS
    'activates a version of a key, or changes its share of new values; returns the active version';
COMMENT ON FUNCTION @extschema@.env_rollback_key(text) IS
    'ends the trial of a pre_active version, or returns to the version before the active one; returns the active version';
COMMENT ON FUNCTION @extschema@.env_retire_key(text, integer, boolean) IS
    'has a version decrypt no longer, once it is proved that no value needs it';
COMMENT ON FUNCTION @extschema@.env_restore_key(text, integer) IS
    'has a retired version decrypt again';
COMMENT ON FUNCTION @extschema@.env_destroy_key(text, integer, text,
                                                boolean) IS
    'erases every seal of a version, for good; returns what may still hold a copy';
COMMENT ON FUNCTION @extschema@.env_schedule_rotation(text, interval) IS
    'has a key rotated this long after its active version was activated; null: no longer';
COMMENT ON FUNCTION @extschema@.env_rotate_due() IS
    'rotates the keys whose time has come, as the workers do; returns how many';
COMMENT ON FUNCTION @extschema@.env_reseal_keys(text, text, boolean) IS
    'has keys sealed anew, by another provider or under the next root key';
COMMENT ON FUNCTION @extschema@.env_evict(text) IS
    'wipes cached keys of this database now; returns how many';


-- ---------------------------------------------------------------------------
-- Rewrapping: jobs, what they walk, and what failed.  Written with each batch,
-- in its transaction, so that a job resumes where it was.  They hold physical
-- positions and are not dumped.
-- ---------------------------------------------------------------------------

CREATE TABLE pgenvelope.rewrap_job (
    job_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('rewrap', 'reencrypt')),
    key_id         bigint NOT NULL REFERENCES pgenvelope.key,
    target_version integer NOT NULL,
    state          text NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'running', 'proving', 'paused',
                                    'complete', 'cancelled')),
    pass           integer NOT NULL DEFAULT 1,
    message        text,
    not_before     timestamptz NOT NULL DEFAULT '-infinity',
    created_at     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by     text NOT NULL DEFAULT CURRENT_USER,
    started_at     timestamptz,
    finished_at    timestamptz,
    waits_for      text[],
    waits_since    timestamptz,
    proves         integer[],
    left_behind    bigint,
    FOREIGN KEY (key_id, target_version) REFERENCES pgenvelope.key_version
);

-- One at a time: a second would undo what the first does.
CREATE UNIQUE INDEX rewrap_job_live ON pgenvelope.rewrap_job (key_id)
    WHERE state IN ('waiting', 'running', 'proving', 'paused');

COMMENT ON TABLE pgenvelope.rewrap_job IS
    'jobs that move the values of a key to one of its versions';
COMMENT ON COLUMN pgenvelope.rewrap_job.job_id IS 'number of the job';
COMMENT ON SEQUENCE pgenvelope.rewrap_job_job_id_seq IS 'numbers of jobs';
COMMENT ON COLUMN pgenvelope.rewrap_job.kind IS
    'rewrap: the data key is wrapped anew; reencrypt: the payload is sealed anew, too';
COMMENT ON COLUMN pgenvelope.rewrap_job.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.rewrap_job.target_version IS
    'the version that all its values are to have';
COMMENT ON COLUMN pgenvelope.rewrap_job.state IS
    'waiting, running, proving (reading every table once), paused, complete or cancelled';
COMMENT ON COLUMN pgenvelope.rewrap_job.pass IS
    'walk over all tables, from 1; the last one finds nothing';
COMMENT ON COLUMN pgenvelope.rewrap_job.message IS
    'why it is paused, or what it waits for';
COMMENT ON COLUMN pgenvelope.rewrap_job.not_before IS
    'nothing is done on it until then';
COMMENT ON COLUMN pgenvelope.rewrap_job.created_at IS 'when it was filed';
COMMENT ON COLUMN pgenvelope.rewrap_job.created_by IS 'the role that filed it';
COMMENT ON COLUMN pgenvelope.rewrap_job.started_at IS 'its first batch';
COMMENT ON COLUMN pgenvelope.rewrap_job.finished_at IS
    'when it was complete or cancelled';

COMMENT ON COLUMN pgenvelope.rewrap_job.waits_for IS
    'transactions that the proof waits for; null: it has not looked yet';
COMMENT ON COLUMN pgenvelope.rewrap_job.waits_since IS
    'start of the server whose transactions these are';
COMMENT ON COLUMN pgenvelope.rewrap_job.proves IS
    'versions that had ceased to encrypt before these transactions';
COMMENT ON COLUMN pgenvelope.rewrap_job.left_behind IS
    'values of other versions that the last proof found';

CREATE TABLE pgenvelope.rewrap_target (
    job_id       bigint NOT NULL REFERENCES pgenvelope.rewrap_job
                 ON DELETE CASCADE,
    relation     oid NOT NULL,
    attribute    smallint NOT NULL DEFAULT 0,
    name         text NOT NULL,
    columns      text[] NOT NULL,
    method       text NOT NULL CHECK (method IN ('update', 'inplace')),
    state        text NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'running', 'done', 'uncovered')),
    relfilenode  oid NOT NULL DEFAULT 0,
    next_block   bigint NOT NULL DEFAULT 0,
    total_blocks bigint NOT NULL DEFAULT 0,
    rows_seen    bigint NOT NULL DEFAULT 0,
    rewrapped    bigint NOT NULL DEFAULT 0,
    in_place     bigint NOT NULL DEFAULT 0,
    failed       bigint NOT NULL DEFAULT 0,
    busy         bigint NOT NULL DEFAULT 0,
    found        bigint NOT NULL DEFAULT 0,
    bytes        bigint NOT NULL DEFAULT 0,
    batches      bigint NOT NULL DEFAULT 0,
    busy_ms      bigint NOT NULL DEFAULT 0,
    started_at   timestamptz,
    updated_at   timestamptz,
    last_error   text,
    errors       integer NOT NULL DEFAULT 0,
    not_before   timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (job_id, relation, attribute)
);

COMMENT ON TABLE pgenvelope.rewrap_target IS
    'tables that a job walks: where it is, and what it did';
COMMENT ON COLUMN pgenvelope.rewrap_target.job_id IS 'the job';
COMMENT ON COLUMN pgenvelope.rewrap_target.relation IS
    'oid of the table; or, uncovered, of what else holds an envelope';
COMMENT ON COLUMN pgenvelope.rewrap_target.attribute IS
    'number of a column that is not covered, else 0';
COMMENT ON COLUMN pgenvelope.rewrap_target.name IS
    'its name when it was last looked at';
COMMENT ON COLUMN pgenvelope.rewrap_target.columns IS
    'columns that hold envelopes';
COMMENT ON COLUMN pgenvelope.rewrap_target.method IS 'update or inplace';
COMMENT ON COLUMN pgenvelope.rewrap_target.state IS
    'waiting, running, done (in this pass), or uncovered (see last_error)';
COMMENT ON COLUMN pgenvelope.rewrap_target.relfilenode IS
    'the file that next_block counts in; another one starts the table anew';
COMMENT ON COLUMN pgenvelope.rewrap_target.next_block IS
    'the first block that this pass has not read';
COMMENT ON COLUMN pgenvelope.rewrap_target.total_blocks IS
    'blocks when the pass began';
COMMENT ON COLUMN pgenvelope.rewrap_target.rows_seen IS
    'rows read, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.rewrapped IS
    'values moved to the target version, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.in_place IS
    'of these, those overwritten in place';
COMMENT ON COLUMN pgenvelope.rewrap_target.failed IS
    'values that failed, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.busy IS
    'values passed over in this pass, as somebody else was writing their row';
COMMENT ON COLUMN pgenvelope.rewrap_target.found IS
    'values of other versions found in this pass that did not fail';
COMMENT ON COLUMN pgenvelope.rewrap_target.bytes IS
    'bytes of rows and pages written, in all passes';
COMMENT ON COLUMN pgenvelope.rewrap_target.batches IS 'batches committed';
COMMENT ON COLUMN pgenvelope.rewrap_target.busy_ms IS
    'time spent in them, in milliseconds';
COMMENT ON COLUMN pgenvelope.rewrap_target.started_at IS
    'its first batch of this pass';
COMMENT ON COLUMN pgenvelope.rewrap_target.updated_at IS 'its last batch';
COMMENT ON COLUMN pgenvelope.rewrap_target.last_error IS
    'the last error of a batch, or why the table is not covered';
COMMENT ON COLUMN pgenvelope.rewrap_target.errors IS
    'batches that came to nothing since the last good one';
COMMENT ON COLUMN pgenvelope.rewrap_target.not_before IS
    'it is not tried again until then';

CREATE TABLE pgenvelope.rewrap_failure (
    job_id    bigint NOT NULL REFERENCES pgenvelope.rewrap_job
              ON DELETE CASCADE,
    relation  oid NOT NULL,
    attribute smallint NOT NULL,
    ctid_     tid NOT NULL,
    category  text NOT NULL,
    attempts  integer NOT NULL DEFAULT 1,
    first_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_at   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    next_try  timestamptz NOT NULL,
    PRIMARY KEY (job_id, relation, attribute, ctid_)
);

COMMENT ON TABLE pgenvelope.rewrap_failure IS
    'values that could not be moved, tried again ever more rarely';
COMMENT ON COLUMN pgenvelope.rewrap_failure.job_id IS 'the job';
COMMENT ON COLUMN pgenvelope.rewrap_failure.relation IS 'oid of the table';
COMMENT ON COLUMN pgenvelope.rewrap_failure.attribute IS
    'number of the column';
COMMENT ON COLUMN pgenvelope.rewrap_failure.ctid_ IS
    'where the row was';
COMMENT ON COLUMN pgenvelope.rewrap_failure.category IS
    'why, in the words of env_verify';
COMMENT ON COLUMN pgenvelope.rewrap_failure.attempts IS 'how often it failed';
COMMENT ON COLUMN pgenvelope.rewrap_failure.first_at IS 'when it first did';
COMMENT ON COLUMN pgenvelope.rewrap_failure.last_at IS 'when it last did';
COMMENT ON COLUMN pgenvelope.rewrap_failure.next_try IS
    'when it is tried again';

-- What the last proof counted, of all keys.
CREATE TABLE pgenvelope.census_count (
    relation  oid NOT NULL,
    attribute smallint NOT NULL,
    key_id    bigint NOT NULL,
    version   integer NOT NULL,
    count     bigint NOT NULL,
    taken_at  timestamptz NOT NULL,
    PRIMARY KEY (relation, attribute, key_id, version)
);

COMMENT ON TABLE pgenvelope.census_count IS
    'stored values by column and key version, as the last proof counted them';
COMMENT ON COLUMN pgenvelope.census_count.relation IS
    'oid of the table';
COMMENT ON COLUMN pgenvelope.census_count.attribute IS
    'number of the column';
COMMENT ON COLUMN pgenvelope.census_count.key_id IS
    'the key; 0: bytes that are no value';
COMMENT ON COLUMN pgenvelope.census_count.version IS
    'its version';
COMMENT ON COLUMN pgenvelope.census_count.count IS
    'how many values';
COMMENT ON COLUMN pgenvelope.census_count.taken_at IS
    'when the snapshot was taken';

-- What was said about a table: the method, and where the context of its
-- values comes from.
CREATE TABLE pgenvelope.rewrap_table (
    relation      regclass PRIMARY KEY,
    method        text NOT NULL DEFAULT 'update'
                  CHECK (method IN ('update', 'inplace')),
    contexts      jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(contexts) = 'object')
);

COMMENT ON TABLE pgenvelope.rewrap_table IS
    'how a table''s values are rewrapped; written by env_rewrap_method and env_rewrap_context';
COMMENT ON COLUMN pgenvelope.rewrap_table.relation IS 'the table';
COMMENT ON COLUMN pgenvelope.rewrap_table.method IS 'update or inplace';
COMMENT ON COLUMN pgenvelope.rewrap_table.contexts IS
    'for reencrypt, of each column: the members of its context, each member=column or member:literal';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.rewrap_job
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_job
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.rewrap_job
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.rewrap_job IS
    'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.rewrap_job IS
    'refuses writes that fire no statement triggers';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.rewrap_target
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_target
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.rewrap_target
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.rewrap_target IS
    'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.rewrap_target IS
    'refuses writes that fire no statement triggers';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.rewrap_failure
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_failure
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.rewrap_failure
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.rewrap_failure IS
    'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.rewrap_failure IS
    'refuses writes that fire no statement triggers';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.census_count
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.census_count
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.census_count
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.census_count IS
    'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.census_count IS
    'refuses writes that fire no statement triggers';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.rewrap_table
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_table
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.rewrap_table
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.rewrap_table IS
    'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.rewrap_table IS
    'refuses writes that fire no statement triggers';

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.rewrap_table',
    'WHERE relation::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_class)');


-- A publication of all tables sends jobs, too.  A subscriber has its own.

CREATE FUNCTION pgenvelope.keep_local()
RETURNS trigger
AS 'MODULE_PATHNAME', 'pgenvelope_keep_local'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.keep_local() FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.keep_local() IS
    'has logical replication pass over rows that concern another server';

CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.key_proof
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_job
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_target
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.rewrap_failure
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.census_count
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();

ALTER TABLE pgenvelope.census_count ENABLE REPLICA TRIGGER keep_local;
ALTER TABLE pgenvelope.key_proof ENABLE REPLICA TRIGGER keep_local;
ALTER TABLE pgenvelope.rewrap_job ENABLE REPLICA TRIGGER keep_local;
ALTER TABLE pgenvelope.rewrap_target ENABLE REPLICA TRIGGER keep_local;
ALTER TABLE pgenvelope.rewrap_failure ENABLE REPLICA TRIGGER keep_local;

COMMENT ON TRIGGER keep_local ON pgenvelope.key_proof IS
    'passes over what another server has done';
COMMENT ON TRIGGER keep_local ON pgenvelope.census_count IS
    'passes over what another server has done';
COMMENT ON TRIGGER keep_local ON pgenvelope.rewrap_job IS
    'passes over what another server has done';
COMMENT ON TRIGGER keep_local ON pgenvelope.rewrap_target IS
    'passes over what another server has done';
COMMENT ON TRIGGER keep_local ON pgenvelope.rewrap_failure IS
    'passes over what another server has done';

-- The caller needs the privilege rewrap or admin on the key; of a table's
-- method and contexts, its owner decides.

CREATE FUNCTION @extschema@.env_rewrap_start(key text,
                                             kind text DEFAULT 'rewrap',
                                             version integer DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_start'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_rewrap_pause(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_pause'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_resume(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_resume'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_cancel(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_cancel'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_retry(job bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_retry'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_step(
    job bigint,
    OUT step text,
    OUT wait_ms integer,
    OUT state text,
    OUT phase text,
    OUT relation text,
    OUT next_block bigint,
    OUT total_blocks bigint,
    OUT rows_seen bigint,
    OUT rewrapped bigint,
    OUT in_place bigint,
    OUT failed bigint,
    OUT busy bigint,
    OUT bytes bigint,
    OUT message text)
RETURNS record
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_step'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_method(relation regclass, method text)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_method'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_rewrap_context(relation regclass,
                                               "column" name,
                                               VARIADIC members text[]
                                                   DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_context'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_census(
    OUT relation regclass,
    OUT "column" name,
    OUT key text,
    OUT version integer,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_census'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_rewrap_start(text, text, integer)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_pause(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_resume(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_cancel(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_retry(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_step(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_method(regclass, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_rewrap_context(regclass, name, text[])
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_census() FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_rewrap_start(text, text, integer) IS
    'files a job that moves a key''s values to its active version; returns its number';
COMMENT ON FUNCTION @extschema@.env_rewrap_pause(bigint) IS
    'stops a job where it is; false if it was paused';
COMMENT ON FUNCTION @extschema@.env_rewrap_resume(bigint) IS
    'lets a paused job go on; false if it was not paused';
COMMENT ON FUNCTION @extschema@.env_rewrap_cancel(bigint) IS
    'ends a job; false if it had ended';
COMMENT ON FUNCTION @extschema@.env_rewrap_retry(bigint) IS
    'has a job try failed values again now, also if it is paused; returns how many';
COMMENT ON FUNCTION @extschema@.env_rewrap_step(bigint) IS
    'does one step of a job, as the worker does';
COMMENT ON FUNCTION @extschema@.env_rewrap_method(regclass, text) IS
    'sets how a table''s values are rewrapped: update or inplace';
COMMENT ON FUNCTION @extschema@.env_rewrap_context(regclass, name, text[]) IS
    'says where the context of a column''s values comes from, for reencrypt';
COMMENT ON FUNCTION @extschema@.env_census() IS
    'counts the stored values of every column by key version, now';


-- ---------------------------------------------------------------------------
-- Views
-- ---------------------------------------------------------------------------

CREATE VIEW pgenvelope.keys AS
SELECT k.name,
       v.version,
       v.state,
       v.provider,
       v.root_key,
       k.required_context,
       pg_catalog.lpad(pg_catalog.to_hex(k.key_id), 12, '0') AS key_id,
       v.created_at,
       v.activated_at,
       v.deactivated_at,
       v.retired_at,
       v.destroyed_at,
       v.canary_percent,
       k.rotate_every,
       e.provider AS escrow_provider,
       k.dual_control
FROM pgenvelope.key k
JOIN pgenvelope.key_version v USING (key_id)
LEFT JOIN pgenvelope.key_escrow e USING (key_id, version);

CREATE FUNCTION pgenvelope.stat(
    OUT keeper_pid integer,
    OUT keeper_starts bigint,
    OUT cached_keys integer,
    OUT cache_size integer,
    OUT memory_locked boolean,
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT seal_calls bigint,
    OUT unseal_calls bigint,
    OUT refreshes bigint,
    OUT failed_unavailable bigint,
    OUT failed_throttled bigint,
    OUT failed_denied bigint,
    OUT failed_not_found bigint,
    OUT failed_disabled bigint,
    OUT failed_integrity bigint,
    OUT failed_misconfigured bigint,
    OUT launcher_pid integer,
    OUT worker_starts bigint,
    OUT rewrap_batches bigint,
    OUT rewrap_rows bigint,
    OUT rewrapped bigint,
    OUT rewrapped_in_place bigint,
    OUT rewrap_failed bigint,
    OUT rewrap_busy bigint,
    OUT rewrap_bytes bigint,
    OUT rewrap_paced_ms bigint,
    OUT rewrap_lag_waits bigint,
    OUT alerts_honey bigint,
    OUT alerts_budget bigint,
    OUT alerts_locked bigint,
    OUT alerts_lost bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'pgenvelope_stat'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat AS SELECT * FROM pgenvelope.stat();

CREATE FUNCTION pgenvelope.rewrap_activity(
    OUT pid integer,
    OUT database oid,
    OUT job_id bigint,
    OUT phase text,
    OUT relation text,
    OUT done bigint,
    OUT total bigint,
    OUT rows_seen bigint,
    OUT rewrapped bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_activity'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.rewrap_progress AS
SELECT j.job_id,
       k.name AS key,
       j.kind,
       j.target_version,
       j.state,
       j.pass,
       t.name AS relation,
       t.method,
       t.state AS relation_state,
       t.next_block AS blocks_done,
       t.total_blocks,
       CASE WHEN t.state = 'uncovered' THEN NULL
            WHEN t.state = 'done' THEN 100
            WHEN t.total_blocks > 0
            THEN pg_catalog.round(100.0 * t.next_block / t.total_blocks, 1)
            ELSE 0
       END AS percent,
       t.rows_seen,
       t.rewrapped,
       t.in_place,
       t.failed,
       t.busy,
       t.bytes,
       t.batches,
       (t.rows_seen / NULLIF(GREATEST(
            t.busy_ms / 1000.0,
            extract(epoch FROM t.updated_at - t.started_at)), 0))::bigint
           AS rows_per_second,
       CASE WHEN t.state = 'running' AND j.state = 'running'
             AND t.next_block > 0
            THEN t.updated_at + (t.updated_at - t.started_at)
                 * ((t.total_blocks - t.next_block)::double precision
                    / t.next_block)
       END AS estimated_end,
       t.last_error,
       j.message,
       j.created_at,
       j.started_at,
       t.updated_at,
       j.finished_at
FROM pgenvelope.rewrap_job j
JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pgenvelope.rewrap_target t USING (job_id);

CREATE VIEW pgenvelope.rewrap_failures AS
SELECT f.job_id,
       k.name AS key,
       t.name AS relation,
       a.attname AS "column",
       f.ctid_ AS row_at,
       f.category,
       f.attempts,
       f.first_at,
       f.last_at,
       f.next_try
FROM pgenvelope.rewrap_failure f
JOIN pgenvelope.rewrap_job j USING (job_id)
JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pgenvelope.rewrap_target t
    ON t.job_id = f.job_id AND t.relation = f.relation AND t.attribute = 0
LEFT JOIN pg_catalog.pg_attribute a
    ON a.attrelid = f.relation AND a.attnum = f.attribute;

CREATE VIEW pgenvelope.census AS
SELECT c.relation::pg_catalog.regclass AS relation,
       a.attname AS "column",
       COALESCE(k.name,
                pg_catalog.lpad(pg_catalog.to_hex(c.key_id), 12, '0')) AS key,
       c.version,
       c.count,
       c.taken_at
FROM pgenvelope.census_count c
LEFT JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pg_catalog.pg_attribute a
    ON a.attrelid = c.relation AND a.attnum = c.attribute;

GRANT SELECT ON pgenvelope.rewrap_progress, pgenvelope.rewrap_failures,
    pgenvelope.census TO pg_monitor;

COMMENT ON VIEW pgenvelope.rewrap_progress IS
    'rewrap jobs and, of each, every table: how far it is, and what went wrong';
COMMENT ON VIEW pgenvelope.rewrap_failures IS
    'values that could not be rewrapped, and when they are tried again';
COMMENT ON VIEW pgenvelope.census IS
    'stored values by column and key version, as the last proof counted them';

REVOKE ALL ON FUNCTION pgenvelope.stat() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rewrap_activity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat() TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgenvelope.rewrap_activity() TO pg_monitor;
GRANT USAGE ON SCHEMA pgenvelope TO PUBLIC;
GRANT SELECT ON pgenvelope.keys, pgenvelope.stat TO pg_monitor;

COMMENT ON VIEW pgenvelope.keys IS
    'keys and their versions, without the sealed keys';
COMMENT ON FUNCTION pgenvelope.stat() IS
    'counters of the key cache, the keeper and the rewrap workers since the server started';
COMMENT ON VIEW pgenvelope.stat IS
    'counters of the key cache, the keeper and the rewrap workers since the server started';
COMMENT ON FUNCTION pgenvelope.rewrap_activity() IS
    'what rewrap workers, and sessions that count values, do now, in all databases';


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

-- Anybody may ask about themselves.

CREATE FUNCTION @extschema@.env_why_denied(
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

COMMENT ON FUNCTION @extschema@.env_why_denied(text, text, jsonb, regrole) IS
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


-- ---------------------------------------------------------------------------
-- Dual control: acts that a second person approves
-- ---------------------------------------------------------------------------

-- What was asked for, by whom, and what came of it.  The columns of names are
-- for people: roles are told apart by number, and by the three that a session
-- has, so that nobody approves their own request under another role.
CREATE TABLE pgenvelope.request (
    request_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id             bigint NOT NULL REFERENCES pgenvelope.key,
    operation          text NOT NULL,
    arguments          jsonb NOT NULL
                       CHECK (jsonb_typeof(arguments) = 'object'),
    subject            jsonb NOT NULL
                       CHECK (jsonb_typeof(subject) = 'object'),
    requested_at       timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    requester          oid NOT NULL,
    requester_session  oid NOT NULL,
    requester_login    oid NOT NULL,
    requested_by       text NOT NULL,
    requested_session  text NOT NULL,
    requested_login    text NOT NULL,
    requested_identity text,
    state              text NOT NULL DEFAULT 'pending'
                       CHECK (state IN ('pending', 'approved', 'rejected',
                                        'withdrawn')),
    decided_at         timestamptz,
    decided_by         text,
    decided_session    text,
    decided_login      text,
    decided_identity   text,
    reason             text CHECK (octet_length(reason) <= 1000),
    result             jsonb,
    CHECK ((state = 'pending') = (decided_at IS NULL)),
    CHECK ((state = 'pending') = (decided_by IS NULL))
);

CREATE INDEX request_pending ON pgenvelope.request (key_id)
    WHERE state = 'pending';

COMMENT ON TABLE pgenvelope.request IS
    'acts on keys under dual control: asked for, approved, rejected';
COMMENT ON SEQUENCE pgenvelope.request_request_id_seq IS
    'numbers of requests';
COMMENT ON COLUMN pgenvelope.request.request_id IS 'number of the request';
COMMENT ON COLUMN pgenvelope.request.key_id IS 'the key';
COMMENT ON COLUMN pgenvelope.request.operation IS
    'the function that was called';
COMMENT ON COLUMN pgenvelope.request.arguments IS
    'its arguments by name; one that is missing is null';
COMMENT ON COLUMN pgenvelope.request.subject IS
    'what they meant when it was filed; an approval is refused if it has changed';
COMMENT ON COLUMN pgenvelope.request.requested_at IS 'when it was filed';
COMMENT ON COLUMN pgenvelope.request.expires_at IS
    'from then on it cannot be approved';
COMMENT ON COLUMN pgenvelope.request.requester IS
    'the role by whose rights it was filed';
COMMENT ON COLUMN pgenvelope.request.requester_session IS
    'the session user of then';
COMMENT ON COLUMN pgenvelope.request.requester_login IS
    'the role that had logged in';
COMMENT ON COLUMN pgenvelope.request.requested_by IS
    'name of the role by whose rights it was filed';
COMMENT ON COLUMN pgenvelope.request.requested_session IS
    'name of the session user';
COMMENT ON COLUMN pgenvelope.request.requested_login IS
    'name of the role that had logged in';
COMMENT ON COLUMN pgenvelope.request.requested_identity IS
    'as whom the client had authenticated, and from 16 on how; null: not at all';
COMMENT ON COLUMN pgenvelope.request.state IS
    'pending, approved (and done), rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.decided_at IS
    'when it was approved, rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.decided_by IS
    'name of the role by whose rights it was decided';
COMMENT ON COLUMN pgenvelope.request.decided_session IS
    'name of the session user who decided';
COMMENT ON COLUMN pgenvelope.request.decided_login IS
    'name of the role that had logged in and decided';
COMMENT ON COLUMN pgenvelope.request.decided_identity IS
    'as whom that client had authenticated';
COMMENT ON COLUMN pgenvelope.request.reason IS
    'what was said when it was rejected or withdrawn';
COMMENT ON COLUMN pgenvelope.request.result IS
    'what the function returned when it was done';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.request
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.request
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
ALTER TABLE pgenvelope.request
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row;
COMMENT ON TRIGGER guard ON pgenvelope.request IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.request IS
    'refuses writes that fire no statement triggers';

-- Who may approve is of this server: requests are neither dumped nor taken
-- from a publisher.  Numbers are not used again after a restore.
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.request
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
ALTER TABLE pgenvelope.request ENABLE REPLICA TRIGGER keep_local;
COMMENT ON TRIGGER keep_local ON pgenvelope.request IS
    'passes over what another server has done';

SELECT pg_catalog.pg_extension_config_dump(
    'pgenvelope.request_request_id_seq', '');

CREATE FUNCTION @extschema@.env_require_approval(key text,
                                                 required boolean
                                                     DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_require_approval'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_approve(request bigint)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pgenvelope_approve'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION @extschema@.env_reject(request bigint,
                                       reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_reject'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_require_approval(text, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_approve(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_reject(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_require_approval(text, boolean) IS
    'puts a key under dual control; to end that is itself a request';
COMMENT ON FUNCTION @extschema@.env_approve(bigint) IS
    'does what another person has asked for; returns what that function returns';
COMMENT ON FUNCTION @extschema@.env_reject(bigint, text) IS
    'rejects a request, or withdraws one''s own';

CREATE FUNCTION pgenvelope.may_decide(key_id bigint, operation text,
                                      arguments jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_may_decide'
LANGUAGE C STABLE STRICT;

COMMENT ON FUNCTION pgenvelope.may_decide(bigint, text, jsonb) IS
    'whether the current user is entitled to approve such requests';

-- Everybody sees what they may decide or have asked for; monitoring sees all
-- requests, without the contexts of grants.
CREATE VIEW pgenvelope.requests WITH (security_barrier) AS
SELECT r.request_id,
       k.name AS key,
       r.operation,
       CASE WHEN m.decides OR m.asked THEN r.arguments
            ELSE r.arguments - 'context'
       END AS arguments,
       CASE WHEN r.state = 'pending'
             AND r.expires_at <= pg_catalog.clock_timestamp()
            THEN 'expired'
            ELSE r.state
       END AS state,
       r.requested_by,
       r.requested_session,
       r.requested_login,
       r.requested_identity,
       r.requested_at,
       r.expires_at,
       r.decided_by,
       r.decided_session,
       r.decided_login,
       r.decided_identity,
       r.decided_at,
       r.reason,
       r.result
FROM pgenvelope.request r
JOIN pgenvelope.key k USING (key_id)
CROSS JOIN LATERAL (
    SELECT pgenvelope.may_decide(r.key_id, r.operation, r.arguments)
               AS decides,
           COALESCE(pg_catalog.pg_has_role(r.requester, 'USAGE'), false)
               AS asked
) m
WHERE m.decides OR m.asked
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

GRANT SELECT ON pgenvelope.requests TO PUBLIC;

COMMENT ON VIEW pgenvelope.requests IS
    'requests for a second person''s approval, for those who may decide them, those who asked, and monitoring';


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
    'what was done to keys and rights, chained; env_audit_verify checks it';
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

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER guard_row
    AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.audit_log
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard('unannounced');
CREATE TRIGGER keep_local
    BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.audit_log
    FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local();
ALTER TABLE pgenvelope.audit_log
    ENABLE ALWAYS TRIGGER guard,
    ENABLE ALWAYS TRIGGER guard_row,
    ENABLE REPLICA TRIGGER keep_local;
COMMENT ON TRIGGER guard ON pgenvelope.audit_log IS 'refuses direct writes';
COMMENT ON TRIGGER guard_row ON pgenvelope.audit_log IS
    'refuses writes that fire no statement triggers';
COMMENT ON TRIGGER keep_local ON pgenvelope.audit_log IS
    'passes over what another server has done';

GRANT SELECT ON pgenvelope.audit_log TO pg_monitor;

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.audit_log', '');

CREATE FUNCTION @extschema@.env_create_audit_key(provider text DEFAULT NULL,
                                                 name text DEFAULT 'audit')
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_create_audit_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_audit_verify(
    OUT seq bigint,
    OUT finding text,
    OUT ok boolean,
    OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_audit_verify'
LANGUAGE C VOLATILE;

CREATE FUNCTION @extschema@.env_audit_accept_restore(reason text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_audit_accept_restore'
LANGUAGE C VOLATILE STRICT;

REVOKE ALL ON FUNCTION @extschema@.env_create_audit_key(text, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_audit_verify() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.env_audit_verify() TO pg_monitor;
REVOKE ALL ON FUNCTION @extschema@.env_audit_accept_restore(text)
    FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.env_create_audit_key(text, text) IS
    'creates the key that chains the audit''s log; returns its id';
COMMENT ON FUNCTION @extschema@.env_audit_verify() IS
    'checks the audit''s log: what was edited, deleted, moved, cut off or forged, and where';
COMMENT ON FUNCTION @extschema@.env_audit_accept_restore(text) IS
    'accepts, for good and in the log, that a restore has lost entries; returns how many';


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
    key_id     bigint NOT NULL REFERENCES pgenvelope.key,
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


-- ---------------------------------------------------------------------------
-- Health and statistics: what monitoring reads
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.env_health(
    OUT component text,
    OUT name text,
    OUT status text,
    OUT category text,
    OUT message text,
    OUT latency_ms bigint,
    OUT root_key text,
    OUT credential_expires timestamptz,
    OUT last_error text,
    OUT last_error_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_health'
LANGUAGE C VOLATILE;

-- For everybody: it asks nobody, says yes or no, and is no error where the
-- answer is no.
CREATE FUNCTION @extschema@.env_ready()
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_ready'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.env_health() TO pg_monitor;

COMMENT ON FUNCTION @extschema@.env_health() IS
    'what works and what does not: the keeper, the launcher, the cache, jobs, rotations, the audit, and each provider, asked now';
COMMENT ON FUNCTION @extschema@.env_ready() IS
    'whether this server can be sent work: the keeper runs, and keys can be had as far as is known';

CREATE FUNCTION pgenvelope.stat_providers(
    OUT provider text,
    OUT operation text,
    OUT calls bigint,
    OUT failed_unavailable bigint,
    OUT failed_throttled bigint,
    OUT failed_denied bigint,
    OUT failed_not_found bigint,
    OUT failed_disabled bigint,
    OUT failed_integrity bigint,
    OUT failed_misconfigured bigint,
    OUT total_ms bigint,
    OUT longest_ms bigint,
    OUT bounds double precision[],
    OUT counts bigint[],
    OUT last_success timestamptz,
    OUT last_failure timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_stat_providers'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat_providers AS
SELECT * FROM pgenvelope.stat_providers();

REVOKE ALL ON FUNCTION pgenvelope.stat_providers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat_providers() TO pg_monitor;
GRANT SELECT ON pgenvelope.stat_providers TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.stat_providers() IS
    'calls to each provider since the server started: how many, how long, how they failed';
COMMENT ON VIEW pgenvelope.stat_providers IS
    'calls to each provider since the server started: how many, how long, how they failed';

CREATE FUNCTION pgenvelope.stat_use(
    OUT database oid,
    OUT key_id bigint,
    OUT role oid,
    OUT operation text,
    OUT outcome text,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_stat_use'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat_use AS
SELECT d.datname AS database,
       COALESCE(k.name,
                pg_catalog.lpad(pg_catalog.to_hex(s.key_id), 12, '0')) AS key,
       COALESCE(r.rolname, s.role::pg_catalog.text) AS role,
       s.operation,
       s.outcome,
       s.count
FROM pgenvelope.stat_use() s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.database
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.role
LEFT JOIN pgenvelope.key k
    ON k.key_id = s.key_id AND d.datname = pg_catalog.current_database()
WHERE d.datname IS NOT NULL OR s.database IS NULL;

CREATE FUNCTION pgenvelope.stat_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_stat_reset'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.stat_use() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.stat_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat_use() TO pg_monitor;
GRANT SELECT ON pgenvelope.stat_use TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.stat_use() IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON VIEW pgenvelope.stat_use IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON FUNCTION pgenvelope.stat_reset() IS
    'sets the counts of stat_use and stat_providers to zero';


-- ---------------------------------------------------------------------------
-- Lint: what would leak or break.  docs/lint.md has every check under its
-- name.  One function for each subject; env_lint, as the owner, calls them.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pgenvelope.own_functions(
    OUT oid oid,
    OUT name name)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid, p.proname
    FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass
        AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid
    WHERE e.extname = 'pgenvelope'
$$;

CREATE FUNCTION pgenvelope.lint_server(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_lint_server'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.lint_log(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH redact (is_off) AS (
        SELECT current_setting('pgenvelope.redact_statements') = 'off'
    )
    SELECT 'error', 'redact_off', 'pgenvelope.redact_statements',
        'The server''s log shows statements with their plaintexts.',
        'Set it to calls.'
    FROM redact WHERE is_off
    UNION ALL
    SELECT 'warning', 'log_setting', s.name,
        format('Statements are logged (%s = %s), and not redacted.', s.name,
               s.setting),
        'Set pgenvelope.redact_statements to calls, or turn this off.'
    FROM pg_settings s, redact
    WHERE is_off
      AND (s.name, s.setting) IN
          (SELECT n.name, s.setting FROM (VALUES
              ('log_statement', 'none'),
              ('log_min_duration_statement', '-1'),
              ('log_min_duration_sample', '-1'),
              ('log_parameter_max_length_on_error', '0'),
              ('auto_explain.log_min_duration', '-1'),
              ('pgaudit.log', 'none')) AS n (name, quiet)
           WHERE s.setting <> n.quiet)
    UNION ALL
    SELECT 'info', 'log_first_statement', 'log_statement',
        'Statements are logged before they run: one that leads to pgenvelope '
        'in a way that the server does not know yet is logged whole.',
        'Set log_statement to none or ddl, or '
        'pgenvelope.redact_statements to all.'
    FROM redact
    WHERE NOT is_off
      AND current_setting('pgenvelope.redact_statements') <> 'all'
      AND current_setting('log_statement') IN ('mod', 'all')
    UNION ALL
    SELECT 'info', 'names_not_learned', 'pgenvelope.rewrap_workers',
        'There are no workers here, so after a start the log does not know '
        'which functions, views and tables lead to pgenvelope until they are '
        'used.',
        'Set it to 1 or more; on a standby, have no statements logged.'
    WHERE current_setting('pgenvelope.rewrap_workers') = '0'
       OR pg_is_in_recovery()
    UNION ALL
    SELECT 'info', 'hook_after_ours', 'shared_preload_libraries',
        'Modules are loaded after pgenvelope: if one has a log hook, that '
        'sees messages before they are redacted.',
        'Put pgenvelope last.'
    FROM regexp_split_to_array(
            current_setting('shared_preload_libraries'), '\s*,\s*') AS l (names)
    WHERE 'pgenvelope' = ANY (l.names)
      AND l.names[array_upper(l.names, 1)] <> 'pgenvelope'
    UNION ALL
    SELECT 'warning', 'statements_kept', 'pg_stat_statements.track_utility',
        'pg_stat_statements keeps DO, COPY (query) and other utility '
        'statements with their literals.',
        'Turn it off.'
    WHERE current_setting('pg_stat_statements.track_utility', true) = 'on'
    UNION ALL
    SELECT 'info', 'activity_shown', 'track_activities',
        'pg_stat_activity shows running statements to their role, to '
        'pg_read_all_stats and to superusers.',
        'Send plaintexts as parameters, or turn this off.'
    WHERE current_setting('track_activities') = 'on'
$$;

CREATE FUNCTION pgenvelope.lint_settings(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'maintenance_decrypt',
        'pgenvelope.allow_maintenance_decrypt',
        'Plaintext is stored by ANALYZE, REFRESH MATERIALIZED VIEW and '
        'CREATE INDEX.',
        'Turn it off; set it in the session that needs it.'
    WHERE current_setting('pgenvelope.allow_maintenance_decrypt') = 'on'
    UNION ALL
    SELECT 'warning', 'stored_context', 'pgenvelope.store_context',
        'New values hold their encryption context, readable.',
        'Turn it off, unless contexts may be read by whoever reads the rows.'
    WHERE current_setting('pgenvelope.store_context') = 'on'
    UNION ALL
    SELECT 'warning', 'audit_off', 'pgenvelope.audit',
        'Nothing of what is done with keys is told.',
        'Set it to admin, failures, decrypts or all.'
    WHERE current_setting('pgenvelope.audit') = 'off'
    UNION ALL
    SELECT o.severity, o."check",
        concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname),
        format('%s is off here.', o.name),
        'Reset it with ALTER ROLE or ALTER DATABASE ... RESET.'
    FROM (VALUES ('error', 'redact_off', 'pgenvelope.redact_statements'),
                 ('warning', 'audit_off', 'pgenvelope.audit'))
        AS o (severity, "check", name)
    JOIN pg_db_role_setting s
        ON o.name || '=off' = ANY (lower(s.setconfig::text)::text[])
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
    UNION ALL
    SELECT 'warning', 'not_encrypted', 'ssl',
        'The server listens for remote clients without TLS: plaintexts, '
        'parameters and tokens cross the network readable.',
        'Turn ssl on, and use hostssl in pg_hba.conf.'
    WHERE current_setting('ssl') = 'off'
      AND EXISTS (
        SELECT FROM regexp_split_to_table(
            current_setting('listen_addresses'), '\s*,\s*') AS a (address)
        WHERE a.address NOT IN ('', 'localhost', '::1')
          AND a.address !~ '^127[.]')
$$;

CREATE FUNCTION pgenvelope.lint_triggers(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH ours AS (
        SELECT t.tgrelid, t.tgname, t.tgenabled, n.nspname, c.relname,
            format('%I.%I', n.nspname, c.relname) AS relation,
            CASE WHEN position('\x00'::bytea IN t.tgargs) > 1
                 THEN convert_from(substring(t.tgargs FOR
                          position('\x00'::bytea IN t.tgargs) - 1),
                      getdatabaseencoding())
            END AS source
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pgenvelope.own_functions() f ON f.oid = t.tgfoid
        WHERE f.name = 'env_encrypt_column'
    )
    SELECT 'error', 'trigger_disabled', format('%s.%I', relation, tgname),
        'The trigger is disabled: plaintexts are stored as they are.',
        format('ALTER TABLE %s ENABLE TRIGGER %I;', relation, tgname)
    FROM ours WHERE tgenabled = 'D'
    UNION ALL
    SELECT 'error', 'plaintext_left', format('%s.%I', relation, source),
        'Rows hold plaintext in the source column of env_encrypt_column, '
        'and so do its statistics.',
        format('UPDATE %s SET %2$I = %2$I WHERE %2$I IS NOT NULL; then '
               'VACUUM FULL and ANALYZE it.', relation, source)
    FROM ours
    JOIN pg_stats s ON s.schemaname = nspname AND s.tablename = relname
        AND s.attname = source
    WHERE s.null_frac < 1
    UNION ALL
    SELECT 'info', 'trigger_before_ours', format('%s.%I', relation, t.tgname),
        format('This trigger fires before %I and is given the plaintext.',
               ours.tgname),
        'Have it not quote the row in errors; or rename it to sort later.'
    FROM ours
    JOIN pg_trigger t ON t.tgrelid = ours.tgrelid AND NOT t.tgisinternal
        AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0
        AND t.tgname < ours.tgname
    WHERE t.tgfoid NOT IN (SELECT f.oid FROM pgenvelope.own_functions() f)
    UNION ALL
    SELECT 'warning', 'twin_column',
        format('%I.%I.%I', n.nspname, c.relname, b.attname),
        format('Column %I holds values beside the encrypted column %I: it '
               'may be its plaintext.', b.attname, a.attname),
        'Drop it once the values have been encrypted, and VACUUM FULL.'
    FROM pg_attribute a
    JOIN pg_type y ON y.oid = a.atttypid
    JOIN pg_proc i ON i.oid = y.typinput
    JOIN pgenvelope.own_functions() f ON f.oid = i.oid
        AND f.name = 'envelope_in'
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute b ON b.attrelid = a.attrelid AND b.attnum > 0
        AND NOT b.attisdropped AND b.attnum <> a.attnum
    JOIN pg_type z ON z.oid = b.atttypid AND z.typcategory IN ('S', 'U')
        AND z.oid <> y.oid
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
        AND s.attname = b.attname
    WHERE a.attnum > 0 AND NOT a.attisdropped
      AND s.null_frac < 1
      AND (b.attname IN (a.attname || '_plain', a.attname || '_plaintext',
                         a.attname || '_clear')
           OR a.attname IN (b.attname || '_enc', b.attname || '_encrypted',
                            b.attname || '_envelope', b.attname || '_sealed'))
      AND NOT EXISTS (SELECT FROM ours o WHERE o.tgrelid = a.attrelid
                      AND o.source = b.attname)
$$;

CREATE FUNCTION pgenvelope.lint_objects(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH ours AS (SELECT oid, name FROM pgenvelope.own_functions()),
    decrypting AS (
        SELECT oid FROM ours WHERE name IN ('env_decrypt', 'env_decrypt_bytea')
    ),
    used AS (
        SELECT DISTINCT d.classid, d.objid
        FROM pg_depend d
        WHERE d.refclassid = 'pg_proc'::regclass
          AND d.refobjid IN (SELECT oid FROM decrypting)
    )
    SELECT 'error', 'plaintext_stored', c.oid::regclass::text,
        'This materialized view stores what env_decrypt returns.',
        'Make it a view, or drop it.'
    FROM used u
    JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
    JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'm'
    UNION ALL
    SELECT 'warning', 'decrypt_in_rule', format('%s.%I', c.oid::regclass,
                                                r.rulename),
        'This rule decrypts: what it writes may be plaintext.',
        'Drop it, or see to what it stores.'
    FROM used u
    JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
        AND r.ev_type <> '1'
    JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT 'warning', 'decrypt_in_constraint',
        format('%s.%I', k.conrelid::regclass, k.conname),
        'This constraint decrypts: whoever writes rows needs the right to '
        'decrypt, and a dump cannot be restored without the key.',
        'Check the plaintext before it is encrypted.'
    FROM used u
    JOIN pg_constraint k ON u.classid = 'pg_constraint'::regclass
        AND k.oid = u.objid
    UNION ALL
    SELECT 'error', 'decrypt_in_statistics', s.stxname::text,
        'ANALYZE would store plaintexts in pg_statistic_ext_data.',
        format('DROP STATISTICS %I.%I;', n.nspname, s.stxname)
    FROM used u
    JOIN pg_statistic_ext s ON u.classid = 'pg_statistic_ext'::regclass
        AND s.oid = u.objid
    JOIN pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'warning', 'literal_in_default',
        format('%s.%I', a.attrelid::regclass, a.attname),
        'The default of this column calls env_encrypt: a literal in it is '
        'in the catalog and in every dump.',
        'Encrypt in the application or in a trigger.'
    FROM pg_depend d
    JOIN ours o ON d.refclassid = 'pg_proc'::regclass AND o.oid = d.refobjid
        AND o.name = 'env_encrypt'
    JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    UNION ALL
    SELECT 'error', 'immutable_wrapper', p.oid::regprocedure::text,
        'This function decrypts and claims to be immutable: an index, a '
        'generated column or statistics over it store plaintext.',
        format('ALTER FUNCTION %s STABLE;', p.oid::regprocedure)
    FROM pg_proc p
    WHERE p.provolatile = 'i'
      AND p.oid NOT IN (SELECT oid FROM ours)
      AND (p.prosrc ~* '\menv_decrypt(_bytea)?\M'
           OR EXISTS (SELECT FROM used u
                      WHERE u.classid = 'pg_proc'::regclass
                        AND u.objid = p.oid))
    UNION ALL
    SELECT CASE WHEN p.pronamespace = e.extnamespace THEN 'error'
                ELSE 'warning' END,
        'overload', p.oid::regprocedure::text,
        'This function has the name of one of pgenvelope''s: calls may reach '
        'it, with plaintexts.',
        format('DROP FUNCTION %s; or call functions by their schema.',
               p.oid::regprocedure)
    FROM pg_proc p, pg_extension e
    WHERE e.extname = 'pgenvelope'
      AND p.proname IN (SELECT name FROM ours WHERE name ~ '^env_')
      AND p.oid NOT IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'warning', 'schema_writable', n.nspname::text,
        format('%s may create functions in the schema of pgenvelope''s: an '
               'overload that fits a call better would be given plaintexts.',
               CASE WHEN a.grantee = 0 THEN 'Everybody'
                    ELSE 'Role ' || a.grantee::regrole END),
        format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname,
               CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                    ELSE a.grantee::regrole::text END)
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace,
        aclexplode(n.nspacl) a
    WHERE e.extname = 'pgenvelope'
      AND a.privilege_type = 'CREATE'
      AND a.grantee <> n.nspowner
      AND a.grantee <> e.extowner
$$;

CREATE FUNCTION pgenvelope.lint_rights(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'public_function', p.oid::regprocedure::text,
        'Everybody may execute this function of administrators.',
        format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC;',
               p.oid::regprocedure)
    FROM pgenvelope.own_functions() f
    JOIN pg_proc p ON p.oid = f.oid
    JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass
        AND i.objoid = p.oid AND i.objsubid = 0
    WHERE EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)
      AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) a
                      WHERE a.grantee = 0)
    UNION ALL
    SELECT 'error', 'public_table', c.oid::regclass::text,
        'Everybody has rights on this table.',
        format('REVOKE ALL ON %s FROM PUBLIC;', c.oid::regclass)
    FROM pg_class c
    WHERE c.relnamespace = 'pgenvelope'::regnamespace
      AND c.relkind = 'r'
      AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
      AND NOT EXISTS (
        SELECT FROM pg_init_privs i, aclexplode(i.initprivs) a
        WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
          AND a.grantee = 0)
    UNION ALL
    SELECT DISTINCT 'warning', 'dropped_grantee',
        format('key %s, role %s', k.name, g.grantee::oid),
        format('The role that held %s was dropped; the number may be given '
               'to another.', g.privilege),
        format('SELECT env_revoke(%L, %L, %L, all_contexts => true);',
               k.name, g.privilege, g.grantee::oid)
    FROM pgenvelope.key_grant g
    JOIN pgenvelope.key k USING (key_id)
    WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.grantee::oid)
    UNION ALL
    SELECT DISTINCT 'warning', 'superuser_grant',
        format('key %s, role %s', k.name, r.rolname),
        'A superuser holds the privilege decrypt.',
        format('SELECT env_revoke(%L, ''decrypt'', %L, all_contexts => true); '
               'and create keys with grant_creator => false.', k.name,
               r.rolname)
    FROM pgenvelope.key_grant g
    JOIN pgenvelope.key k USING (key_id)
    JOIN pg_roles r ON r.oid = g.grantee::oid
    WHERE g.privilege = 'decrypt' AND r.rolsuper
    UNION ALL
    SELECT CASE WHEN b.rolname = 'pg_read_all_data' THEN 'info'
                ELSE 'warning' END,
        'bypass_role', format('role %s', r.rolname),
        format('It is a member of %s, and may read %s.', b.rolname,
               CASE WHEN b.rolname = 'pg_read_all_data'
                    THEN 'the sealed keys'
                    ELSE 'or write what the server''s user may, such as a '
                         'file of a root key' END),
        format('REVOKE %I FROM %I;', b.rolname, r.rolname)
    FROM pg_roles r
    JOIN pg_roles b ON b.rolname IN ('pg_read_server_files',
        'pg_write_server_files', 'pg_execute_server_program',
        'pg_read_all_data')
        AND b.oid <> r.oid
        AND pg_has_role(r.oid, b.oid, 'MEMBER')
    WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'
$$;

CREATE FUNCTION pgenvelope.lint_keys(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'warning', 'no_audit_key', 'pgenvelope.audit_log',
        'There is no audit key: what is done to keys and rights is not '
        'recorded in this database.',
        'SELECT env_create_audit_key();'
    WHERE EXISTS (SELECT FROM pgenvelope.key)
      AND NOT EXISTS (SELECT FROM pgenvelope.key WHERE purpose = 'audit')
    UNION ALL
    SELECT 'warning', 'no_row_member', format('key %s', k.name),
        CASE WHEN k.required_context = '{}'
             THEN 'It takes any context, an empty one too: values can be '
                  'moved anywhere.'
             ELSE 'Its required context names no member that tells rows '
                  'apart: a writer of rows can exchange values of a tenant.'
        END,
        'Require a member with the row''s key, such as "id": null.'
    FROM pgenvelope.key k
    WHERE k.purpose = 'data'
      AND NOT EXISTS (
        SELECT FROM jsonb_each(k.required_context) m
        WHERE m.value = 'null' AND m.key NOT IN ('tenant', 'type'))
    UNION ALL
    SELECT 'warning', 'rotation_overdue', format('key %s', k.name),
        format('It was to be rotated %s.',
               to_char(v.activated_at + k.rotate_every, 'YYYY-MM-DD')),
        'See the server''s log for why it was not; SELECT env_rotate_due();'
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'active'
      AND v.activated_at + k.rotate_every
          < statement_timestamp() - interval '1 hour'
    UNION ALL
    SELECT 'info', 'never_rotated', format('key %s', k.name),
        'Its active version is older than a year, and it has no schedule.',
        format('SELECT env_schedule_rotation(%L, ''1 year'');', k.name)
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'active' AND k.rotate_every IS NULL
      AND v.activated_at < statement_timestamp() - interval '1 year'
    UNION ALL
    SELECT 'warning', 'no_proof',
        format('key %s, version %s', k.name, v.version),
        'It was deactivated a week ago or more, and there is no proof that '
        'no value needs it.',
        format('See pgenvelope.rewrap_progress; SELECT env_rewrap_start(%L);',
               k.name)
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'deactivated'
      AND v.deactivated_at < statement_timestamp() - interval '7 days'
      AND NOT EXISTS (
        SELECT FROM pgenvelope.key_proof p
        WHERE p.key_id = v.key_id AND p.version = v.version
          AND p.proved_at > v.deactivated_at AND p.uncovered = 0)
    UNION ALL
    SELECT CASE WHEN current_setting('pgenvelope.escrow_provider') = ''
                THEN 'info' ELSE 'warning' END,
        'no_escrow', format('key %s, version %s', k.name, v.version),
        'There is no second seal: if its provider is lost, so are its '
        'values.',
        'Set pgenvelope.escrow_provider; SELECT env_reseal_keys();'
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state <> 'destroyed'
      AND NOT EXISTS (
        SELECT FROM pgenvelope.key_escrow e
        WHERE e.key_id = v.key_id AND e.version = v.version)
$$;

-- What tenants who share a role and its connections can leave for one another.
CREATE FUNCTION pgenvelope.lint_sharing(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH bound AS (
        SELECT DISTINCT r.oid, r.rolname
        FROM pgenvelope.key_grant g
        JOIN pg_roles e ON e.oid = g.grantee::oid
        JOIN pg_roles r ON pg_has_role(r.oid, e.oid, 'USAGE')
        WHERE g.privilege IN ('encrypt', 'decrypt')
          AND g.context @? '$.*.session'
          AND NOT r.rolsuper
    )
    SELECT 'warning', 'shared_temporary', format('role %s', b.rolname),
        'Its grants are bound to the session, and it may make temporary '
        'objects: they stay on the connection, and are found before all '
        'others in the next tenant''s transaction.',
        format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, %I;', d.datname,
               b.rolname)
    FROM bound b
    JOIN pg_database d ON d.datname = current_database()
    WHERE has_database_privilege(b.oid, d.oid, 'TEMPORARY')
    UNION ALL
    SELECT 'warning', 'shared_schema',
        format('role %s, schema %s', b.rolname, n.nspname),
        'Its grants are bound to the session, and it may create functions, '
        'operators and tables there, for the next tenant to step into.',
        format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I;', n.nspname,
               b.rolname)
    FROM bound b
    JOIN pg_namespace n ON n.nspname !~ '^pg_'
    WHERE has_schema_privilege(b.oid, n.oid, 'CREATE')
    UNION ALL
    SELECT 'warning', 'shared_schema',
        format('role %s, database %s', b.rolname, d.datname),
        'Its grants are bound to the session, and it may create schemas.',
        format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I;', d.datname,
               b.rolname)
    FROM bound b
    JOIN pg_database d ON d.datname = current_database()
    WHERE has_database_privilege(b.oid, d.oid, 'CREATE')
    UNION ALL
    SELECT 'warning', 'shared_ownership', format('role %s', b.rolname),
        format('Its grants are bound to the session, and it owns %s objects '
               'of this database: one tenant can alter them under another.',
               count(*)),
        'Have another role own them: REASSIGN OWNED BY.'
    FROM bound b
    JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass
        AND s.refobjid = b.oid AND s.deptype = 'o'
        AND s.dbid = (SELECT d.oid FROM pg_database d
                      WHERE d.datname = current_database())
    GROUP BY b.rolname
$$;

-- Keys that need a second person, and whether there is one.
CREATE FUNCTION pgenvelope.lint_approval(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH approver AS (
        SELECT DISTINCT k.key_id, r.oid, r.rolname, r.rolcreaterole
        FROM pgenvelope.key k
        JOIN pgenvelope.key_grant g
            ON g.key_id = k.key_id AND g.privilege = 'admin'
        JOIN pg_roles e ON e.oid = g.grantee::oid
        JOIN pg_roles r ON pg_has_role(r.oid, e.oid, 'USAGE')
        JOIN pgenvelope.own_functions() f ON f.name = 'env_approve'
        WHERE k.dual_control AND r.rolcanlogin AND NOT r.rolsuper
          AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    )
    SELECT 'warning', 'one_approver', format('key %s', k.name),
        format('It is under dual control, and %s: requests are left to '
               'superusers, or expire.',
               CASE count(a.oid) WHEN 0 THEN 'nobody who can log in may '
                                             'approve'
                                 ELSE 'only ' || min(a.rolname) || ' can log '
                                      'in and approve' END),
        'Grant admin on it, and EXECUTE on env_approve, to two who log in as '
        'themselves.'
    FROM pgenvelope.key k
    LEFT JOIN approver a USING (key_id)
    WHERE k.dual_control
    GROUP BY k.key_id, k.name
    HAVING count(a.oid) < 2
    UNION ALL
    SELECT 'warning', 'two_in_one',
        format('key %s, role %s', k.name, a.rolname),
        CASE WHEN a.rolcreaterole
             THEN 'It may approve for a key under dual control, and make '
                  'roles: it can be the second person, too.'
             ELSE 'It may approve for a key under dual control, and let '
                  'others in: it can be the second person, too.' END,
        'Take CREATEROLE, and ADMIN OPTION on the administrators'' group, '
        'from who approves.'
    FROM approver a
    JOIN pgenvelope.key k USING (key_id)
    WHERE a.rolcreaterole
       OR EXISTS (
        SELECT FROM pgenvelope.key_grant g
        JOIN pg_roles e ON e.oid = g.grantee::oid
        WHERE g.key_id = k.key_id AND g.privilege = 'admin'
          AND a.oid <> e.oid
          AND pg_has_role(a.oid, e.oid, 'MEMBER WITH ADMIN OPTION'))
    UNION ALL
    SELECT 'info', 'no_dual_control', 'keys for values',
        format('%s of %s are not under dual control: one administrator can '
               'destroy them, and let anybody decrypt.',
               count(*) FILTER (WHERE NOT k.dual_control), count(*)),
        'See docs/operations.md, Two persons; env_require_approval().'
    FROM pgenvelope.key k
    WHERE k.purpose = 'data'
    HAVING NOT bool_and(k.dual_control)
$$;

-- The catalogs and the key tables, whole: it runs as its owner.
CREATE FUNCTION @extschema@.env_lint(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.* FROM (
        SELECT * FROM pgenvelope.lint_server()
        UNION ALL SELECT * FROM pgenvelope.lint_log()
        UNION ALL SELECT * FROM pgenvelope.lint_settings()
        UNION ALL SELECT * FROM pgenvelope.lint_triggers()
        UNION ALL SELECT * FROM pgenvelope.lint_objects()
        UNION ALL SELECT * FROM pgenvelope.lint_rights()
        UNION ALL SELECT * FROM pgenvelope.lint_sharing()
        UNION ALL SELECT * FROM pgenvelope.lint_approval()
        UNION ALL SELECT * FROM pgenvelope.lint_keys()) l
    ORDER BY position(l.severity IN 'error warning info'), l."check",
        l.object, l.message
$$;

REVOKE ALL ON FUNCTION pgenvelope.own_functions() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_server() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_log() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_settings() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_triggers() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_objects() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_rights() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_sharing() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_approval() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_keys() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.env_lint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.env_lint() TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.own_functions() IS
    'the extension''s functions';
COMMENT ON FUNCTION pgenvelope.lint_server() IS
    'part of env_lint: files, memory and providers';
COMMENT ON FUNCTION pgenvelope.lint_log() IS
    'part of env_lint: what is logged or shown of statements';
COMMENT ON FUNCTION pgenvelope.lint_settings() IS
    'part of env_lint: other settings';
COMMENT ON FUNCTION pgenvelope.lint_triggers() IS
    'part of env_lint: env_encrypt_column, and plaintext beside it';
COMMENT ON FUNCTION pgenvelope.lint_objects() IS
    'part of env_lint: what else decrypts, or is taken for ours';
COMMENT ON FUNCTION pgenvelope.lint_rights() IS
    'part of env_lint: roles and their rights';
COMMENT ON FUNCTION pgenvelope.lint_sharing() IS
    'part of env_lint: what tenants who share connections leave for each other';
COMMENT ON FUNCTION pgenvelope.lint_approval() IS
    'part of env_lint: keys that need a second person, and whether there is one';
COMMENT ON FUNCTION pgenvelope.lint_keys() IS
    'part of env_lint: keys and their versions';
COMMENT ON FUNCTION @extschema@.env_lint() IS
    'what would leak or break, how badly, why, and what to do';
