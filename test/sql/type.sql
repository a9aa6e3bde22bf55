--
-- type: the envelope's input and output.  Input checks the structure, needs
-- no key, and never quotes what it was given; output gives it back.
--
\i test/sql/include/prepare.sql

-- envelope/good_text of test/vectors
\set text 'env1.4RIAAxzMrLdt12z1-VAdlMYaFMNG8AVI1hR9m6mCf2DxUB-3ljSsrXytwlMorhlOCK0OfbS_Ubtl7bthLUsFC7985EXtWrfWYU-Z_OYIoYar37DmnIES5O9_8zexog'
SELECT :'text'::envelope::text = :'text' AS same;
SELECT encode(envelope_send(:'text'), 'hex');
SELECT pg_temp.envelope(pg_temp.bytes(:'text'))::text = :'text' AS same;
SELECT length(envelope_send(:'text')), pg_column_size(:'text'::envelope),
    octet_length('jane@example.com') + 78 AS expected;
SELECT NULL::envelope, envelope_in(NULL), envelope_out(NULL),
    envelope_send(NULL);

-- Messages do not quote.  The CONTEXT is COPY's own; it is hidden from the
-- server's log.
\set VERBOSITY default
CREATE TEMP TABLE wrong_column (value envelope);
\copy wrong_column FROM stdin
jane@example.com
\.
SELECT 'env2.4RIAAxzMrLdt12z1'::envelope;
SELECT 'env1.4g'::envelope;    -- byte 0 is e2
SELECT 'env1.4SI'::envelope;   -- suite 2
SELECT 'env1.4Q'::envelope;
\set VERBOSITY sqlstate

-- Text forms that are not one; test/vectors/envelope has many more
SELECT what, pg_temp.outcome(format('SELECT %L::envelope', given))
FROM (VALUES
    ('nothing', ''),
    ('prefix only', 'env1.'),
    ('prefix missing', substr(:'text', 6)),
    ('prefix upper-case', 'ENV1.' || substr(:'text', 6)),
    ('space before', ' ' || :'text'),
    ('space after', :'text' || ' '),
    ('newline after', :'text' || E'\n'),
    ('padded', :'text' || '=='),
    ('base64', translate(:'text', '-_', '+/')),
    ('hexadecimal', '\xe112'),
    ('a character less', left(:'text', -1)),
    ('trailing bits', left(:'text', -1) || 'h'),
    ('not ASCII', :'text' || 'é'),
    ('twice', :'text' || :'text')
) AS given(what, given);

-- Every value of the first bytes that is not of this format: later formats
-- are told apart in the detail only
SELECT get_byte(bytes, 0) = 225 AS magic, outcome ~ '^env1' AS taken,
    CASE WHEN outcome !~ '^env1' THEN outcome END AS outcome, count(*)
FROM (SELECT bytes, pg_temp.outcome(format('SELECT pg_temp.envelope(%L)',
                                           bytes)) AS outcome
      FROM (SELECT set_byte(pg_temp.bytes(:'text'), 0, i) AS bytes
            FROM generate_series(0, 255) i) AS of_magic) AS tried
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT i AS suite_and_flags,
    pg_temp.outcome(format('SELECT length(envelope_send(pg_temp.envelope(%L)))',
                           set_byte(pg_temp.bytes(:'text'), 1, i)))
FROM generate_series(0, 255) i
WHERE pg_temp.outcome(format('SELECT pg_temp.envelope(%L)',
                             set_byte(pg_temp.bytes(:'text'), 1, i))) <> '22P02';

-- Cut anywhere in the header, it is refused; after it a cut is for the tag to
-- find
SELECT min(n), max(n), pg_temp.outcome(format('SELECT length(envelope_send(pg_temp.envelope(%L)))',
    substr(pg_temp.bytes(:'text'), 1, n))) ~ '22P02' AS refused
FROM generate_series(0, 94) n GROUP BY 3 ORDER BY 1;

-- The binary form, by way of COPY
CREATE TEMP TABLE received (value envelope);
CREATE FUNCTION pg_temp.receive(bytes bytea) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0)
        || int2send(1::int2) || int4send(length(bytes)) || bytes
        || int2send(-1::int2);
BEGIN
    DELETE FROM received;
    EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)',
                   'echo ' || translate(encode(file, 'base64'), E'\n', '')
                   || ' | base64 -d');
    RETURN (SELECT value FROM received);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SELECT pg_temp.receive(pg_temp.bytes(:'text')) = :'text' AS same;
SELECT what, pg_temp.receive(bytes)
FROM (SELECT pg_temp.bytes(:'text')) AS good(good), LATERAL (VALUES
    ('nothing', '\x'::bytea),
    ('text form', convert_to(:'text', 'UTF8')),
    ('magic', set_byte(good, 0, 0)),
    ('later format', set_byte(good, 0, 226)),
    ('suite', set_byte(good, 1, 34)),
    ('reserved flag', set_byte(good, 1, 26)),
    ('key version zero', set_byte(set_byte(good, 2, 0), 3, 0)),
    ('key id zero', overlay(good PLACING '\x000000000000' FROM 5)),
    ('too short', substr(good, 1, 77)),
    ('context without room', set_byte(good, 1, 19)),
    ('padded but empty', set_byte(substr(good, 1, 78), 1, 22))
) AS given(what, bytes);
\set VERBOSITY default
\copy wrong_column FROM PROGRAM 'printf "PGCOPY\\n\\377\\r\\n\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1\\0\\0\\0\\6secret\\377\\377"' (FORMAT binary)
\set VERBOSITY sqlstate

-- Without casts, a value is never taken for text or bytes, nor text for one
SELECT :'text'::envelope = :'text'::text;
INSERT INTO wrong_column VALUES (:'text'::text);
INSERT INTO wrong_column VALUES ('\xe112'::bytea);
SELECT :'text'::envelope::bytea;
SELECT convert_to(:'text', 'UTF8')::envelope;
