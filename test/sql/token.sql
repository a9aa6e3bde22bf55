-- token: which JSON is taken as a token's header and claims, each refused for
-- one respect.  How long what they bind lasts is the subject of session; the
-- file of keys is that of t/031_session.
\i test/sql/include/prepare.sql
\i test/sql/include/token.sql

-- Bytes from text in which ~ff stands for one that no text can have.
CREATE FUNCTION pg_temp.raw(spelled text) RETURNS bytea
LANGUAGE sql AS $$
    SELECT coalesce(string_agg(CASE WHEN part[1] LIKE '~__'
        THEN decode(substr(part[1], 2), 'hex')
        ELSE convert_to(part[1], 'UTF8') END, '' ORDER BY n), '')
    FROM regexp_matches(spelled, '~[0-9a-f][0-9a-f]|[^~]+', 'g')
        WITH ORDINALITY AS t (part, n)
$$;

-- In the place of %s, in claims and in a header that are in order otherwise
SELECT to_json(current_database())::text AS database \gset
CREATE FUNCTION pg_temp.in_claims(value text) RETURNS bytea
LANGUAGE sql AS $$
    SELECT pg_temp.raw(format('{"exp":%s,"aud":%s,"ctx":{"a":1},"x":%s}',
        extract(epoch FROM clock_timestamp())::bigint + 300,
        to_json(current_database()), value))
$$;
CREATE FUNCTION pg_temp.in_header(value text) RETURNS bytea
LANGUAGE sql AS $$
    SELECT pg_temp.raw(format('{"alg":"HS256","kid":"test-hs256","x":%s}', value))
$$;

-- JSON that is taken
SELECT value, pg_temp.bound(pg_temp.token_of(pg_temp.in_claims(value))) AS claims,
    pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'), pg_temp.in_header(value))) AS header
FROM (VALUES
    ('{}'), (' { } '), ('[]'), (E'\t[\r\n]'), ('0'), ('-0'), ('12'), ('-1.50'), ('1e5'),
    ('1E+5'), ('0.1e-5'), ('true'), ('false'), ('null'), ('""'), ('"a"'),
    ('"\"\\\/\b\f\n\r\t\u00e4\uD83D\uDE00"'), ('"~c3~a4"'), ('"\u0000"'), ('"~7f"'),
    ('{"a":1,"b":[1,{"a":2}],"":{}}'), ('[ 1 , 2 ]'), ('{ "a" : 1 , "b" : 2 }'),
    ('"[[[[[[[[[[{{{{{{{{{{"'), ('"\"[[[[[[[[[["'), ('{"\"":1,"\\":2,"\\\"":3,"a\\" :4}'),
    ('{"a\"b":1,"b":2}'), ('[[[[[[[]]]]]]]'), ('{"a":{"a":{"a":1}}}'),
    ('[[],[[]],[[[]]],{},{"a":[[]]}]')
) AS t (value);

-- JSON that is not
SELECT count(*), pg_temp.bound(pg_temp.token_of(pg_temp.in_claims(value))) AS claims,
    pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'), pg_temp.in_header(value))) AS header
