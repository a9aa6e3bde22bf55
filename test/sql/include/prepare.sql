\set ECHO none
-- Included by every test.  Errors print as their SQLSTATE from here on, since
-- that is what clients rely on; a test of a message sets VERBOSITY itself.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SELECT NOT EXISTS (SELECT FROM pg_extension
    WHERE extname = 'pgenvelope') AS pgenvelope_is_missing \gset
\if :pgenvelope_is_missing
CREATE SCHEMA envelope;
GRANT USAGE ON SCHEMA envelope TO PUBLIC;
CREATE EXTENSION pgenvelope SCHEMA envelope;
\endif
RESET client_min_messages;

-- What comes of a statement: its first value, or the SQLSTATE of its error.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;

-- An envelope from its bytes, and the reverse: the text form is "env1." and
-- base64url.
CREATE FUNCTION pg_temp.envelope(bytes bytea) RETURNS envelope
LANGUAGE sql AS $$
    SELECT ('env1.' || translate(encode(bytes, 'base64'), E'+/=\n', '-_'))::envelope
$$;
CREATE FUNCTION pg_temp.bytes(value envelope) RETURNS bytea
LANGUAGE sql AS $$ SELECT envelope_send(value) $$;

-- The bytes of base64url.
CREATE FUNCTION pg_temp.decoded(base64url text) RETURNS bytea
LANGUAGE sql AS $$
    SELECT decode(rpad(translate(base64url, '-_', '+/'),
                       (length(base64url) + 3) / 4 * 4, '='), 'base64')
$$;
\set ECHO all
