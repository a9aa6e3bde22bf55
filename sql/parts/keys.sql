

-- ---------------------------------------------------------------------------
-- Keys: what is known of them.  The tables are the access control: a trigger
-- (guard.sql) refuses writes by anybody but the extension's functions and the
-- owner.
--
-- No foreign keys between tables that pg_dump dumps: it writes no order
-- between their data, and a parallel restore loads them at once.  The trigger
-- guard_row refuses to delete what others refer to; pgenvelope.orphans shows
-- what a partial restore has left without its key.
-- ---------------------------------------------------------------------------

CREATE SCHEMA pgenvelope;

COMMENT ON SCHEMA pgenvelope IS
    'pgenvelope: keys, rights, jobs and audit, and the functions that administer and report; what is called for each value is in the schema that CREATE EXTENSION named';

GRANT USAGE ON SCHEMA pgenvelope TO PUBLIC;

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

COMMENT ON TABLE pgenvelope.key IS
    'keys, by name; written by pgenvelope.create_key';
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

SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_version', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_seal', '');
SELECT pg_catalog.pg_extension_config_dump('pgenvelope.key_escrow', '');

-- Nobody may call these until the administrator says so; but for creating and
-- evicting, the caller needs a privilege on the key as well: rotate, retire
-- or, for pgenvelope.reseal_keys, admin, which implies the others.

CREATE FUNCTION pgenvelope.create_key(
    name text,
    provider text DEFAULT NULL,
    required_context jsonb DEFAULT NULL,
    grant_creator boolean DEFAULT true,
    dual_control boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_create_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.rotate_key(
    name text,
    canary_percent integer DEFAULT NULL,
    rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.activate_key(
    name text,
    version integer DEFAULT NULL,
    canary_percent integer DEFAULT NULL,
    rewrap boolean DEFAULT true)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_activate_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.rollback_key(name text)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rollback_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.retire_key(
    name text,
    version integer,
    force boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_retire_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.restore_key(name text, version integer)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_restore_key'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.destroy_key(
    name text,
    version integer,
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

CREATE FUNCTION pgenvelope.reseal_keys(
    provider text DEFAULT NULL,
    key text DEFAULT NULL,
    from_escrow boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_reseal_keys'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.evict_key(name text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_evict_key'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION
    pgenvelope.create_key(text, text, jsonb, boolean, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rotate_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.activate_key(text, integer, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rollback_key(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.retire_key(text, integer, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.restore_key(text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.destroy_key(text, integer, text, boolean)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.schedule_rotation(text, interval)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rotate_due_keys() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.reseal_keys(text, text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.evict_key(text) FROM PUBLIC;

COMMENT ON FUNCTION
    pgenvelope.create_key(text, text, jsonb, boolean, boolean) IS
    'creates a key, sealed by a provider; returns its id';
COMMENT ON FUNCTION pgenvelope.rotate_key(text, integer, boolean) IS
    'makes a new version of a key, active at once or on trial with a share of new values; returns its number';
COMMENT ON FUNCTION pgenvelope.activate_key(text, integer, integer, boolean) IS
    'activates a version of a key, or changes its share of new values; returns the active version';
COMMENT ON FUNCTION pgenvelope.rollback_key(text) IS
    'ends the trial of a pre_active version, or returns to the version before the active one; returns the active version';
COMMENT ON FUNCTION pgenvelope.retire_key(text, integer, boolean) IS
    'has a version decrypt no longer, once it is proved that no value needs it';
COMMENT ON FUNCTION pgenvelope.restore_key(text, integer) IS
    'has a retired version decrypt again';
COMMENT ON FUNCTION pgenvelope.destroy_key(text, integer, text, boolean) IS
    'erases every seal of a version, for good; returns what may still hold a copy';
COMMENT ON FUNCTION pgenvelope.schedule_rotation(text, interval) IS
    'has a key rotated this long after its active version was activated; null: no longer';
COMMENT ON FUNCTION pgenvelope.rotate_due_keys() IS
    'rotates the keys whose time has come, as the workers do; returns how many';
COMMENT ON FUNCTION pgenvelope.reseal_keys(text, text, boolean) IS
    'has keys sealed anew, by another provider or under the next root key';
COMMENT ON FUNCTION pgenvelope.evict_key(text) IS
    'wipes cached keys of this database now; returns how many';