FROM (VALUES
    (''), (' '), ('{'), ('}'), ('{]'), ('[}'), ('['), (']'), ('{"a"}'), ('{"a":}'), ('{a:1}'),
    ('{"a":1,}'), ('{,}'), ('{"a":1 "b":2}'), ('[1,]'), ('[,]'), ('[1 2]'), ('01'),
    ('-'), ('+1'), ('.5'), ('1.'), ('1e'), ('1e+'), ('0x1'), ('1 2'), ('tru'), ('True'), ('nul'),
    ('NaN'), ('''a'''), ('"'), (E'"\n"'), ('"~1f"'), ('"~00"'), ('~00'), ('"\x"'), ('"\'), ('"\u"'),
    ('"\~00"'), ('"\u12g4"'), ('"\u123"'), ('"\uD83D"'), ('"\uDE00"'),
    ('"\uD83D\n"'), ('"\uD83D\uD83D"'), ('"\uD83Dx"'), ('"\uD83D'), ('"\uD83D\'), ('"\uD83D\u'),
    ('"\uD83D\uDE0'), ('"\uD83D\\uDE00"'), ('"\uDE00\uD83D"'), ('"~ff"'), ('"~c3"'),
    ('"~ed~a0~80"'), ('"~c0~a2"'), ('"~f4~90~80~80"'), ('~c3~a4'), ('{"~ff":1}'), ('{"\uD83D":1}'),
    ('{"a":1,"a":2}'), ('{"a":1,"\u0061":2}'), ('{"~c3~a4":1,"\u00e4":2}'),
    ('{"\uD83D\uDE00":1,"~f0~9f~98~80":1}'), ('{"\/":1,"/":1}'), ('{"":1,"":1}'),
    ('{"\"":1,"\u0022":1}'), ('[{"a":1,"b":{},"a":2}]'), ('0,"x":0'), ('0,"\u0078":0'),
    ('[[[[[[[[]]]]]]]]'), ('[[[[[[[{}]]]]]]]'), ('0}'), ('0}{}'), ('0}x'), ('0}}'), ('0}]'),
    (repeat('[', 900)), ('"' || repeat('\"', 50) || '[[[[[[[[[')
) AS t (value)
GROUP BY claims, header;
SELECT what, pg_temp.bound(pg_temp.token_of(claims)) AS claims,
    pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'), header)) AS header
FROM (VALUES
    ('as they are', pg_temp.in_claims('0'), pg_temp.in_header('0')),
    ('white space', ' ' || pg_temp.in_claims('0') || ' ', ' ' || pg_temp.in_header('0') || '  '),
    ('byte order mark', '\xefbbbf' || pg_temp.in_claims('0'), '\xefbbbf' || pg_temp.in_header('0')),
    ('NUL behind', pg_temp.in_claims('0') || '\x00', pg_temp.in_header('0') || '\x00'),
    ('in an array', '[' || pg_temp.in_claims('0') || ']', '[' || pg_temp.in_header('0') || ']'),
    ('empty object', '{}', '{}'), ('array', '[]', '[]'), ('number', '1', '1'), ('string', '"a"', '"a"'),
    ('not JSON', 'x', 'x'), ('UTF-16', convert_to('{}', 'UTF8') || '\x00', '\x7b007d00')
) AS t (what, claims, header);

-- No cut of a text is a text
SELECT count(*) > 60 AS cuts, count(*) FILTER (WHERE outcome <> 'token''s claims are not as they should be') AS taken
FROM (SELECT pg_temp.bound(pg_temp.token_of(substr(claims, 1, n))) AS outcome
      FROM pg_temp.in_claims('[1,"\u00e4",true,null,{}]') AS claims,
           generate_series(1, length(claims) - 1) AS n) AS t;
SELECT count(*) > 50 AS cuts, count(*) FILTER (WHERE outcome <> 'token is not accepted') AS taken
FROM (SELECT pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'), substr(header, 1, n))) AS outcome
      FROM pg_temp.in_header('{"b":{"c":-1.5e3}}') AS header,
           generate_series(1, length(header) - 1) AS n) AS t;

-- Members: 64 of an object, 32 of the context
SELECT n, pg_temp.bound(pg_temp.token_of(pg_temp.in_claims(
    (SELECT json_object_agg('m' || i, 0)::text FROM generate_series(1, n) AS i)))) AS claims
FROM generate_series(64, 65) AS n;
SELECT n, length(pg_temp.bound(pg_temp.token(pg_temp.claims(
    (SELECT json_object_agg('m' || i, 0)::text FROM generate_series(1, n) AS i))))) AS length
FROM generate_series(32, 33) AS n;

-- The longest header, and a longer one
SELECT n, pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'),
    convert_to(rpad('{"alg":"HS256","kid":"test-hs256"}', n), 'UTF8')))
FROM generate_series(1024, 1025) AS n;
-- The longest token, and a longer one
SELECT length(token), pg_temp.bound(token)
FROM (SELECT pg_temp.token_of(convert_to(rpad(convert_from(pg_temp.in_claims('0'), 'UTF8'), claims_len), 'UTF8'),
          convert_to(rpad('{"alg":"HS256","kid":"test-hs256"}', header_len), 'UTF8')) AS token
      FROM (VALUES (6074, 36), (6075, 36)) AS t (claims_len, header_len)) AS t;

