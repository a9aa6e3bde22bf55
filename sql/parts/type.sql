\echo Use "CREATE EXTENSION pgenvelope" to load this file. \quit

-- pgenvelope: field-level envelope encryption.  docs/reference.md describes
-- every object; docs/format.md the bytes of the type.


-- ---------------------------------------------------------------------------
-- The type: an envelope-encrypted value
-- ---------------------------------------------------------------------------

-- pgenvelope: field-level envelope encryption.  docs/reference.md describes
-- every object; docs/format.md the bytes of the type.

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

CREATE FUNCTION @extschema@.envelope_eq(
    @extschema@.envelope,
    @extschema@.envelope)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_ne(
    @extschema@.envelope,
    @extschema@.envelope)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_hash(@extschema@.envelope)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION @extschema@.envelope_hash_extended(
    @extschema@.envelope,
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

COMMENT ON FUNCTION
    @extschema@.envelope_eq(@extschema@.envelope, @extschema@.envelope) IS
    'implementation of = operator';
COMMENT ON FUNCTION
    @extschema@.envelope_ne(@extschema@.envelope, @extschema@.envelope) IS
    'implementation of <> operator';
COMMENT ON FUNCTION @extschema@.envelope_hash(@extschema@.envelope) IS
    'hash of the sealed payload';
COMMENT ON FUNCTION
    @extschema@.envelope_hash_extended(@extschema@.envelope, bigint) IS
    'hash of the sealed payload, with a seed';
COMMENT ON OPERATOR
    @extschema@.= (@extschema@.envelope, @extschema@.envelope) IS
    'same sealed payload, whatever key version wraps it';
COMMENT ON OPERATOR
    @extschema@.<> (@extschema@.envelope, @extschema@.envelope) IS
    'not the same sealed payload';
COMMENT ON OPERATOR CLASS @extschema@.envelope_ops USING hash IS
    'equality of sealed payloads';
COMMENT ON OPERATOR FAMILY @extschema@.envelope_ops USING hash IS
    'equality of sealed payloads';
