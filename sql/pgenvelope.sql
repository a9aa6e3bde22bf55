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
--
-- No foreign keys between tables that pg_dump dumps: it writes no order
-- between their data, and a parallel restore loads them at once.  The trigger
-- guard_row refuses to delete what others refer to; pgenvelope.orphans shows
-- what a partial restore has left without its key.
-- ---------------------------------------------------------------------------

CREATE SCHEMA pgenvelope;

COMMENT ON SCHEMA pgenvelope IS
    'pgenvelope: keys, rights, jobs and audit, and the functions that administer and report; what is called for each value is in the schema that CREATE EXTENSION named';

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

COMMENT ON TABLE pgenvelope.key IS 'keys, by name; written by pgenvelope.create_key';
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
    key_id         bigint NOT NULL,
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
    PRIMARY KEY (key_id, version)
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
    PRIMARY KEY (key_id, version)
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
    PRIMARY KEY (key_id, version)
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
    'the job that took it';
COMMENT ON COLUMN pgenvelope.key_proof.uncovered IS
    'places that it passed over: with any, it is not enough to retire';

CREATE TABLE pgenvelope.key_grant (
    grant_id   bigint PRIMARY KEY
               DEFAULT pg_catalog.hashtextextended(
                   pg_catalog.gen_random_uuid()::text, 0::bigint),
    key_id     bigint NOT NULL,
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

-- Or pgenvelope.revoke_key would fail where all tables are published.
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

-- By a name of its own, for drivers that leave a parameter's type open.
CREATE FUNCTION @extschema@.env_encrypt_bytea(plaintext bytea, context jsonb,
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

CREATE FUNCTION @extschema@.env_try_decrypt(value @extschema@.envelope,
                                            context jsonb,
                                            key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_try_decrypt'
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
COMMENT ON FUNCTION @extschema@.env_encrypt_bytea(bytea, jsonb, text) IS
    'encrypts bytes, bound to a context, with the named or default key';
COMMENT ON FUNCTION @extschema@.env_decrypt(@extschema@.envelope, jsonb,
                                            text) IS
    'decrypts text, given the context it was encrypted with';
COMMENT ON FUNCTION @extschema@.env_decrypt_bytea(@extschema@.envelope,
                                                  jsonb, text) IS
    'decrypts to bytes, given the context it was encrypted with';
COMMENT ON FUNCTION @extschema@.env_try_decrypt(@extschema@.envelope, jsonb,
                                                text) IS
    'decrypts text; null where the value does not open in the context, or its key version may not be used';
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
-- rotate, retire or, for pgenvelope.reseal_keys, admin, which implies the others.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pgenvelope.create_key(name text,
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

CREATE FUNCTION pgenvelope.rotate_key(name text,
                                           canary_percent integer
                                               DEFAULT NULL,
                                           rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.activate_key(name text,
                                             version integer DEFAULT NULL,
                                             canary_percent integer
                                                 DEFAULT NULL,
                                             rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_activate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.rollback_key(name text)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rollback_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.retire_key(name text, version integer,
                                           force boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_retire_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.restore_key(name text, version integer)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_restore_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.destroy_key(name text, version integer,
                                            confirm text,
                                            shred boolean DEFAULT false,
                                            OUT holder text,
                                            OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_destroy_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.schedule_rotation(name text, every interval)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_schedule_rotation'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.rotate_due_keys()
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_due_keys'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.reseal_keys(provider text DEFAULT NULL,
                                            key text DEFAULT NULL,
                                            from_escrow boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_reseal_keys'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.evict_key(name text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_evict_key'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.create_key(text, text, jsonb, boolean,
                                              boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rotate_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.activate_key(text, integer, integer,
                                                    boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rollback_key(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.retire_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.restore_key(text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.destroy_key(text, integer, text,
                                                   boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.schedule_rotation(text, interval)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rotate_due_keys() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.reseal_keys(text, text, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.evict_key(text) FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.create_key(text, text, jsonb, boolean,
                                              boolean) IS
    'creates a key, sealed by a provider; returns its id';
COMMENT ON FUNCTION pgenvelope.rotate_key(text, integer, boolean) IS
    'makes a new version of a key, active at once or on trial with a share of new values; returns its number';
COMMENT ON FUNCTION pgenvelope.activate_key(text, integer, integer,
                                                 boolean) IS
    'activates a version of a key, or changes its share of new values; returns the active version';
COMMENT ON FUNCTION pgenvelope.rollback_key(text) IS
    'ends the trial of a pre_active version, or returns to the version before the active one; returns the active version';
COMMENT ON FUNCTION pgenvelope.retire_key(text, integer, boolean) IS
    'has a version decrypt no longer, once it is proved that no value needs it';
COMMENT ON FUNCTION pgenvelope.restore_key(text, integer) IS
    'has a retired version decrypt again';
COMMENT ON FUNCTION pgenvelope.destroy_key(text, integer, text,
                                                boolean) IS
    'erases every seal of a version, for good; returns what may still hold a copy';
COMMENT ON FUNCTION pgenvelope.schedule_rotation(text, interval) IS
    'has a key rotated this long after its active version was activated; null: no longer';
COMMENT ON FUNCTION pgenvelope.rotate_due_keys() IS
    'rotates the keys whose time has come, as the workers do; returns how many';
COMMENT ON FUNCTION pgenvelope.reseal_keys(text, text, boolean) IS
    'has keys sealed anew, by another provider or under the next root key';
COMMENT ON FUNCTION pgenvelope.evict_key(text) IS
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
    lost_workers   integer NOT NULL DEFAULT 0,
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
COMMENT ON COLUMN pgenvelope.rewrap_job.lost_workers IS
    'workers in a row that ended at it without a word, whatever ended them';

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
    'how a table''s values are rewrapped; written by pgenvelope.set_rewrap_method and pgenvelope.set_rewrap_context';
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

CREATE FUNCTION pgenvelope.start_rewrap(key text,
                                             kind text DEFAULT 'rewrap',
                                             version integer DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_start_rewrap'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.pause_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_pause_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.resume_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_resume_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.cancel_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_cancel_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.retry_rewrap(job bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_retry_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.step_rewrap(
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
AS 'MODULE_PATHNAME', 'pgenvelope_step_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.set_rewrap_method(relation regclass, method text)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_method'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.set_rewrap_context(relation regclass,
                                               "column" name,
                                               VARIADIC members text[]
                                                   DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_context'
LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope.take_census(
    OUT relation regclass,
    OUT "column" name,
    OUT key text,
    OUT version integer,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_take_census'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.start_rewrap(text, text, integer)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.pause_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.resume_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.cancel_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.retry_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.step_rewrap(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.set_rewrap_method(regclass, text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.set_rewrap_context(regclass, name, text[])
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.take_census() FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.start_rewrap(text, text, integer) IS
    'files a job that moves a key''s values to its active version; returns its number';
COMMENT ON FUNCTION pgenvelope.pause_rewrap(bigint) IS
    'stops a job where it is; false if it was paused';
COMMENT ON FUNCTION pgenvelope.resume_rewrap(bigint) IS
    'lets a paused job go on; false if it was not paused';
COMMENT ON FUNCTION pgenvelope.cancel_rewrap(bigint) IS
    'ends a job; false if it had ended';
COMMENT ON FUNCTION pgenvelope.retry_rewrap(bigint) IS
    'has a job try failed values again now, also if it is paused; returns how many';
COMMENT ON FUNCTION pgenvelope.step_rewrap(bigint) IS
    'does one step of a job, as the worker does';
COMMENT ON FUNCTION pgenvelope.set_rewrap_method(regclass, text) IS
    'sets how a table''s values are rewrapped: update or inplace';
COMMENT ON FUNCTION pgenvelope.set_rewrap_context(regclass, name, text[]) IS
    'says where the context of a column''s values comes from, for reencrypt';
COMMENT ON FUNCTION pgenvelope.take_census() IS
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
            THEN pg_catalog.round(100.0 * t.next_block::numeric
                                  / t.total_blocks::numeric, 1)
            ELSE 0
       END AS percent,
       t.rows_seen,
       t.rewrapped,
       t.in_place,
       t.failed,
       t.busy,
       t.bytes,
       t.batches,
       (t.rows_seen::numeric / NULLIF(GREATEST(
            t.busy_ms::numeric / 1000.0,
            extract(epoch FROM t.updated_at - t.started_at)), 0.0))::bigint
           AS rows_per_second,
       CASE WHEN t.state = 'running' AND j.state = 'running'
             AND t.next_block > 0
            THEN t.updated_at + (t.updated_at - t.started_at)
                 * ((t.total_blocks - t.next_block)::double precision
                    / t.next_block::double precision)
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