-- Parts
SELECT token, pg_temp.bound(token) FROM (VALUES
    (''), ('.'), ('..'), ('a'), ('a.b'), ('a.b.'), ('a..c'), ('.b.c'), ('*.b.c'),
    ('eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ=.e30.AA'),
    ('eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.AA')
) AS t (token);

-- Headers
SELECT header, pg_temp.bound(pg_temp.token_of(pg_temp.in_claims('0'), convert_to(header, 'UTF8')))
FROM (VALUES
    (''), ('{"alg":1,"kid":"test-hs256"}'), ('{"alg":null,"kid":"test-hs256"}'),
    ('{"alg":["HS256"],"kid":"test-hs256"}'), ('{"alg":"","kid":"test-hs256"}'),
    ('{"alg":"HS256\u0000","kid":"test-hs256"}'), ('{"alg":"HS256","kid":"test-hs256\u0000"}'),
    ('{"alg":"HS256","kid":""}'), ('{"alg":"HS256","kid":{"a":"test-hs256"}}'),
    ('{"alg":"HS256","kid":"test-hs256","crit":[]}'), ('{"alg":"HS256","kid":"test-hs256","crit":null}'),
    ('{"alg":"HS256","kid":"test-hs256","\u0063rit":[]}'),
    ('{"x":{"alg":"HS256","kid":"test-hs256"}}'),
    ('{"\u0061lg":"\u0048S256","kid":"test\u002dhs256"}'), ('{"kid":"test-hs256","x":{"crit":1},"alg":"HS256"}')
) AS t (header);

-- Claims: what each may be
CREATE FUNCTION pg_temp.with_claim(name text, value text) RETURNS text
LANGUAGE sql AS $$
    SELECT pg_temp.bound(pg_temp.token_of(pg_temp.raw('{' || string_agg(
        format('"%s":%s', key, CASE WHEN key = name THEN value ELSE other END), ',') || '}')))
    FROM (VALUES ('exp', (extract(epoch FROM clock_timestamp())::bigint + 300)::text),
        ('aud', to_json(current_database())::text), ('ctx', '{"a":1}'),
        ('nbf', '0'), ('iat', '0'), ('sub', 'null'), ('ctx_scope', '"session"')) AS t (key, other)
$$;
SELECT name, value, pg_temp.with_claim(name, value)
FROM unnest(ARRAY['exp', 'nbf', 'iat']) AS name, unnest(ARRAY['-1', '-0', '"1"', 'null',
    'true', '[1]', '1e3', '1.5E3', '0.5e0', '12345678901234567', '1', '1.9', '0.0',
    '1234567890123456']) AS value
