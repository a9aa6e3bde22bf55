\echo Use "CREATE EXTENSION pgenvelope_test" to load this file. \quit

CREATE FUNCTION pgenvelope_test_advance_clock(ms bigint) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope_test_point(point text, action text) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope_test_unwiped_slots() RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope_test_held_keys() RETURNS bytea
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION pgenvelope_test_swap(relation regclass, attribute smallint,
    one bytea[], other bytea[], ms integer, careless boolean) RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

REVOKE ALL ON FUNCTION pgenvelope_test_advance_clock(bigint),
    pgenvelope_test_point(text, text), pgenvelope_test_unwiped_slots(),
    pgenvelope_test_held_keys(),
    pgenvelope_test_swap(regclass, smallint, bytea[], bytea[], integer, boolean)
    FROM PUBLIC;