ORDER BY name, value COLLATE "C";
SELECT name, value, pg_temp.with_claim(name, value) FROM (VALUES
    ('aud', 'null'), ('aud', '1'), ('aud', '{}'), ('aud', '[1]'), ('aud', '["a",null]'),
    ('aud', '[["a"]]'), ('aud', '[[' || :'database' || ']]'), ('aud', '{"a":' || :'database' || '}'),
    ('aud', '[]'), ('aud', '""'), ('aud', '"contrib"'), ('aud', '"contrib_regressions"'),
    ('aud', '["x","contrib_\u0072egression"]'),
    ('ctx', 'null'), ('ctx', '[]'), ('ctx', '["a"]'), ('ctx', '"a"'), ('ctx', '{}'),
    ('ctx', '{"a":null}'), ('ctx', '{"a":""}'), ('ctx', '{"":1}'), ('ctx', '{"":""}'),
    ('ctx', '{"":true}'), ('ctx', '{"a":[]}'), ('ctx', '{"a":{}}'), ('ctx', '{"a":1.5}'),
    ('ctx', '{"a":1.0}'), ('ctx', '{"a":1e3}'), ('ctx', '{"a":12345678901234567}'),
    ('ctx', '{"a":9007199254740991,"b":-9007199254740991}'), ('ctx', '{"a":9007199254740992}'),
    ('ctx', '{"a":-9007199254740992}'), ('ctx', '{"a":-0}'), ('ctx', '{"a":"x\u0000"}'),
    ('ctx', '{"\u0000":1}'), ('ctx', '{"\u0000":true}'), ('ctx', '{"a":1,"a":2}'),
    ('ctx', '{"a":1,"b":{"a":2}}'), ('ctx', '{"a":1} '),
    ('ctx', '{"te\u006eant":"\u00e4\u20ac\ud83d\ude00\n\/~c3~a4","id":-7,"a":true,"b":false}'),
    ('ctx', '{"s":"\b\f\n\r\t\"\\\/\u001f\u007f"}'),
    ('ctx_scope', '"transaction"'), ('ctx_scope', 'true'), ('ctx_scope', 'null'),
    ('ctx_scope', '""'), ('ctx_scope', '["session"]'), ('ctx_scope', '"\u0073ession"'),
    ('sub', '0,"exp":1'), ('sub', '0,"\u0065xp":1'), ('sub', '0,"iss":{"exp":1}')
) AS t (name, value);
SELECT claims, pg_temp.bound(pg_temp.token_of(convert_to(claims, 'UTF8'))) FROM (VALUES
    (''), ('{"exp":1}'), ('{"exp":1,"aud":"a"}'), ('{"exp":1,"ctx":{"a":1}}'),
    ('{"aud":"a","ctx":{"a":1}}'), ('{"exp":1,"aud":"a","ctx":{"a":1}}'),
    (format('{"exp":1,"aud":%s,"ctx":{"a":1}}', :'database'))
) AS t (claims);

-- A byte changed, taken out or put in: it is another good token, or refused,
-- and what is taken is JSON for PostgreSQL, too, with the same context
SELECT setseed(0.5) \g /dev/null
CREATE FUNCTION pg_temp.mutated(bytes bytea) RETURNS bytea
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    place int := floor(random() * length(bytes));
    letters bytea := '{}[]",:\\u0de81-.e tn' || '\x00ffc3a4'::bytea;
    put bytea := substr(letters, 1 + floor(random() * length(letters))::int, 1);
BEGIN
    RETURN CASE floor(random() * 3)
        WHEN 0 THEN overlay(bytes PLACING put FROM place + 1 FOR 1)
        WHEN 1 THEN overlay(bytes PLACING put FROM place + 1 FOR 0)
        ELSE overlay(bytes PLACING '' FROM place + 1 FOR 1 + floor(random() * 4)::int) END;
END
$$;
\set VERBOSITY terse
DO $$
DECLARE
    good bytea := pg_temp.raw(format(
        '{"exp":%s,"aud":["x",%s],"ctx":{"te\u006eant":"\u00e4\ud83d\ude00","id":-7,"a":true},"x":[{"\"":[1.5e3]}]}',
        extract(epoch FROM clock_timestamp())::bigint + 300, to_json(current_database())));
    good_header bytea := '{"alg":"HS256","kid":"test-hs256","x":{"\\u0061\\ud83d\\ude00\\"":[1,"\\/"]}}';
    claims bytea;
    header bytea;
    outcome text;
    taken int := 0;
    refused int := 0;
BEGIN
    FOR i IN 1..3000 LOOP
        claims := pg_temp.mutated(good);
        header := good_header;
        IF i % 2 = 0 THEN
            header := pg_temp.mutated(header);
            claims := good;
        END IF;
        outcome := pg_temp.bound(pg_temp.token_of(claims, header));
        IF outcome LIKE 'token%' THEN
            refused := refused + 1;
        ELSIF outcome::jsonb <> convert_from(claims, 'UTF8')::jsonb -> 'ctx'
            OR convert_from(header, 'UTF8')::jsonb ->> 'kid' <> 'test-hs256' THEN
            RAISE WARNING 'taken: % % as %', header, claims, outcome;
        ELSE
            taken := taken + 1;
        END IF;
    END LOOP;
    RAISE NOTICE 'some are taken: %, others refused: %', taken > 100, refused > 1000;
END
$$;
